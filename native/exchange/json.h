// Just enough JSON to hand configuration to JavaScript.
#pragma once

#include <cstdint>
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

// An object, member by member.
class JsonObject {
 public:
  void add(std::string_view name, std::string_view text, JsonText kind = JsonText::kUtf8) { add_json(name, json_string(text, kind)); }
  void add(std::string_view name, const char* text) { add(name, std::string_view(text)); }
  void add(std::string_view name, int64_t number) { add_json(name, std::to_string(number)); }
  void add(std::string_view name, bool value) { add_json(name, value ? "true" : "false"); }
  // `json` is a value already.
  void add_json(std::string_view name, std::string_view json) {
    if (text_.size() > 1) text_ += ',';
    text_ += json_string(name);
    text_ += ':';
    text_ += json;
  }
  std::string text() const { return text_ + '}'; }

 private:
  std::string text_ = "{";
};

// An array of values that are JSON already.
template <typename Values>
std::string json_array(const Values& values) {
  std::string text = "[";
  for (const std::string_view value : values) {
    if (text.size() > 1) text += ',';
    text += value;
  }
  return text + ']';
}

}  // namespace nwsgi::exchange
