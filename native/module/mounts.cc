#include "module/mounts.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_script.h>

#include <cstring>

#include "module/handler.h"
#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

constexpr int kMostGroups = AP_MAX_REG_MATCH;

const Mount* earlier(const Mount* a, const Mount* b) {
  if (a == nullptr) return b;
  return b != nullptr && b->order < a->order ? b : a;
}

struct LiteralMatch {
  const Mount* mount = nullptr;
  apr_size_t url_bytes = 0;
};

// Looks up every prefix of the URL that ends at a segment: "/a/b" asks for "", "/a" and "/a/b". Runs of slashes count
// as one (they reach us only with MergeSlashes Off), so the look-up key is built beside the URL.
LiteralMatch find_literal(apr_pool_t* pool, const MountTable* table, const char* url) {
  LiteralMatch found;
  if (apr_hash_count(table->prefixes) == 0) return found;
  const apr_size_t length = std::strlen(url);
  char* key = static_cast<char*>(apr_palloc(pool, length + 1));
  apr_size_t key_length = 0;
  const char* at = url;
  for (;;) {
    const auto* entry = static_cast<const PrefixEntry*>(
        apr_hash_get(table->prefixes, key, static_cast<apr_ssize_t>(key_length)));
    if (entry != nullptr) {
      const Mount* candidate = *at == '/' ? earlier(entry->any, entry->below_only) : entry->any;
      if (candidate != nullptr && earlier(found.mount, candidate) == candidate && candidate != found.mount) {
        found.mount = candidate;
        found.url_bytes = static_cast<apr_size_t>(at - url);
      }
    }
    if (*at != '/') break;
    const char* segment = at;
    while (*segment == '/') ++segment;
    if (*segment == '\0') break;
    key[key_length++] = '/';
    for (at = segment; *at != '\0' && *at != '/'; ++at) key[key_length++] = *at;
  }
  return found;
}

// A ".." can only come from a configuration like "$1$2"; URLs have none left when they arrive here.
bool has_parent_segment(const char* path) {
  for (const char* at = std::strstr(path, ".."); at != nullptr; at = std::strstr(at + 1, "..")) {
    const bool starts = at == path || at[-1] == '/';
    const bool ends = at[2] == '\0' || at[2] == '/';
    if (starts && ends) return true;
  }
  return false;
}

bool ends_with_slash(const char* path) {
  const apr_size_t length = std::strlen(path);
  return length != 0 && path[length - 1] == '/';
}

bool find_in_table(apr_pool_t* pool, const MountTable* table, const char* url, MountMatch* match) {
  const LiteralMatch literal = find_literal(pool, table, url);
  for (int i = 0; i < table->patterns->nelts; ++i) {
    const Mount* mount = APR_ARRAY_IDX(table->patterns, i, const Mount*);
    if (literal.mount != nullptr && literal.mount->order < mount->order) break;
    ap_regmatch_t groups[kMostGroups];
    // A match of nothing ("^", "x*") names no mount.
    if (ap_regexec(mount->pattern, url, kMostGroups, groups, 0) != 0 || groups[0].rm_eo <= 0) continue;
    match->mount = mount;
    match->slot = mount->order;
    match->url_bytes = static_cast<apr_size_t>(groups[0].rm_eo);
    match->target = ap_pregsub(pool, mount->target, url, kMostGroups, groups);
    match->failed = match->target == nullptr;
    // A slash at the end of "^/shop/" separates the script's name from what follows.
    if (url[match->url_bytes - 1] == '/' && !match->failed && !ends_with_slash(match->target)) --match->url_bytes;
    return true;
  }
  if (literal.mount == nullptr) return false;
  match->mount = literal.mount;
  match->slot = literal.mount->order;
  match->url_bytes = literal.url_bytes;
  return true;
}

const RequestState* remember(request_rec* r, const MountMatch& match) {
  auto* state = static_cast<RequestState*>(apr_pcalloc(r->pool, sizeof(RequestState)));
  state->url = r->uri;
  state->mount = match.mount;
  state->mount_slot = match.slot;
  state->prefix_length = static_cast<unsigned>(match.url_bytes);
  set_request_state(r, state);
  return state;
}

}  // namespace

const Mount* add_mount(apr_pool_t* pool, MountTable* table, Mount* mount) {
  mount->order = table->count++;
  if (mount->pattern != nullptr) {
    *static_cast<const Mount**>(apr_array_push(table->patterns)) = mount;
    return nullptr;
  }
  const auto key_length = static_cast<apr_ssize_t>(mount->prefix_length);
  auto* entry = static_cast<PrefixEntry*>(apr_hash_get(table->prefixes, mount->prefix, key_length));
  if (entry == nullptr) {
    entry = static_cast<PrefixEntry*>(apr_pcalloc(pool, sizeof(PrefixEntry)));
    apr_hash_set(table->prefixes, mount->prefix, key_length, entry);
  }
  if (entry->any != nullptr) return entry->any;
  if (!mount->below_only) {
    entry->any = mount;
    return nullptr;
  }
  if (entry->below_only != nullptr) return entry->below_only;
  entry->below_only = mount;
  return nullptr;
}

MountMatch find_mount(apr_pool_t* pool, const ServerConfig* config, const char* url) {
  MountMatch match;
  if (config->mounts->count != 0 && find_in_table(pool, config->mounts, url, &match)) return match;
  if (config->base != nullptr && config->base->mounts->count != 0 &&
      find_in_table(pool, config->base->mounts, url, &match)) {
    match.slot += config->mounts->count;
  }
  return match;
}

int translate_name(request_rec* r) noexcept {
  if (r->proxyreq != PROXYREQ_NONE || r->uri == nullptr || r->uri[0] != '/') return DECLINED;
  const MountMatch match = find_mount(r->pool, server_config(r->server), r->uri);
  if (match.mount == nullptr) return DECLINED;
  const Mount* mount = match.mount;
  if (match.failed) {
    log_request(r, APLOG_ERR, 0, Code::kSubstitutionFailed,
                "the target of WSGIScriptAliasMatch \"%s\" (%s) could not be built for this URL; shorten the target",
                mount->url, mount->where);
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  const char* target = match.target != nullptr ? match.target : mount->target;
  const char* path = apr_pstrcat(r->pool, target, r->uri + match.url_bytes, nullptr);
  if ((mount->directory || mount->pattern != nullptr) && has_parent_segment(path)) {
    log_request(r, APLOG_ERR, 0, Code::kTargetEscapes,
                "the URL would leave the folder of the mount \"%s\" (%s): \"%s\"", mount->url, mount->where, path);
    return HTTP_FORBIDDEN;
  }
  remember(r, match);
  r->filename = const_cast<char*>(path);
  r->handler = kScriptHandler;
  apr_table_setn(r->notes, "alias-forced-type", kScriptHandler);
  if (mount->directory) ap_set_context_info(r, mount->prefix, mount->target);
  return OK;
}

// Runs before mod_mime, which would take a ".ts" for video/mp2t and a ".gz" in the path for an encoding. A SetHandler
// still applies: core looks at it in the fixups.
int check_type(request_rec* r) noexcept {
  const RequestState* state = request_state(r);
  if (state == nullptr || r->handler == nullptr || std::strcmp(r->handler, kScriptHandler) != 0) return DECLINED;
  return OK;
}

const RequestState* mounted_request(request_rec* r) {
  const RequestState* state = request_state(r);
  if (state != nullptr && state->url == r->uri) return state;
  const char* forced = apr_table_get(r->notes, "alias-forced-type");
  if (forced == nullptr || std::strcmp(forced, kScriptHandler) != 0) return nullptr;
  const MountMatch match = find_mount(r->pool, server_config(r->server), r->uri);
  return match.mount != nullptr ? remember(r, match) : nullptr;
}

apr_size_t script_name_length(const request_rec* r, const RequestState* state) {
  apr_size_t length = std::strlen(r->uri);
  // The length that matched is the truth for a file. A target that has become a folder since the start goes the way
  // of the folders.
  if (state != nullptr && state->mount->pattern == nullptr && std::strcmp(state->mount->target, r->filename) == 0) {
    length = state->prefix_length;
  } else if (r->path_info != nullptr && r->path_info[0] != '\0') {
    length = static_cast<apr_size_t>(ap_find_path_info(r->uri, r->path_info));
  }
  while (length > 0 && r->uri[length - 1] == '/') --length;
  return length;
}

}  // namespace nwsgi::httpd_side
