// Log lines of the module: every line that an operator may have to act on starts with its NWSGI code.
//
// Messages of several lines (JavaScript stacks) become one log entry for each, because httpd escapes line feeds, and a
// line that is too long for an entry becomes several; those of a request keep together by its id (ErrorLogFormat's %L).
#pragma once

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>

#include <string_view>

#include "exchange/exchange.h"
#include "module/error_codes.h"

// The only symbol that httpd looks up; the build hides all others.
#pragma GCC visibility push(default)
extern "C" {
APLOG_USE_MODULE(nwsgi);
}
#pragma GCC visibility pop

namespace nwsgi::httpd_side {

// "WSGIScriptAlias: NWSGI1101 <message>": what a directive's setter returns. httpd puts file and line in front.
__attribute__((format(printf, 3, 4)))
const char* config_error(const cmd_parms* cmd, Code code, const char* format, ...);

__attribute__((format(printf, 5, 6)))
void log_request(request_rec* r, int level, apr_status_t status, Code code, const char* format, ...);

// Usable from any thread; a null server stands for the main server.
__attribute__((format(printf, 5, 6)))
void log_server(server_rec* server, int level, apr_status_t status, Code code, const char* format, ...);

// Text that carries its own code, or that is the application's. NUL bytes are written as \x00.
void log_request_text(request_rec* r, int level, std::string_view text);
void log_failure(request_rec* r, int level, const exchange::Failure& failure);
void log_server_text(server_rec* server, int level, std::string_view text);

}  // namespace nwsgi::httpd_side
