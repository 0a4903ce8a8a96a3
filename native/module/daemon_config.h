// Process groups of daemon mode: what WSGIDaemonProcess says, and what the parent made of it.
//
// Everything here lives in httpd's configuration pool and is read-only once children run. The parent fills in the
// second half of a DaemonGroup in post_config of the real start (never in `configtest`); children inherit it by fork.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <apr_tables.h>

#include <cstddef>
#include <cstdint>

namespace nwsgi::httpd_side {

// Options of WSGIDaemonProcess. Numbers are 64 bits wide, whatever they count, so that one table describes them all
// (daemon_options.cc): durations in milliseconds, sizes in bytes; 0 means off or unlimited unless said otherwise.
struct DaemonOptions {
  // How many.
  int64_t processes;      // workers at the start of a pool
  int64_t min_processes;  // = processes unless given
  int64_t max_processes;  // = processes unless given
  int64_t threads;        // most requests at a time in one worker; 0: not given

  // Who and where. Ids are looked up when the configuration is read; -1: what Apache's User and Group say.
  int64_t uid;
  int64_t gid;
  const char* user;                  // name for initgroups(); null: Apache's
  const apr_array_header_t* supplementary_gids;  // gid_t; null: those of the user
  int64_t socket_uid;                // owner of the hello socket; -1: Apache's User
  int64_t script_uid;                // -1: any owner
  int64_t script_gid;                // -1: any group
  int64_t umask;                     // -1: inherited
  const char* home;                  // null: see daemon_launch.cc
  const char* chroot;
  const char* lang;
  const char* locale;
  const char* display_name;
  int64_t cpu_priority;              // -20 to 20; 0: inherited

  // Node.
  const char* node;                        // path as configured; null: found in PATH
  const apr_array_header_t* node_options;  // const char*
  const apr_array_header_t* env;           // const char*, NAME=value

  // Python; null, 0: what the directives say.
  const char* python_home;
  const apr_array_header_t* python_path;  // const char*
  const char* python_eggs;
  int64_t switch_interval;                // microseconds

  // When workers are replaced.
  int64_t maximum_requests;
  int64_t maximum_requests_jitter;  // per cent
  int64_t restart_interval;
  int64_t cpu_time_limit;
  int64_t inactivity_timeout;
  int64_t memory_soft_limit;
  int64_t memory_limit;
  int64_t virtual_memory_limit;
  int64_t heap_limit;

  // How long things may take.
  int64_t request_timeout;
  int64_t interrupt_timeout;
  int64_t deadlock_timeout;
  int64_t startup_timeout;
  int64_t graceful_timeout;
  int64_t eviction_timeout;
  int64_t shutdown_timeout;
  int64_t connect_timeout;
  int64_t socket_timeout;  // 0: httpd's Timeout of the virtual host
  int64_t queue_timeout;
  int64_t queue_limit;

  // Sockets and buffers.
  int64_t listen_backlog;
  int64_t send_buffer_size;      // 0: the system's
  int64_t receive_buffer_size;   // 0: the system's
  int64_t header_buffer_size;    // longest line of a response's head
  int64_t response_buffer_size;  // without effect: the leg takes no more than exchange::kHighWater ahead of the client
};

// Where threads= is not given: requests of JavaScript share one thread, and cost memory only.
inline constexpr int64_t kJavaScriptThreads = 256;
inline constexpr int64_t kPythonThreads = 15;

struct DaemonGroup {
  const char* name;
  unsigned index;  // position in daemon_groups(): children keep what they know of a group in an array
  DaemonOptions options;
  const char* where;                  // "file:line" of the first declaration
  bool everywhere;                    // declared outside of virtual hosts
  const apr_array_header_t* servers;  // server_rec* of the virtual hosts that declare it

  // From here on: set by the parent before it forks children, null in `configtest`.
  const char* socket_path;  // of the hello socket
  const char* chroot;       // root of the group's file system; null for the system's
  char* scoreboard;         // the shared mapping (exchange/scoreboard.h)
  size_t scoreboard_size;
};

// All groups (DaemonGroup*) of the configuration. Never null after post_config; empty when there are none.
const apr_array_header_t* daemon_groups();

enum class GroupSearch { kFound, kUnknown, kNotReachable, kRestricted };

struct GroupResult {
  GroupSearch search;
  const DaemonGroup* group;  // null unless kFound
};

// The group that requests of this server may use under this name. A group that a virtual host declares is usable there
// and in hosts of the same ServerName. WSGIRestrictProcess is not looked at.
GroupResult find_daemon_group(const server_rec* server, const char* name);

// The same for a request: names that WSGIRestrictProcess does not list are refused. `name` is not empty.
GroupResult find_daemon_group(const request_rec* r, const char* name);

// More than one worker may run the same application.
inline bool is_multiprocess(const DaemonGroup& group) { return group.options.max_processes > 1; }

// WSGIRestrictProcess: whether the request may name this group; "" for %{GLOBAL}.
bool process_group_allowed(const request_rec* r, const char* name);

// True unless WSGIRestrictEmbedded On: %{GLOBAL} may be used.
bool embedded_mode_allowed();

// script-user=, script-group=: null when the script and its folder are as the group wants them, else what is wrong
// (403), in `pool`.
const char* check_script_owner(apr_pool_t* pool, const DaemonGroup& group, const char* script);

// Hooks. pre_config: forgets the groups of the last configuration. check_config: every group that is named is declared.
int begin_configuration(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp) noexcept;
int check_group_references(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* server) noexcept;

}  // namespace nwsgi::httpd_side
