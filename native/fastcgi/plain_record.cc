#include "fastcgi/plain_record.h"

#include <strings.h>

#include <charconv>
#include <random>
#include <utility>

#include "exchange/record.h"

namespace nwsgi::fastcgi {

namespace {

using exchange::RecordReader;
using exchange::RecordWriter;

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// ACCEPT_LANGUAGE becomes Accept-Language.
std::string header_name(std::string_view variable) {
  std::string name(variable);
  bool first = true;
  for (char& c : name) {
    if (c == '_') c = '-';
    c = first ? to_upper(c) : to_lower(c);
    first = c == '-';
  }
  return name;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string decode_path(std::string_view target) {
  // An absolute URL: what stands before the path is no part of it.
  if (const size_t scheme = target.find("://"); !target.empty() && target[0] != '/' && scheme != target.npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == target.npos ? "/" : target.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  path.reserve(target.size());
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == '%' && i + 2 < target.size() && hex_digit(target[i + 1]) >= 0 && hex_digit(target[i + 2]) >= 0) {
      path += static_cast<char>(hex_digit(target[i + 1]) << 4 | hex_digit(target[i + 2]));
      i += 2;
    } else {
      path += target[i];
    }
  }
  return path;
}

// What the record needs in another form than the client sends it.
struct Found {
  std::string_view request_id;
  std::string_view server_port;
  std::string_view script_name;
  std::string_view path_info;
  std::string_view request_uri;
  std::string_view https;
  std::string_view scheme;
  bool has_path = false;
  bool has_query = false;
  bool has_raw_uri = false;
};

// True when the pair was taken note of and is not to be copied.
bool take(std::string_view name, std::string_view value, Found* found, PlainRequest* request) {
  if (name == "SCRIPT_NAME" || name == "PATH_INFO") {
    (name[0] == 'S' ? found->script_name : found->path_info) = value;
    found->has_path = true;
    return true;
  }
  if (name == "REQUEST_URI") found->request_uri = value;
  if (name == "REQUEST_ID") found->request_id = value;
  if (name == "SERVER_PORT") found->server_port = value;
  if (name == "RAW_URI") found->has_raw_uri = true;
  if (name == "HTTPS") found->https = value;
  if (name == "REQUEST_SCHEME") found->scheme = value;
  if (name == "QUERY_STRING") found->has_query = true;
  if (name == "REQUEST_METHOD") request->is_head = value == "HEAD";
  return false;
}

// Headers that the record has in another form, that programs believe in an environment, or that promise what FastCGI cannot
// carry: an application that is not asked for another protocol answers in this one.
bool is_left_out(std::string_view header) {
  return header.empty() || header == "PROXY" || header == "CONTENT_LENGTH" || header == "CONTENT_TYPE" ||
         header == "UPGRADE" || header == "CONNECTION";
}

// As unlikely to come twice as the server's own would be.
std::string make_request_id() {
  static std::mt19937_64 random{std::random_device{}()};
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string id;
  for (int i = 0; i < 2; ++i) {
    uint64_t bits = random();
    for (int k = 0; k < 10; ++k, bits >>= 6) id += kDigits[bits & 63];
  }
  return id;
}

void add_content_header(std::string_view name, std::string_view value, RecordWriter* record, PlainRequest* request) {
  if (value.empty()) return;  // NGINX sends it empty where there is none
  if (name == "CONTENT_LENGTH") {
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), request->content_length);
    request->length_known = problem == std::errc() && end == value.data() + value.size();
    if (!request->length_known) return;
  }
  record->add_header(name == "CONTENT_LENGTH" ? "Content-Length" : "Content-Type", value);
}

void add_path(const Found& found, const std::string& mount, RecordWriter* record) {
  std::string path(found.script_name);
  path += found.path_info;
  if (!found.has_path || path.empty()) path = decode_path(found.request_uri);
  const bool below = mount.empty() || (starts_with(path, mount) && (path.size() == mount.size() || path[mount.size()] == '/'));
  record->add("SCRIPT_NAME", below ? mount : std::string());
  record->add("PATH_INFO", below ? std::string_view(path).substr(mount.size()) : std::string_view(path));
}

}  // namespace

PlainRecords::PlainRecords(PlainOptions options) : options_(std::move(options)) {
  RecordReader reader(options_.pairs);
  std::string_view name;
  std::string_view value;
  while (reader.next(&name, &value)) given_.emplace(name);
}

bool PlainRecords::make(std::string_view params, PlainRequest* request) const {
  RecordWriter record(options_.pairs.size() + params.size() + 256);
  record.add_encoded(options_.pairs);
  Found found;
  RecordReader reader(params);
  std::string_view name;
  std::string_view value;
  while (!reader.at_end()) {
    if (!reader.next(&name, &value)) return false;
    if (name.empty() || name[0] == ':' || starts_with(name, "nwsgi.") || starts_with(name, "wsgi.")) continue;
    if (name == "CONTENT_LENGTH" || name == "CONTENT_TYPE") {
      add_content_header(name, value, &record, request);
    } else if (starts_with(name, "HTTP_")) {
      const std::string_view header = name.substr(5);
      if (is_left_out(header)) continue;
      record.add_header(header_name(header), value);
    } else if (!take(name, value, &found, request) && given_.count(std::string(name)) == 0) {
      record.add(name, value);
    }
  }
  add_path(found, options_.mount, &record);
  if (!found.has_query) record.add("QUERY_STRING", "");
  if (!found.has_raw_uri && !found.request_uri.empty()) record.add("RAW_URI", found.request_uri);
  record.add("nwsgi.request_id", found.request_id.empty() ? make_request_id() : std::string(found.request_id));
  if (!found.server_port.empty()) record.add("nwsgi.x-local-port", found.server_port);
  const bool secure = equals_ignoring_case(found.https, "on") || found.https == "1" ||
                      equals_ignoring_case(found.scheme, "https");
  record.add("wsgi.url_scheme", secure ? "https" : "http");
  request->record = record.take();
  return true;
}

}  // namespace nwsgi::fastcgi
