#include "python/body_reader.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace nwsgi::python {

using exchange::AbortReason;
using exchange::BodyRead;
using exchange::ReadStatus;

namespace {

// What a line is looked for in at a time.
constexpr size_t kBlock = 64 * 1024;
// So much is copied without the GIL, and without a string in between.
constexpr size_t kLetGo = 16 * 1024;

}  // namespace

BodyReader::Turn::Turn(BodyReader* reader) : reader_(reader) {
  if (reader_->turn_.try_lock()) return;
  WithoutGil without;
  reader_->turn_.lock();
}

BodyReader::Turn::~Turn() { reader_->turn_.unlock(); }

BodyReader::BodyReader(exchange::Ref<exchange::Exchange> exchange)
    : exchange_(std::move(exchange)), ended_(!exchange_->has_body()) {}

BodyReader::~BodyReader() { std::free(ahead_); }

size_t BodyReader::read(char* into, size_t least, size_t most) {
  size_t got = take_ahead(into, most);
  while (got < most && most - got < kLetGo && !over() && take(into + got, most - got, &got)) {
  }
  if (got < least && !over()) wait(into, least, most, &got);
  return got;
}

size_t BodyReader::take_ahead(char* into, size_t most) {
  const size_t size = std::min(most, ahead_size());
  if (size != 0) std::memcpy(into, ahead(), size);
  skip(size);
  return size;
}

void BodyReader::skip(size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

bool BodyReader::take(char* into, size_t most, size_t* got) {
  BodyRead read = exchange_->read_body_on_loop(most);
  if (read.status == ReadStatus::kData) {
    std::memcpy(into, read.bytes.data(), read.bytes.size());
    *got += read.bytes.size();
    return true;
  }
  if (read.status != ReadStatus::kPending) note(read.status, &read.bytes);
  return false;
}

// The bytes go into memory that nobody else sees yet, or whose owner has exported it: no GIL is needed.
void BodyReader::wait(char* into, size_t least, size_t most, size_t* got) {
  WithoutGil without;
  while (*got < least) {
    std::string error;
    size_t size = 0;
    const ReadStatus status = exchange_->wait_body_on_thread(into + *got, most - *got, &size, &error);
    if (status != ReadStatus::kData) return note(status, &error);
    *got += size;
  }
}

void BodyReader::note(ReadStatus status, std::string* error) {
  if (status == ReadStatus::kEnd) {
    ended_ = true;
    return;
  }
  failed_ = true;
  aborted_ = exchange_->abort_reason() != AbortReason::kNone;
  error_ = std::move(*error);
}

size_t BodyReader::find_line(size_t most) {
  size_t searched = 0;
  for (;;) {
    const size_t size = std::min(ahead_size(), most);
    const char* const from = ahead() + searched;
    if (size != searched) {
      if (const void* newline = std::memchr(from, '\n', size - searched)) {
        return static_cast<size_t>(static_cast<const char*>(newline) - ahead()) + 1;
      }
    }
    searched = size;
    if (size == most || !more_ahead()) return size;
  }
}

bool BodyReader::more_ahead() {
  if (over() || !make_room(kBlock)) return false;
  size_t got = 0;
  wait(ahead_ + end_, 1, kBlock, &got);
  end_ += got;
  return got != 0;
}

bool BodyReader::make_room(size_t bytes) {
  if (begin_ != 0) {
    std::memmove(ahead_, ahead(), ahead_size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ >= bytes) return true;
  const size_t capacity = std::max(end_ + bytes, capacity_ * 2);
  void* const grown = std::realloc(ahead_, capacity);
  if (grown == nullptr) {
    failed_ = true;
    error_ = "out of memory";
    return false;
  }
  ahead_ = static_cast<char*>(grown);
  capacity_ = capacity;
  return true;
}

}  // namespace nwsgi::python
