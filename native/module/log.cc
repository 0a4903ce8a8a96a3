#include "module/log.h"

#include <apr_strings.h>
#include <http_main.h>

#include <cstdarg>
#include <cstdio>
#include <string>

namespace nwsgi::httpd_side {
namespace {

// httpd builds an entry in 8192 bytes and cuts what does not fit: time, module, addresses and ids of the request, the
// escaped text, the referer. This much is left for the text whatever ErrorLogFormat says.
constexpr size_t kLongestText = 7000;

// Bytes that httpd makes of one byte of the text (ap_escape_errorlog_item).
size_t escaped_size(unsigned char c) {
  if (c >= 0x7f) return 4;
  if (c >= ' ') return c == '\\' ? 2 : 1;
  return (c >= '\b' && c <= '\r' && c != '\f') ? 2 : 4;
}

bool continues_character(unsigned char c) { return (c & 0xc0) == 0x80; }

// How much of a line goes into one entry, so that httpd cuts nothing; UTF-8 characters stay whole.
size_t entry_size(std::string_view line) {
  size_t room = kLongestText;
  size_t size = 0;
  while (size < line.size()) {
    const size_t cost = escaped_size(static_cast<unsigned char>(line[size]));
    if (cost > room) break;
    room -= cost;
    ++size;
  }
  size_t whole = size;
  while (whole > 0 && whole < line.size() && size - whole < 4 && continues_character(static_cast<unsigned char>(line[whole]))) {
    --whole;
  }
  return whole > 0 && size - whole < 4 ? whole : size;
}

// Calls write(size, text) for each entry that the text makes: one for each line, more for a very long one.
template <typename Write>
void for_each_entry(std::string_view text, Write write) {
  std::string without_nul;
  if (text.find('\0') != std::string_view::npos) {
    for (const char c : text) c == '\0' ? without_nul.append("\\x00") : without_nul.append(1, c);
    text = without_nul;
  }
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    do {
      const size_t size = entry_size(line);
      write(static_cast<int>(size), line.data());
      line.remove_prefix(size);
    } while (!line.empty());
  }
}

std::string format_message(Code code, const char* format, va_list arguments) {
  char text[kLongestText];
  const int prefix = std::snprintf(text, sizeof text, "NWSGI%04d ", static_cast<int>(code));
  std::vsnprintf(text + prefix, sizeof text - static_cast<size_t>(prefix), format, arguments);
  return text;
}

}  // namespace

const char* config_error(const cmd_parms* cmd, Code code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const char* message = apr_pvsprintf(cmd->pool, format, arguments);
  va_end(arguments);
  return apr_psprintf(cmd->pool, "%s: NWSGI%04d %s", cmd->cmd->name, static_cast<int>(code), message);
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
  for_each_entry(text, [&](int size, const char* line) { ap_log_rerror(APLOG_MARK, level, 0, r, "%.*s", size, line); });
}

void log_failure(request_rec* r, int level, const exchange::Failure& failure) {
  log_request_text(r, level, failure.code + ' ' + failure.message);
}

void log_server_text(server_rec* server, int level, std::string_view text) {
  if (server == nullptr) server = ap_server_conf;
  for_each_entry(text,
                 [&](int size, const char* line) { ap_log_error(APLOG_MARK, level, 0, server, "%.*s", size, line); });
}

}  // namespace nwsgi::httpd_side
