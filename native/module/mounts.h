// Which mount a URL belongs to. The rule is mod_wsgi's: the first match in configuration order wins, the virtual host's
// own list before the main server's.
#pragma once

#include "module/config.h"

namespace nwsgi::httpd_side {

struct MountMatch {
  const Mount* mount = nullptr;
  unsigned slot = 0;           // index into ServerConfig::slots
  apr_size_t url_bytes = 0;    // bytes of the URL up to the end of what matched; the rest follows the target
  const char* target = nullptr;  // patterns: the target after substitution
  bool failed = false;         // the substitution of a pattern failed
};

// Appends the mount to its table. Returns the earlier mount that hides it altogether, or null.
const Mount* add_mount(apr_pool_t* pool, MountTable* table, Mount* mount);

// The match for `url`, a decoded URL path; match.mount is null when there is none. `pool` is the request's.
MountMatch find_mount(apr_pool_t* pool, const ServerConfig* config, const char* url);

// The mount that brought the request here; null for SetHandler and AddHandler. Survives the redirects inside httpd that
// keep the request but exchange its URL (DirectoryIndex).
const RequestState* mounted_request(request_rec* r);

// The SCRIPT_NAME of the request as a length into r->uri; what follows is PATH_INFO. Never "/" alone.
apr_size_t script_name_length(const request_rec* r, const RequestState* state);

// Hooks.
int translate_name(request_rec* r) noexcept;
int check_type(request_rec* r) noexcept;

}  // namespace nwsgi::httpd_side
