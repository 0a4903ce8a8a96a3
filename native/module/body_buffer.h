// WSGIChunkedRequest Buffered: a request body without a length gets one, for applications that read CONTENT_LENGTH bytes.
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

// Reads the whole body, which ap_setup_client_block() has accepted as chunked: 64 KiB are kept in memory, more of it in a
// temporary file that has no name. Afterwards the request looks as if it had been sent with Content-Length. Waits for the
// client. Returns OK, or what the handler has to return; it is logged then.
int buffer_body(request_rec* r);

}  // namespace nwsgi::httpd_side
