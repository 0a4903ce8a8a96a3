// Trailers of chunked HTTP/1.1 responses, which httpd 2.4 does not send by itself.
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

// Once, with the module's hooks.
void register_trailer_filter();
// Sends r->trailers_out after the response's last chunk. Without effect where the response is not chunked. Before the end of
// the response is passed on.
void add_trailer_filter(request_rec* r);

}  // namespace nwsgi::httpd_side
