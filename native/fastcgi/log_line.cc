#include "fastcgi/log_line.h"

#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

namespace nwsgi::fastcgi {

namespace {

const char* level_name(uint8_t level) {
  static constexpr const char* kNames[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};
  return kNames[level < 8 ? level : 7];
}

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
    lines.append(prefix, static_cast<size_t>(size)).append(text.substr(0, end)).push_back('\n');
    if (end == text.npos) return lines;
    text.remove_prefix(end + 1);
  }
}

void write_log(uint8_t level, std::string_view text) {
  const std::string lines = format_log(level, text);
  // What cannot be written is lost: there is nowhere else to say it.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, lines.data(), lines.size());
}

}  // namespace nwsgi::fastcgi
