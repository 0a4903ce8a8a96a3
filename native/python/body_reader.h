// The request's body as wsgi.input reads it: bytes go from the exchange straight to where they are wanted; what readline() had
// to take beyond its line is kept here.
//
// Threads: one at a time (BodyReader::Turn), with the GIL held. It is let go for large reads and while there is nothing to read:
// for a few bytes a hand-over of the GIL costs more than copying what is there.
#pragma once

#include <mutex>
#include <string>

#include "exchange/exchange.h"
#include "python/python.h"

namespace nwsgi::python {

class BodyReader {
 public:
  // Whoever reads holds one. Waits without the GIL. Nothing that can run Python code may be called meanwhile: a finalizer that
  // reads the same body would wait for its own thread.
  class Turn {
   public:
    explicit Turn(BodyReader* reader);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    BodyReader* const reader_;
  };

  explicit BodyReader(exchange::Ref<exchange::Exchange> exchange);
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Reads at most `most` bytes, and at least `least` unless the body ends or fails before.
  size_t read(char* into, size_t least, size_t most);
  // The length of the next line within ahead(): up to and including its newline, at most `most` bytes. 0 at the end.
  size_t find_line(size_t most);
  const char* ahead() const { return ahead_ + begin_; }
  size_t ahead_size() const { return end_ - begin_; }
  void skip(size_t bytes);

  // Why nothing more comes; sticky. null: the body has ended, or more may come.
  const char* error() const { return failed_ ? error_.c_str() : nullptr; }
  bool aborted() const { return aborted_; }

 private:
  size_t take_ahead(char* into, size_t most);
  // Without waiting; false when nothing more is there at present, or ever.
  bool take(char* into, size_t most, size_t* got);
  void wait(char* into, size_t least, size_t most, size_t* got);
  void note(exchange::ReadStatus status, std::string* error);
  bool over() const { return ended_ || failed_; }
  bool more_ahead();
  bool make_room(size_t bytes);

  const exchange::Ref<exchange::Exchange> exchange_;
  std::mutex turn_;
  char* ahead_ = nullptr;  // [begin_, end_) has been read from the exchange, but not by the application
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
  bool ended_ = false;
  bool failed_ = false;
  bool aborted_ = false;
  std::string error_;
};

}  // namespace nwsgi::python
