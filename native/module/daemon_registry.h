// What the directives of daemon mode leave behind while the configuration is read; for the files daemon_*.cc only. The
// rest of the module asks daemon_config.h.
//
// Lifetime: one for each time the configuration is read, in its pool. Main thread only until children run.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <apr_hash.h>
#include <apr_tables.h>

#include "module/daemon_config.h"

namespace nwsgi::httpd_side {

// A process group that is named by a directive or option. Groups may be declared further down.
struct GroupReference {
  const char* name;
  const server_rec* server;
  const char* directive;
  const char* where;  // "file:line"
};

struct DaemonRegistry {
  apr_array_header_t* groups;      // DaemonGroup*
  apr_hash_t* by_name;             // DaemonGroup*
  apr_array_header_t* references;  // GroupReference
  const char* socket_prefix;       // null: the default
  bool restrict_embedded;
};

DaemonRegistry& daemon_registry();

}  // namespace nwsgi::httpd_side
