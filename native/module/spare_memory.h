// Memory that the pools of a waiting connection have no use for: passed on to connections that are being served.
//
// APR keeps what pools give back in the allocator of their connection (up to MaxMemFree, 2 MiB for each). So a connection that
// was served once holds three blocks of 8 KiB while it waits: what its request was read into, the request's pool, the
// response's head. For ten thousand connections that is more than all else that they need. Where many are parked, the blocks
// go to a store that all of them share, and from there to whichever connection is served next; what the store has too much
// of goes back to the system.
// Threads: the one that serves the connection.
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

// At child start.
void prepare_spare_memory(apr_pool_t* child_pool);

// Before the connection is served: what that will take.
void lend_memory(conn_rec* c) noexcept;
// Before it waits. `just_read`: its request, when that was read since; the input filter still holds the block for it.
void collect_memory(conn_rec* c, const request_rec* just_read) noexcept;

}  // namespace nwsgi::httpd_side
