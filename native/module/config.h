// The configuration of the module: what the directives leave behind.
//
// Everything here lives in httpd's configuration pool and is read-only once the server runs; the parts that a child
// fills in lazily (the resolved mounts) belong to storage.cc and are reached through ServerConfig::slots.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <apr_hash.h>
#include <apr_tables.h>

#include <atomic>

namespace nwsgi::httpd_side {

enum class Flag : signed char { kUnset = -1, kOff = 0, kOn = 1 };
// What an application may be: WSGIApplicationType, application-type=. The gateway finds out what "auto" is.
inline constexpr const char* kApplicationTypes[] = {"auto", "wsgi", "node", "fetch"};

enum class HeadMapping : signed char { kUnset = -1, kOff, kOn, kAuto };
// Request bodies without a length: refused, passed on as they come, or read and measured first.
enum class ChunkedBodies : signed char { kUnset = -1, kOff, kOn, kBuffered };

// WSGIParkAfter, besides a time.
inline constexpr apr_interval_time_t kParkUnset = -3;
inline constexpr apr_interval_time_t kParkAuto = -2;
inline constexpr apr_interval_time_t kParkNever = -1;

// Options that a mount or a WSGIImportScript may carry; null and kUnset where not given.
struct MountOptions {
  const char* process_group;
  const char* application_group;
  const char* callable;
  const char* type;
  Flag pass_authorization;
};

// One WSGIScriptAlias or WSGIScriptAliasMatch.
struct Mount {
  unsigned order;        // position within its server's list
  const char* url;       // as configured
  const char* prefix;    // literal mounts: the URL without slashes at its end ("" for "/"); null for a pattern
  apr_size_t prefix_length;
  bool below_only;       // "/a/" matches "/a/…" but not "/a"
  ap_regex_t* pattern;   // null for a literal mount
  const char* target;    // absolute path; with $n for a pattern
  bool directory;        // the target holds scripts, the next URL segment names one
  MountOptions options;
  const char* where;     // "file:line"
};

// Mounts with the same prefix that can match at all: the first one of each kind.
struct PrefixEntry {
  const Mount* any;         // matches the prefix itself and what is below it
  const Mount* below_only;  // matches only what is below
};

// Mounts of one server in configuration order. Literal mounts are found through `prefixes` (one look-up for each
// segment of the URL, however many mounts there are); patterns have to be tried one by one.
struct MountTable {
  unsigned count;
  apr_hash_t* prefixes;          // prefix → PrefixEntry
  apr_array_header_t* patterns;  // const Mount*
};

// One WSGIImportScript, or a mount that is to be loaded at child start.
struct PreloadEntry {
  const char* script;
  const char* callable;  // null: what the server says; "": none is needed, the script is only imported (Python)
  const char* type;      // null: what the server says
  const char* process_group;  // "" for the server's own processes
  const char* application_group;
};

struct ResolvedMount;  // storage.h
struct PythonSettings;  // python_settings.h

struct ServerConfig {
  MountTable* mounts;
  const ServerConfig* base;       // the main server's, asked when no mount of a virtual host matches; null there
  apr_array_header_t* preloads;   // PreloadEntry
  apr_array_header_t* node_options;  // const char*; main server only
  PythonSettings* python;            // main server only
  // Resolved mounts of this server in this child: own mounts first, then those of `base`. Null until the first one
  // is resolved. Each server has its own, because <Directory> sections differ between virtual hosts.
  std::atomic<std::atomic<const ResolvedMount*>*> slots;
};

struct DirConfig {
  const char* process_group;
  const apr_array_header_t* restrict_process;  // const char*: the only process groups allowed, "" for %{GLOBAL}; null: any
  const char* application_group;
  const char* callable;
  const char* type;             // one of kApplicationTypes
  const apr_array_header_t* env;  // const char*, "NAME=value" of WSGIApplicationEnv: of two with one name the later wins
  Flag pass_authorization;
  Flag script_reloading;
  ChunkedBodies chunked_request;
  Flag enable_sendfile;
  Flag development_errors;
  HeadMapping map_head;
  apr_interval_time_t request_timeout;  // -1: not set; 0: none
  apr_interval_time_t park_after;       // or one of kPark…
};

// What the hooks of one request tell each other; in r->request_config.
struct RequestState {
  const char* url;          // r->uri when the mount matched
  const Mount* mount;
  unsigned mount_slot;      // index into ServerConfig::slots
  unsigned prefix_length;   // bytes of r->uri that matched; literal mounts: SCRIPT_NAME
};

void* create_server_config(apr_pool_t* pool, server_rec* server);
void* merge_server_config(apr_pool_t* pool, void* base, void* add);
void* create_dir_config(apr_pool_t* pool, char* directory);
void* merge_dir_config(apr_pool_t* pool, void* base, void* add);

// Gives every virtual host a ServerConfig of its own (httpd lets those without directives of ours share the base's).
void separate_server_configs(apr_pool_t* pool, server_rec* main_server);

ServerConfig* server_config(const server_rec* server);
const DirConfig* dir_config(const request_rec* r);
// The server-wide defaults of the per-directory settings.
const DirConfig* default_dir_config(const server_rec* server);

// Null unless one of our mounts matched the request.
RequestState* request_state(const request_rec* r);
void set_request_state(request_rec* r, RequestState* state);

inline bool is_on(Flag flag, bool otherwise) { return flag == Flag::kUnset ? otherwise : flag == Flag::kOn; }

}  // namespace nwsgi::httpd_side
