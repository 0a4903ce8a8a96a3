// Output that never blocks, although it is flushed.
//
// httpd's last output filter writes a FLUSH bucket's brigade to its end, however long the client takes. Without one, other
// filters (mod_deflate, mod_ssl) would keep what they have. So this filter, right before the last one, lets them see the
// bucket and takes it out where a parked connection asks for that; its owner then writes what is pending when the
// socket takes it (pending_output.h).
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

void register_soft_flush();
// For the rest of the connection's life. `r`: the request that is served on it.
void add_soft_flush(request_rec* r);

}  // namespace nwsgi::httpd_side
