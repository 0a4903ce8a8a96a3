// httpd's own limits where many requests are parked.
#pragma once

#include <httpd.h>

#include <cstddef>

namespace nwsgi::httpd_side {

// Hook, in the parent: says at the start of the server how many connections a child takes, and what to write for more.
int report_parking_limits(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* server) noexcept;

// Above it the MPM takes no more, those that are the module's included. Known once the configuration was read.
size_t most_connections_of_child();

}  // namespace nwsgi::httpd_side
