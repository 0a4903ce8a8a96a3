#include "module/log.h"

#include <apr_strings.h>
#include <http_main.h>

#include <cstdarg>
#include <cstdio>
#include <string>

namespace nwsgi::httpd_side {
namespace {

// httpd cuts log lines at MAX_STRING_LEN; longer than this is never shown.
constexpr size_t kLongestLine = 7000;

std::string format_message(Code code, const char* format, va_list arguments) {
  char text[kLongestLine];
  const int prefix = std::snprintf(text, sizeof text, "NWSGI%04d: ", static_cast<int>(code));
  std::vsnprintf(text + prefix, sizeof text - static_cast<size_t>(prefix), format, arguments);
  return text;
}

template <typename Write>
void for_each_line(std::string_view text, Write write) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > kLongestLine) line = line.substr(0, kLongestLine);
    write(static_cast<int>(line.size()), line.data());
  }
}

}  // namespace

const char* config_error(const cmd_parms* cmd, Code code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const char* message = apr_pvsprintf(cmd->pool, format, arguments);
  va_end(arguments);
  return apr_psprintf(cmd->pool, "NWSGI%04d: %s: %s", static_cast<int>(code), cmd->cmd->name, message);
}

void log_request(request_rec* r, int level, apr_status_t status, Code code, const char* format, ...) {
  if (!APLOG_R_IS_LEVEL(r, level)) return;
  va_list arguments;
  va_start(arguments, format);
  const std::string message = format_message(code, format, arguments);
  va_end(arguments);
  ap_log_rerror(APLOG_MARK, level, status, r, "%s", message.c_str());
}

void log_server(server_rec* server, int level, apr_status_t status, Code code, const char* format, ...) {
  if (server == nullptr) server = ap_server_conf;
  va_list arguments;
  va_start(arguments, format);
  const std::string message = format_message(code, format, arguments);
  va_end(arguments);
  ap_log_error(APLOG_MARK, level, status, server, "%s", message.c_str());
}

void log_request_text(request_rec* r, int level, std::string_view text) {
  if (!APLOG_R_IS_LEVEL(r, level)) return;
  for_each_line(text, [&](int size, const char* line) { ap_log_rerror(APLOG_MARK, level, 0, r, "%.*s", size, line); });
}

void log_server_text(server_rec* server, int level, std::string_view text) {
  if (server == nullptr) server = ap_server_conf;
  for_each_line(text,
                [&](int size, const char* line) { ap_log_error(APLOG_MARK, level, 0, server, "%.*s", size, line); });
}

}  // namespace nwsgi::httpd_side
