#include "module/answer_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

namespace fastcgi = exchange::fastcgi;
using exchange::End;
using exchange::OutputItem;
using fastcgi::Header;
using fastcgi::Type;

// Any record fits, and most answers as a whole.
constexpr size_t kBufferSize = fastcgi::kHeaderSize + fastcgi::kLongestContent + 255 + 1024;
// Less room than this at the end of the buffer: what is in it moves to the begin.
constexpr size_t kLeastRoom = 16 * 1024;

// Readers of a thread receive one after the other, and have the buffer only then; one that is left with the begin of a record
// keeps it until the rest has come.
thread_local std::unique_ptr<char[]> spare_buffer;

// Descriptors of one answer: the server has them until the request is over. wsgi.file_wrapper takes one.
constexpr int kMostFiles = 64;

// The descriptor is of a process that may belong to another user: whatever is no file could block the thread, and what a
// file does not have cannot be sent. A file that shrinks later is httpd's to notice.
bool can_be_sent(const OutputItem& item) {
  struct stat status {};
  return ::fstat(item.fd, &status) == 0 && S_ISREG(status.st_mode) && item.offset <= status.st_size &&
         item.length <= status.st_size - item.offset;
}

}  // namespace

AnswerReader::AnswerReader(uint16_t request_id, size_t longest_line) : id_(request_id), longest_line_(longest_line) {}

AnswerReader::~AnswerReader() {
  std::free(chunk_.data);
  for (const int fd : descriptors_) ::close(fd);
}

int AnswerReader::places(iovec (&places)[2]) {
  if (!buffer_) buffer_ = std::move(spare_buffer);
  if (!buffer_) buffer_.reset(new char[kBufferSize]);
  if (begin_ == end_of_data_) {
    begin_ = end_of_data_ = 0;
  } else if (kBufferSize - end_of_data_ < kLeastRoom) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_of_data_ - begin_);
    end_of_data_ -= begin_;
    begin_ = 0;
  }
  int count = 0;
  if (chunk_missing_ != 0) places[count++] = {chunk_.data + chunk_.size - chunk_missing_, chunk_missing_};
  places[count++] = {buffer_.get() + end_of_data_, kBufferSize - end_of_data_};
  return count;
}

void AnswerReader::received_descriptor(int fd) {
  descriptors_.push_back(fd);
  if (++files_ > kMostFiles) break_with("it has too many files");
}

void AnswerReader::received(size_t size) {
  if (chunk_missing_ != 0) {
    const size_t for_chunk = std::min(size, chunk_missing_);
    chunk_missing_ -= for_chunk;
    size -= for_chunk;
    if (chunk_missing_ == 0) {
      OutputItem item(OutputItem::Kind::kData);
      item.chunk = std::exchange(chunk_, {});
      output_.push_back(std::move(item));
    }
  }
  end_of_data_ += size;
  parse();
  if (begin_ != end_of_data_) return;
  begin_ = end_of_data_ = 0;
  if (!spare_buffer) spare_buffer = std::move(buffer_);
  buffer_.reset();
}

std::vector<OutputItem> AnswerReader::take_output() {
  std::vector<OutputItem> output;
  output.swap(output_);
  return output;
}

void AnswerReader::parse() {
  while (broken_ == nullptr && chunk_missing_ == 0 && parse_one()) {
  }
}

// Takes one record, or the begin of one. False when more bytes are needed for it.
bool AnswerReader::parse_one() {
  const size_t available = end_of_data_ - begin_;
  const size_t skipped = std::min(skip_, available);
  if (skipped != 0) {
    skip_ -= skipped;
    begin_ += skipped;
    return true;
  }
  if (over_) return false;  // what follows the end belongs to nobody
  if (available < fastcgi::kHeaderSize) return false;
  Header header;
  const char* const at = buffer_.get() + begin_;
  if (!fastcgi::get_header(at, &header)) {
    break_with("it is no FastCGI");
    return false;
  }
  if (header.id != id_) {
    begin_ += fastcgi::kHeaderSize;
    skip_ = size_t{header.length} + header.padding;
    return true;
  }
  begun_ = true;
  if (header.type == Type::kStdout) {
    const size_t taken = take_stdout(header, at + fastcgi::kHeaderSize, available - fastcgi::kHeaderSize);
    begin_ += fastcgi::kHeaderSize + taken;
    skip_ = header.padding;
    return true;
  }
  if (available < header.size()) return false;
  begin_ += header.size();
  take_record(header, {at + fastcgi::kHeaderSize, header.length});
  return true;
}

// Returns how much of the content was there.
size_t AnswerReader::take_stdout(const Header& header, const char* content, size_t available) {
  if (header.length == 0) {
    // In a tunnel, that is the end of what the application sends.
    if (upgrade_seen_) end_ = End::kComplete;
    return 0;
  }
  if (!head_seen_ || end_ != End::kOpen) {
    break_with(head_seen_ ? "it goes on after its end" : "it has a body before its head");
    return 0;
  }
  chunk_.data = static_cast<char*>(std::malloc(header.length));
  if (chunk_.data == nullptr) throw std::bad_alloc();
  chunk_.size = header.length;
  const size_t here = std::min<size_t>(header.length, available);
  std::memcpy(chunk_.data, content, here);
  chunk_missing_ = header.length - here;
  if (chunk_missing_ == 0) {
    OutputItem item(OutputItem::Kind::kData);
    item.chunk = std::exchange(chunk_, {});
    output_.push_back(std::move(item));
  }
  return here;
}

// False while pieces are missing.
bool AnswerReader::joins(const Header& header, std::string_view content, std::string_view* text) {
  using Result = fastcgi::TextJoiner::Result;
  if (joining_ != Type{} && joining_ != header.type) {
    break_with("pieces of two texts are mixed");
    return false;
  }
  const Result result = joiner_.add(header, content, text);
  joining_ = result == Result::kMore ? header.type : Type{};
  if (result == Result::kTooLong) break_with("a text in it is longer than 16 MiB");
  return result == Result::kComplete;
}

void AnswerReader::take_record(const Header& header, std::string_view content) {
  std::string_view text;
  switch (header.type) {
    case Type::kHead:
      if (joins(header, content, &text)) take_text(OutputItem::Kind::kHead, text);
      return;
    case Type::kInterim:
      if (joins(header, content, &text)) take_text(OutputItem::Kind::kInterim, text);
      return;
    case Type::kUpgrade:
      if (joins(header, content, &text)) take_text(OutputItem::Kind::kUpgrade, text);
      return;
    case Type::kTrailers:
      if (joins(header, content, &text)) take_text(OutputItem::Kind::kTrailers, text);
      return;
    case Type::kLog: {
      if (!joins(header, content, &text)) return;
      OutputItem item(OutputItem::Kind::kLog);
      if (!fastcgi::get_log(text, &item.level, &text)) return break_with("a line for the log is malformed");
      item.level = std::clamp<uint8_t>(item.level, exchange::kLogCritical, exchange::kLogDebug);
      item.text = text;
      output_.push_back(std::move(item));
      return;
    }
    case Type::kFile:
      return take_file(content);
    case Type::kWantBody: {
      uint32_t credit = 0;
      if (!fastcgi::get_want_body(content, &credit)) return break_with("a request for the body is malformed");
      credit_ = credit > std::numeric_limits<uint32_t>::max() - credit_ ? std::numeric_limits<uint32_t>::max() : credit_ + credit;
      body_asked_ = true;
      return;
    }
    case Type::kFailure:
      if (joins(header, content, &text)) take_failure(text);
      return;
    case Type::kEndRequest:
      return take_end(content);
    default:
      break_with("a record in it has a type that is unknown");
  }
}

bool AnswerReader::lines_fit(std::string_view head) {
  if (longest_line_ == 0 || head.size() <= longest_line_) return true;
  while (!head.empty()) {
    const size_t line = std::min(head.find('\n'), head.size());
    if (line > longest_line_) return false;
    head.remove_prefix(std::min(line + 1, head.size()));
  }
  return true;
}

void AnswerReader::take_text(OutputItem::Kind kind, std::string_view text) {
  const bool final_head = kind == OutputItem::Kind::kHead || kind == OutputItem::Kind::kUpgrade;
  if (final_head && head_seen_) return break_with("it has two heads");
  if (kind == OutputItem::Kind::kTrailers && !head_seen_) return break_with("it has trailers before its head");
  if (!lines_fit(text)) {
    line_too_long_ = true;
    return break_with("a line of its head is too long");
  }
  head_seen_ = head_seen_ || final_head;
  upgrade_seen_ = upgrade_seen_ || kind == OutputItem::Kind::kUpgrade;
  OutputItem item(kind);
  item.text = text;
  output_.push_back(std::move(item));
}

void AnswerReader::take_file(std::string_view content) {
  OutputItem item(OutputItem::Kind::kFile);
  if (!head_seen_ || upgrade_seen_ || !fastcgi::get_file(content, &item.offset, &item.length)) {
    return break_with("a file in it is malformed");
  }
  if (descriptors_.empty()) return break_with("a file in it came without its descriptor");
  item.fd = descriptors_.front();
  descriptors_.erase(descriptors_.begin());
  if (!can_be_sent(item)) return break_with("a file in it is no regular file, or shorter than it says");
  output_.push_back(std::move(item));
}

void AnswerReader::take_failure(std::string_view content) {
  if (!fastcgi::get_failure(content, &failure_)) return break_with("a failure in it is malformed");
  if (!is_code_name(failure_.code)) failure_.code = code_name(Code::kApplicationFailed);
}

void AnswerReader::take_end(std::string_view content) {
  fastcgi::EndRequest end;
  if (!fastcgi::get_end(content, &end)) return break_with("its end is malformed");
  if (end.protocol_status != fastcgi::kRequestComplete) {
    over_ = true;
    refused_ = !head_seen_;
    end_ = head_seen_ ? End::kAborted : End::kFailed;
    return;
  }
  if (joining_ != Type{}) return break_with("it ends within a text");
  over_ = true;
  switch (end.app_status) {
    case fastcgi::kEndComplete:
      end_ = End::kComplete;
      return;
    case fastcgi::kEndFailed:
      end_ = head_seen_ ? End::kAborted : End::kFailed;
      return;
    default:
      end_ = End::kAborted;
  }
}

}  // namespace nwsgi::httpd_side
