#include "exchange/record.h"

#include <cstring>

namespace nwsgi::exchange {

namespace {
constexpr size_t kLongest = 0x7fffffff;
}

bool RecordWriter::add(std::string_view name, std::string_view value) {
  if (name.size() > kLongest || value.size() > kLongest) return false;
  char* const at = add_lengths(name.size(), value.size());
  std::memcpy(at, name.data(), name.size());
  std::memcpy(at + name.size(), value.data(), value.size());
  return true;
}

bool RecordWriter::add_header(std::string_view header_name, std::string_view value) {
  if (header_name.size() >= kLongest || value.size() > kLongest) return false;
  char* const at = add_lengths(header_name.size() + 1, value.size());
  *at = ':';
  std::memcpy(at + 1, header_name.data(), header_name.size());
  std::memcpy(at + 1 + header_name.size(), value.data(), value.size());
  return true;
}

// Writes both lengths and makes room for the texts; returns where they go.
char* RecordWriter::add_lengths(size_t name, size_t value) {
  const size_t begin = bytes_.size();
  const size_t prefix = (name < 0x80 ? 1 : 4) + (value < 0x80 ? 1 : 4);
  bytes_.resize(begin + prefix + name + value);
  char* at = bytes_.data() + begin;
  for (const size_t length : {name, value}) {
    if (length >= 0x80) {
      *at++ = static_cast<char>(0x80 | (length >> 24));
      *at++ = static_cast<char>(length >> 16);
      *at++ = static_cast<char>(length >> 8);
    }
    *at++ = static_cast<char>(length);
  }
  return at;
}

bool RecordReader::read_length(size_t* length) {
  if (rest_.empty()) return false;
  const auto byte = [this](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(rest_[i])); };
  if (byte(0) < 0x80) {
    *length = byte(0);
    rest_.remove_prefix(1);
    return true;
  }
  if (rest_.size() < 4) return false;
  *length = ((byte(0) & 0x7f) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3);
  rest_.remove_prefix(4);
  return true;
}

bool RecordReader::next(std::string_view* name, std::string_view* value) {
  size_t name_length = 0;
  size_t value_length = 0;
  if (!read_length(&name_length) || !read_length(&value_length)) return false;
  if (rest_.size() < name_length || rest_.size() - name_length < value_length) return false;
  *name = rest_.substr(0, name_length);
  *value = rest_.substr(name_length, value_length);
  rest_.remove_prefix(name_length + value_length);
  return true;
}

}  // namespace nwsgi::exchange
