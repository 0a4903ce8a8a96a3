// Which options of node can be used in a server: WSGINodeOptions, and node-options= of process groups.
#pragma once

#include <apr_pools.h>

namespace nwsgi::httpd_side {

// Null when the option can be used, else what is wrong with it, in `pool`.
const char* check_node_option(apr_pool_t* pool, const char* option);

}  // namespace nwsgi::httpd_side
