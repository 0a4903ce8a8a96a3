// Just enough JSON to hand configuration to JavaScript.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace nwsgi::exchange {

// What the bytes above 0x7f are: parts of UTF-8 characters, or characters of their own.
enum class JsonText { kUtf8, kLatin1 };

// The text as a JSON string literal (also a valid JavaScript one).
inline std::string json_string(std::string_view text, JsonText kind = JsonText::kUtf8) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || (byte >= 0x80 && kind == JsonText::kLatin1)) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace nwsgi::exchange
