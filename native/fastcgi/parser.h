// Takes the bytes of a connection apart into FastCGI records, however they were cut on their way. Contents are handed on as
// they come, so that no record is ever held as a whole: a receiver that needs one puts its pieces together.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "exchange/fastcgi.h"

namespace nwsgi::fastcgi {

namespace wire = exchange::fastcgi;

class RecordParser {
 public:
  // `on_piece(header, bytes, last)` is called for every piece of every record's content; once with no bytes for an empty
  // record. It returns false to stop (a protocol error, or the connection is given up). feed() is false then, and for bytes
  // that are no FastCGI.
  template <typename OnPiece>
  bool feed(std::string_view bytes, OnPiece on_piece) {
    while (!bytes.empty()) {
      if (header_bytes_ < wire::kHeaderSize) {
        if (!take_header(&bytes)) return false;
        if (header_bytes_ < wire::kHeaderSize) return true;
        content_left_ = header_.length;
        padding_left_ = header_.padding;
        if (content_left_ == 0 && !on_piece(header_, std::string_view(), true)) return false;
      }
      if (content_left_ != 0) {
        const size_t size = std::min<size_t>(content_left_, bytes.size());
        content_left_ -= size;
        const std::string_view piece = bytes.substr(0, size);
        bytes.remove_prefix(size);
        if (size != 0 && !on_piece(header_, piece, content_left_ == 0)) return false;
      }
      const size_t padding = std::min<size_t>(padding_left_, bytes.size());
      padding_left_ -= padding;
      bytes.remove_prefix(padding);
      if (content_left_ == 0 && padding_left_ == 0) header_bytes_ = 0;
    }
    return true;
  }

  // In the middle of a record.
  bool inside() const { return header_bytes_ != 0; }
  void reset() { *this = RecordParser(); }

 private:
  bool take_header(std::string_view* bytes) {
    const size_t size = std::min(wire::kHeaderSize - header_bytes_, bytes->size());
    const char* at = bytes->data();
    if (size < wire::kHeaderSize) {
      std::memcpy(header_text_ + header_bytes_, at, size);
      at = header_text_;
    }
    header_bytes_ += size;
    bytes->remove_prefix(size);
    // The version is looked at as soon as it is there: strangers that speak HTTP need not be waited for.
    if (wire::byte_at(at) != wire::kVersion) return false;
    return header_bytes_ < wire::kHeaderSize || wire::get_header(at, &header_);
  }

  wire::Header header_;
  char header_text_[wire::kHeaderSize];
  size_t header_bytes_ = 0;
  size_t content_left_ = 0;
  size_t padding_left_ = 0;
};

}  // namespace nwsgi::fastcgi
