#include "exchange/fastcgi.h"

#include <algorithm>

namespace nwsgi::exchange::fastcgi {

namespace {

constexpr size_t kFailureHeader = 7;
// Longer lines of a log are cut: nobody reads them, and the other side has to hold them.
constexpr size_t kLongestLog = 1024 * 1024;

char* grow(std::string* out, size_t by) {
  const size_t at = out->size();
  out->resize(at + by);
  return out->data() + at;
}

// Cuts head + text into records without making one string of them first.
void append_pieces(std::string* out, Type type, uint16_t id, std::string_view head, std::string_view text) {
  out->reserve(out->size() + kHeaderSize + head.size() + text.size());
  do {
    const size_t from_head = std::min(head.size(), kLongestContent);
    const size_t from_text = std::min(text.size(), kLongestContent - from_head);
    const bool more = from_head != head.size() || from_text != text.size();
    char* const at = grow(out, kHeaderSize + from_head + from_text);
    put_header(at, type, id, from_head + from_text, more ? kMore : 0);
    if (from_head != 0) std::memcpy(at + kHeaderSize, head.data(), from_head);
    if (from_text != 0) std::memcpy(at + kHeaderSize + from_head, text.data(), from_text);
    head.remove_prefix(from_head);
    text.remove_prefix(from_text);
  } while (!head.empty() || !text.empty());
}

}  // namespace

void append_record(std::string* out, Type type, uint16_t id, std::string_view content, uint8_t reserved) {
  char* const at = grow(out, kHeaderSize + content.size());
  put_header(at, type, id, content.size(), reserved);
  if (!content.empty()) std::memcpy(at + kHeaderSize, content.data(), content.size());
}

void append_text(std::string* out, Type type, uint16_t id, std::string_view text) {
  append_pieces(out, type, id, {}, text);
}

void append_stream(std::string* out, Type type, uint16_t id, std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t piece = bytes.size() <= kLongestContent ? bytes.size() : kDataPiece;
    append_record(out, type, id, bytes.substr(0, piece));
    bytes.remove_prefix(piece);
  }
}

void append_begin(std::string* out, uint16_t id, uint8_t flags) {
  char content[8] = {};
  put16(content, kResponder);
  content[2] = static_cast<char>(flags);
  append_record(out, Type::kBeginRequest, id, {content, sizeof content});
}

void append_end(std::string* out, uint16_t id, uint32_t app_status, ProtocolStatus status) {
  char content[8] = {};
  put32(content, app_status);
  content[4] = static_cast<char>(status);
  append_record(out, Type::kEndRequest, id, {content, sizeof content});
}

void append_log(std::string* out, uint16_t id, uint8_t level, std::string_view text) {
  const char head = static_cast<char>(level);
  append_pieces(out, Type::kLog, id, {&head, 1}, text.substr(0, kLongestLog));
}

void append_want_body(std::string* out, uint16_t id, uint32_t credit) {
  char content[4];
  put32(content, credit);
  append_record(out, Type::kWantBody, id, {content, sizeof content});
}

void append_failure(std::string* out, uint16_t id, const Failure& failure) {
  const std::string_view code = std::string_view(failure.code).substr(0, 256);
  std::string head(kFailureHeader, '\0');
  put16(head.data(), static_cast<uint16_t>(failure.status));
  put16(head.data() + 2, static_cast<uint16_t>(std::clamp(failure.retry_after, 0, 0xffff)));
  put16(head.data() + 4, static_cast<uint16_t>(code.size()));
  head[6] = failure.logged ? 1 : 0;
  head += code;
  append_pieces(out, Type::kFailure, id, head, std::string_view(failure.message).substr(0, kLongestLog));
}

void append_abort(std::string* out, uint16_t id, AbortReason reason) {
  const char content = static_cast<char>(reason);
  append_record(out, Type::kAbortRequest, id, {&content, 1});
}

void put_file(char* at, uint16_t id, int64_t offset, int64_t length) {
  put_header(at, Type::kFile, id, 16);
  put64(at + kHeaderSize, static_cast<uint64_t>(offset));
  put64(at + kHeaderSize + 8, static_cast<uint64_t>(length));
}

bool get_begin(std::string_view content, Begin* begin) {
  if (content.size() != 8) return false;
  begin->role = get16(content.data());
  begin->flags = byte_at(content.data() + 2);
  return true;
}

bool get_end(std::string_view content, EndRequest* end) {
  if (content.size() != 8) return false;
  end->app_status = get32(content.data());
  end->protocol_status = byte_at(content.data() + 4);
  return true;
}

bool get_want_body(std::string_view content, uint32_t* credit) {
  if (content.size() != 4) return false;
  *credit = get32(content.data());
  return true;
}

bool get_file(std::string_view content, int64_t* offset, int64_t* length) {
  if (content.size() != 16) return false;
  *offset = static_cast<int64_t>(get64(content.data()));
  *length = static_cast<int64_t>(get64(content.data() + 8));
  return *offset >= 0 && *length >= 0 && *offset <= INT64_MAX - *length;
}

bool get_log(std::string_view content, uint8_t* level, std::string_view* text) {
  if (content.empty()) return false;
  *level = byte_at(content.data());
  *text = content.substr(1);
  return true;
}

bool get_failure(std::string_view content, Failure* failure) {
  if (content.size() < kFailureHeader) return false;
  const char* const at = content.data();
  const size_t code = get16(at + 4);
  if (content.size() - kFailureHeader < code) return false;
  failure->status = get16(at);
  failure->retry_after = get16(at + 2);
  failure->logged = at[6] != 0;
  failure->code = content.substr(kFailureHeader, code);
  failure->message = content.substr(kFailureHeader + code);
  return true;
}

AbortReason get_abort(std::string_view content) {
  const uint8_t reason = content.empty() ? 0 : byte_at(content.data());
  if (reason == 0 || reason > static_cast<uint8_t>(AbortReason::kServerFault)) return AbortReason::kClientGone;
  return static_cast<AbortReason>(reason);
}

TextJoiner::Result TextJoiner::add(const Header& header, std::string_view content, std::string_view* text) {
  const bool more = (header.reserved & kMore) != 0;
  if (!joining_) {
    joined_.clear();
    if (!more) {
      *text = content;
      return Result::kComplete;
    }
  }
  if (content.size() > kLongestText - joined_.size()) return Result::kTooLong;
  joined_ += content;
  joining_ = more;
  if (more) return Result::kMore;
  *text = joined_;
  return Result::kComplete;
}

}  // namespace nwsgi::exchange::fastcgi
