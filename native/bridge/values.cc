#include "bridge/values.h"

#include <cstdlib>
#include <cstring>

namespace nwsgi::bridge {

uint64_t to_handle(const Napi::Value& value) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) != napi_ok || !(number > 0) || number > 9007199254740991.0) {
    return 0;
  }
  return static_cast<uint64_t>(number);
}

std::string to_latin1(const Napi::Value& value) {
  char small[2048];
  size_t length = 0;
  if (napi_get_value_string_latin1(value.Env(), value, small, sizeof small, &length) != napi_ok) return {};
  if (length < sizeof small - 1) return std::string(small, length);
  if (napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length) != napi_ok) return {};
  std::string text(length + 1, '\0');
  napi_get_value_string_latin1(value.Env(), value, text.data(), text.size(), &length);
  text.resize(length);
  return text;
}

std::string to_utf8(const Napi::Value& value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &length) != napi_ok) return {};
  std::string text(length + 1, '\0');
  napi_get_value_string_utf8(value.Env(), value, text.data(), text.size(), &length);
  text.resize(length);
  return text;
}

namespace {

bool string_to_chunk(const Napi::Value& value, exchange::Chunk* chunk) {
  size_t length = 0;
  if (napi_get_value_string_utf8(value.Env(), value, nullptr, 0, &length) != napi_ok) return false;
  if (length == 0) return true;
  chunk->data = static_cast<char*>(std::malloc(length + 1));  // Node-API writes a terminating NUL
  if (chunk->data == nullptr) return false;
  napi_get_value_string_utf8(value.Env(), value, chunk->data, length + 1, &chunk->size);
  return true;
}

}  // namespace

bool to_chunk(const Napi::Value& value, exchange::Chunk* chunk) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(value.Env(), value, &type) != napi_ok) return false;
  if (type == napi_undefined) return true;
  if (type == napi_string) return string_to_chunk(value, chunk);
  if (type != napi_object) return false;
  bool is_typed_array = false;
  napi_typedarray_type element = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(value.Env(), value, &is_typed_array) != napi_ok || !is_typed_array) return false;
  if (napi_get_typedarray_info(value.Env(), value, &element, &length, &data, nullptr, nullptr) != napi_ok) return false;
  if (element != napi_uint8_array && element != napi_uint8_clamped_array) return false;
  if (length == 0) return true;
  chunk->data = static_cast<char*>(std::malloc(length));
  if (chunk->data == nullptr) return false;
  std::memcpy(chunk->data, data, length);
  chunk->size = length;
  return true;
}

}  // namespace nwsgi::bridge
