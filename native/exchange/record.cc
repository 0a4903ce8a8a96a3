#include "exchange/record.h"

namespace nwsgi::exchange {

namespace {
constexpr size_t kLongest = 0x7fffffff;
}

bool RecordWriter::add(std::string_view name, std::string_view value) {
  if (name.size() > kLongest || value.size() > kLongest) return false;
  add_length(name.size());
  add_length(value.size());
  bytes_.append(name);
  bytes_.append(value);
  return true;
}

bool RecordWriter::add_header(std::string_view header_name, std::string_view value) {
  if (header_name.size() > kLongest - 5 || value.size() > kLongest) return false;
  add_length(header_name.size() + 5);
  add_length(value.size());
  bytes_.append("HTTP_", 5);
  for (char c : header_name) {
    if (c == '-') {
      c = '_';
    } else if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    }
    bytes_.push_back(c);
  }
  bytes_.append(value);
  return true;
}

void RecordWriter::add_length(size_t length) {
  if (length < 0x80) {
    bytes_.push_back(static_cast<char>(length));
    return;
  }
  bytes_.push_back(static_cast<char>(0x80 | (length >> 24)));
  bytes_.push_back(static_cast<char>(length >> 16));
  bytes_.push_back(static_cast<char>(length >> 8));
  bytes_.push_back(static_cast<char>(length));
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
