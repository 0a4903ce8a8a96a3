// Lines of a worker's error log, which is its standard error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nwsgi::fastcgi {

// "[Sun Nov 22 13:49:42.123456 2026] [nwsgi:error] [pid 123] text", one for each line of the text.
std::string format_log(uint8_t level, std::string_view text);
// Any thread; one write(), so that lines of several processes do not mix.
void write_log(uint8_t level, std::string_view text);

}  // namespace nwsgi::fastcgi
