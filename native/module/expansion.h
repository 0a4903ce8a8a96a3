// Names with %{...}: of process groups, application groups and callables.
//
//   %{GLOBAL}    the empty name: this process, or the environment that all share
//   %{SERVER}    name[:port] of the virtual host
//   %{HOST}      name[:port] that the client asked for
//   %{RESOURCE}  name[:port]|mount: one for each mounted application (the default application group)
//   %{ENV:name}  request note, else variable of the request (SetEnv, SetEnvIf, RewriteRule [E=]), else of the process;
//                a value that starts with '%' is expanded once more
#pragma once

#include <httpd.h>

#include <string_view>

namespace nwsgi::httpd_side {

enum class NameKind { kProcessGroup, kApplicationGroup, kCallable };

// Null when `value` can be used, else what is wrong with it, in `pool` (without code).
const char* check_name(apr_pool_t* pool, const char* value, NameKind kind);

// True when the name is the same for every request.
bool is_literal(const char* value);
// Value of a literal name: "" for %{GLOBAL}.
const char* literal_value(const char* value);

// The name for this request, in r->pool or static. `script_name` is the request's SCRIPT_NAME.
const char* expand_name(request_rec* r, const char* value, std::string_view script_name);

// An export's name: an ECMAScript identifier.
bool is_export_name(const char* name);

}  // namespace nwsgi::httpd_side
