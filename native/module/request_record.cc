#include "module/request_record.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <charconv>
#include <cstdint>
#include <cstring>

#include "exchange/record.h"
#include "module/application_env.h"
#include "module/expansion.h"
#include "module/mounts.h"
#include "module/python_settings.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::RecordWriter;

void add(RecordWriter* record, std::string_view name, const char* value) {
  if (value != nullptr) record->add(name, value);
}

bool is_token_character(unsigned char c) {
  return c > ' ' && c < 0x7f && std::strchr("()<>@,;:\\\"/[]?={}", c) == nullptr;
}

// "name=" with a cookie's name, which is a token.
bool starts_cookie_pair(const char* text) {
  const char* at = text;
  while (is_token_character(static_cast<unsigned char>(*at))) ++at;
  return at != text && *at == '=';
}

// Whether the header's value may have been put together from several lines.
//
// httpd reads a header line into one buffer, ends the name with a NUL in place of the colon and lets the value point
// behind it, past blanks (ap_get_mime_headers_core). When several lines have the same name, apr_table_compress() joins
// their values in a new allocation and leaves the key where it was. So the value of a single line lies just behind its
// own key, and a joined one never does: in between is at least the rest of the first line's buffer. Addresses are
// compared as numbers; what lies between is read only where it is near enough to be one line, and up to the first
// character that is no blank. A module that replaced the header (RequestHeader) looks as if it had joined lines, which
// only means that the value is searched for commas in front of "name=".
// What remains ambiguous: a single cookie's value that was joined with others and itself holds ", name=". RFC 6265
// allows neither a comma nor a blank inside a value.
bool may_be_folded(const char* key, const char* value, size_t longest_line) {
  const char* at = key + std::strlen(key) + 1;
  const uintptr_t behind_key = reinterpret_cast<uintptr_t>(at);
  const uintptr_t start = reinterpret_cast<uintptr_t>(value);
  if (start < behind_key || start - behind_key > longest_line) return true;
  while (at != value && (*at == ' ' || *at == '\t')) ++at;
  return at != value;
}

// HEAD becomes GET when a filter looks at the content: it could not do its work (a length, a checksum) without it.
bool content_filters_installed(const request_rec* r) {
  for (const ap_filter_t* filter = r->output_filters; filter != nullptr; filter = filter->next) {
    if (filter->frec->ftype < AP_FTYPE_PROTOCOL) return true;
  }
  return false;
}

// Whether no kind of application may see Authorization and Proxy-Authorization. Where httpd itself has checked them,
// they are none of the application's business unless the site says so.
bool authorization_hidden(const request_rec* r, Flag pass) {
  if (pass != Flag::kUnset) return pass == Flag::kOff;
  return r->user != nullptr || r->ap_auth_type != nullptr;
}

// Headers keep the names that the client wrote; what of them a WSGI application may see is the gateway's to decide.
void add_headers(request_rec* r, const RequestPlan& plan, RecordWriter* record) {
  const bool hide_authorization = authorization_hidden(r, plan.pass_authorization);
  const apr_array_header_t* headers = apr_table_elts(r->headers_in);
  for (int i = 0; i < headers->nelts; ++i) {
    const auto& header = APR_ARRAY_IDX(headers, i, apr_table_entry_t);
    if (header.key == nullptr || header.val == nullptr) continue;
    const char first = static_cast<char>(header.key[0] | 0x20);
    if (hide_authorization &&
        ((first == 'a' && strcasecmp(header.key, "Authorization") == 0) ||
         (first == 'p' && strcasecmp(header.key, "Proxy-Authorization") == 0))) {
      continue;
    }
    // HTTP/2 joins cookies with "; " by itself.
    if (first == 'c' && strcasecmp(header.key, "Cookie") == 0 && r->connection->master == nullptr) {
      std::string unfolded;
      if (unfold_cookies(header.key, header.val, static_cast<size_t>(r->server->limit_req_fieldsize), &unfolded)) {
        record->add_header(header.key, unfolded);
        continue;
      }
    }
    record->add_header(header.key, header.val);
  }
}

void add_number(RecordWriter* record, std::string_view name, unsigned number) {
  char text[16];
  const char* const end = std::to_chars(text, text + sizeof text, number).ptr;
  record->add(name, std::string_view(text, static_cast<size_t>(end - text)));
}

// A file's name as the application sees it.
const char* seen(const RequestPlan& plan, const char* path) {
  if (plan.chroot == nullptr || path == nullptr) return path;
  size_t length = std::strlen(plan.chroot);
  while (length > 0 && plan.chroot[length - 1] == '/') --length;
  return std::strncmp(path, plan.chroot, length) == 0 && path[length] == '/' ? path + length : path;
}

// The first pair: all that is needed to know which application, already loaded or not, the request is for.
void add_target(const request_rec* r, const RequestPlan& plan, RecordWriter* record) {
  std::string target(plan.type);
  ((target += '\n') += plan.callable) += '\n';
  target += seen(plan, r->filename);
  record->add("nwsgi.x-target", target);
}

// Variables of the configuration and of other modules (SetEnv, SSL_*, REDIRECT_*). They come first: what the request
// itself says wins, as in CGI, and headers and our own instructions to the gateway cannot be forged.
void add_environment(const request_rec* r, RecordWriter* record) {
  const apr_array_header_t* entries = apr_table_elts(r->subprocess_env);
  for (int i = 0; i < entries->nelts; ++i) {
    const auto& entry = APR_ARRAY_IDX(entries, i, apr_table_entry_t);
    if (entry.key == nullptr || entry.val == nullptr) continue;
    if (entry.key[0] == ':' || std::strncmp(entry.key, "nwsgi.", 6) == 0) continue;
    record->add(entry.key, entry.val);
  }
}

void add_addresses(request_rec* r, RecordWriter* record) {
  const conn_rec* c = r->connection;
  add(record, "SERVER_NAME", ap_get_server_name_for_url(r));
  add_number(record, "SERVER_PORT", ap_get_server_port(r));
  add(record, "SERVER_ADDR", c->local_ip);
  add(record, "SERVER_ADMIN", r->server->server_admin);
  add(record, "SERVER_PROTOCOL", r->protocol);
  add(record, "SERVER_SOFTWARE", ap_get_server_banner());
  record->add("GATEWAY_INTERFACE", "CGI/1.1");
  add(record, "REMOTE_ADDR", r->useragent_ip);
  add_number(record, "REMOTE_PORT", c->client_addr->port);
  add(record, "REMOTE_USER", r->user);
  add(record, "AUTH_TYPE", r->ap_auth_type);
}

void add_redirect(const request_rec* r, RecordWriter* record) {
  if (r->prev == nullptr) return;
  add(record, "REDIRECT_URL", r->prev->uri);
  add(record, "REDIRECT_QUERY_STRING", r->prev->args);
  if (r->user != nullptr) return;
  for (const request_rec* back = r->prev; back != nullptr; back = back->prev) {
    if (back->user == nullptr) continue;
    record->add("REDIRECT_REMOTE_USER", back->user);
    return;
  }
}

const char* request_target(const request_rec* r) {
  while (r->prev != nullptr || r->main != nullptr) r = r->prev != nullptr ? r->prev : r->main;
  return r->unparsed_uri;
}

const char* url_scheme(const request_rec* r, const char* connection_scheme) {
  // A proxy in front says so by SetEnvIf … HTTPS=on.
  const char* https = apr_table_get(r->subprocess_env, "HTTPS");
  if (https != nullptr && (strcasecmp(https, "on") == 0 || std::strcmp(https, "1") == 0)) return "https";
  return connection_scheme;
}

void add_request(request_rec* r, const RequestPlan& plan, RecordWriter* record) {
  record->add("REQUEST_METHOD", plan.head_as_get ? "GET" : r->method);
  record->add("SCRIPT_NAME", plan.script_name);
  record->add("PATH_INFO", plan.path_info);
  record->add("QUERY_STRING", r->args != nullptr ? r->args : "");
  const char* target = request_target(r);
  add(record, "REQUEST_URI", target);
  add(record, "RAW_URI", target);
  add(record, "DOCUMENT_ROOT", seen(plan, ap_document_root(r)));
  add(record, "SCRIPT_FILENAME", seen(plan, r->filename));
  const char* scheme = ap_http_scheme(r);
  add(record, "REQUEST_SCHEME", scheme);
  add(record, "CONTEXT_PREFIX", ap_context_prefix(r));
  add(record, "CONTEXT_DOCUMENT_ROOT", seen(plan, ap_context_document_root(r)));
  record->add("wsgi.url_scheme", url_scheme(r, scheme));
}

// The id in the error log (%L) is made on demand; asking for it here makes environ and log agree.
const char* request_id(request_rec* r) {
  while (r->main != nullptr) r = r->main;
  if (r->log_id == nullptr) ap_run_generate_log_id(r->connection, r, &r->log_id);
  return r->log_id;
}

// What mod_wsgi's applications find in their environ, and JavaScript has no use for.
void add_for_python(request_rec* r, RecordWriter* record) {
  char digits[24];
  const char* const end = std::to_chars(digits, digits + sizeof digits, static_cast<int64_t>(r->request_time)).ptr;
  record->add("mod_wsgi.request_start", std::string_view(digits, static_cast<size_t>(end - digits)));
  conn_rec* c = r->connection;
  if (c->log_id == nullptr) ap_run_generate_log_id(c, nullptr, &c->log_id);
  add(record, "mod_wsgi.connection_id", c->log_id);
  record->add("mod_wsgi.listener_host", c->local_host != nullptr ? c->local_host : "");
  record->add("mod_wsgi.input_chunked", r->read_chunked ? "1" : "0");
}

constexpr size_t kUsualRecord = 3072;
constexpr size_t kMostKept = 64 * 1024;

const char* first_given(const char* a, const char* b, const char* otherwise) {
  if (a != nullptr) return a;
  return b != nullptr ? b : otherwise;
}

}  // namespace

bool unfold_cookies(const char* key, const char* value, size_t longest_line, std::string* unfolded) {
  if (!may_be_folded(key, value, longest_line)) return false;
  const char* comma = std::strstr(value, ", ");
  if (comma == nullptr) return false;
  unfolded->assign(value);
  bool changed = false;
  for (; comma != nullptr; comma = std::strstr(comma + 2, ", ")) {
    if (!starts_cookie_pair(comma + 2)) continue;
    (*unfolded)[static_cast<size_t>(comma - value)] = ';';
    changed = true;
  }
  return changed;
}

RequestPlan make_plan(request_rec* r) {
  RequestPlan plan{};
  plan.settings = dir_config(r);
  const RequestState* state = mounted_request(r);
  plan.mount = state != nullptr ? state->mount : nullptr;
  const apr_size_t script_name_bytes = script_name_length(r, state);
  plan.script_name = std::string_view(r->uri, script_name_bytes);
  plan.path_info = std::string_view(r->uri + script_name_bytes);

  const MountOptions none{nullptr, nullptr, nullptr, nullptr, Flag::kUnset};
  const MountOptions& options = plan.mount != nullptr ? plan.mount->options : none;
  plan.process_group = expand_name(
      r, first_given(options.process_group, plan.settings->process_group, "%{GLOBAL}"), plan.script_name);
  plan.application_group = expand_name(
      r, first_given(options.application_group, plan.settings->application_group,
                     is_python_script(r->filename) ? "%{GLOBAL}" : "%{RESOURCE}"), plan.script_name);
  plan.callable =
      expand_name(r, first_given(options.callable, plan.settings->callable, "application"), plan.script_name);
  plan.type = first_given(options.type, plan.settings->type, "auto");
  plan.pass_authorization = options.pass_authorization != Flag::kUnset ? options.pass_authorization
                                                                       : plan.settings->pass_authorization;
  if (r->header_only) {
    const HeadMapping mapping = plan.settings->map_head;
    plan.head_as_get = mapping == HeadMapping::kOn || (mapping != HeadMapping::kOff && content_filters_installed(r));
  }
  return plan;
}

std::string build_record(request_rec* r, const RequestPlan& plan, bool multiprocess) {
  // Of the thread. One that a huge request has blown up is not kept.
  static thread_local RecordWriter record(kUsualRecord);
  if (record.capacity() > kMostKept) record = RecordWriter(kUsualRecord);
  record.clear();
  add_target(r, plan, &record);
  add_environment(r, &record);
  add_request(r, plan, &record);
  add_addresses(r, &record);
  add_redirect(r, &record);
  add_headers(r, plan, &record);

  record.add("nwsgi.process_group", plan.process_group);
  record.add("nwsgi.application_group", plan.application_group);
  record.add("nwsgi.callable_object", plan.callable);
  add(&record, "nwsgi.request_id", request_id(r));
  add_number(&record, "nwsgi.x-local-port", r->connection->local_addr->port);
  if (plan.pass_authorization != Flag::kUnset) {
    record.add("nwsgi.x-authorization", plan.pass_authorization == Flag::kOn ? "1" : "0");
  }
  if (const std::string env = application_env(r->per_dir_config); !env.empty()) record.add("nwsgi.x-env", env);
  if (is_on(plan.settings->development_errors, false)) record.add("nwsgi.x-error-page", "development");
  if (is_on(plan.settings->script_reloading, true)) record.add("nwsgi.x-reloading", "1");
  if (multiprocess) record.add("nwsgi.x-multiprocess", "1");
  if (is_python_script(r->filename)) add_for_python(r, &record);
  // Files always travel as descriptors; whether the kernel sends them is WSGIEnableSendfile.
  record.add("nwsgi.x-sendfile", "1");
  return record.copy();
}

}  // namespace nwsgi::httpd_side
