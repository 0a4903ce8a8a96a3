// Fast path of the map_to_storage phase.
//
// Core walks the file system and merges <Directory>, <Files> and .htaccess configuration for every request. For a mount
// whose target is a file the result depends on nothing that a request can change, provided that no .htaccess file may
// apply and no symbolic link has to be checked; then httpd's own walk is run once for each (server, mount) in a child,
// on a request made up for the purpose, and its result is used from then on. <Location>, <If>, authentication and
// authorization are not part of the walk: httpd still runs them for each request.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

// Outcome of the walk for one mount of one server. Lives as long as the child.
struct ResolvedMount {
  bool usable;  // false: something can change between requests, core has to walk each time
  ap_conf_vector_t* per_dir_config;
  char* filename;
  apr_finfo_t finfo;
};

// Called once in each child before the first request.
void start_storage(apr_pool_t* child_pool);

// Hook.
int map_to_storage(request_rec* r) noexcept;

}  // namespace nwsgi::httpd_side
