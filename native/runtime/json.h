// Just enough JSON to hand configuration to the gateway.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace nwsgi::runtime {

// The text as a JSON string literal (also a valid JavaScript one). Bytes above 0x7f are passed as they are: UTF-8.
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace nwsgi::runtime
