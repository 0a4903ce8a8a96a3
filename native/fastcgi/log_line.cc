#include "fastcgi/log_line.h"

#include <poll.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

namespace nwsgi::fastcgi {

namespace {

const char* level_name(uint8_t level) {
  static constexpr const char* kNames[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};
  return kNames[level < 8 ? level : 7];
}

// Control characters would let a line look like another one, or command a terminal.
void append_escaped(std::string* lines, std::string_view line) {
  static constexpr char kDigits[] = "0123456789abcdef";
  static constexpr std::string_view kLetters = "\b\t\v\r";
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) lines->push_back(c);
    else if (const size_t known = kLetters.find(c); known != kLetters.npos) lines->append({'\\', "btvr"[known]});
    else lines->append({'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]});
  }
}

// A full pipe is tried again, but it must not stop a worker for good.
constexpr int kTries = 50;
constexpr int kPauseMilliseconds = 2;

}  // namespace

std::string format_log(uint8_t level, std::string_view text) {
  timeval now{};
  ::gettimeofday(&now, nullptr);
  tm local{};
  ::localtime_r(&now.tv_sec, &local);
  char day[32];
  std::strftime(day, sizeof day, "%a %b %d %H:%M:%S", &local);
  char prefix[128];
  const int size = std::snprintf(prefix, sizeof prefix, "[%s.%06ld %d] [nwsgi:%s] [pid %d] ", day,
                                 static_cast<long>(now.tv_usec), local.tm_year + 1900, level_name(level),
                                 static_cast<int>(::getpid()));
  std::string lines;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  for (;;) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.append(prefix, static_cast<size_t>(size));
    append_escaped(&lines, line);
    lines.push_back('\n');
    if (end == text.npos) return lines;
    text.remove_prefix(end + 1);
  }
}

void write_log(uint8_t level, std::string_view text) {
  const std::string lines = format_log(level, text);
  size_t at = 0;
  for (int tries = 0; at < lines.size() && tries < kTries;) {
    const ssize_t written = ::write(STDERR_FILENO, lines.data() + at, lines.size() - at);
    if (written >= 0) {
      at += static_cast<size_t>(written);
      continue;
    }
    // What cannot be written is lost: there is nowhere else to say it.
    if (errno != EAGAIN && errno != EINTR) return;
    ++tries;
    pollfd standard_error{STDERR_FILENO, POLLOUT, 0};
    ::poll(&standard_error, 1, kPauseMilliseconds);
  }
}

}  // namespace nwsgi::fastcgi
