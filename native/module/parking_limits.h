// httpd's own limits where many requests are parked.
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

// Hook, in the parent: says at the start of the server how many connections a child takes, and what to write for more.
int report_parking_limits(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* server) noexcept;

}  // namespace nwsgi::httpd_side
