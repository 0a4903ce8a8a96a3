// The content handler: checks that the request may run, hands it to the application host and talks to the client
// until the answer is complete.
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

inline constexpr const char* kScriptHandler = "wsgi-script";
inline constexpr const char* kScriptHandlerMime = "application/x-httpd-wsgi";

int handle_request(request_rec* r) noexcept;

}  // namespace nwsgi::httpd_side
