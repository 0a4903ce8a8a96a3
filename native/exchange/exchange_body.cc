// The request's body in an exchange: what the server pushes and the application reads.
#include <utility>

#include "exchange/exchange.h"

namespace nwsgi::exchange {

// ---- server ----

size_t Exchange::body_room_on_server() {
  std::lock_guard lock(mutex_);
  const size_t buffered = body_.size() - body_read_;
  return buffered >= kBodyWindow ? 0 : kBodyWindow - buffered;
}

void Exchange::push_body_on_server(const char* bytes, size_t size) {
  std::unique_lock lock(mutex_);
  add_body_locked(bytes, size);
  if (body_read_ == body_.size()) return;
  if (!by_thread_) return post_body_locked();
  const bool waiting = std::exchange(body_waiting_, false);
  lock.unlock();  // or the thread would only run into it
  if (waiting) thread_ready_.notify_all();
}

void Exchange::add_body_on_server(const char* bytes, size_t size) {
  std::lock_guard lock(mutex_);
  add_body_locked(bytes, size);
}

void Exchange::add_body_locked(const char* bytes, size_t size) {
  if (size != 0 && !body_ended_ && body_error_.empty()) body_.append(bytes, size);
}

void Exchange::end_body_on_server() {
  std::lock_guard lock(mutex_);
  body_ended_ = true;
  post_body_locked();
}

void Exchange::fail_body_on_server(std::string message) {
  std::lock_guard lock(mutex_);
  body_error_ = message.empty() ? std::string("the request body could not be read") : std::move(message);
  post_body_locked();
}

void Exchange::set_trailers_on_server(std::string lines) {
  std::lock_guard lock(mutex_);
  trailers_ = std::move(lines);
}

void Exchange::post_body_locked() {
  if (std::exchange(body_waiting_, false)) post_locked(kBody);
}

bool Exchange::body_requested_on_server() {
  std::lock_guard lock(mutex_);
  return body_requested_;
}

bool Exchange::body_wanted_locked() const {
  return body_requested_ && tunnel_ != Tunnel::kAsked && !body_ended_ && body_error_.empty() && body_.size() - body_read_ < kBodyWindow / 2;
}

// ---- loop ----

// Between a request for a tunnel and its begin, what is there belongs to the request's body, not to the tunnel.
size_t Exchange::body_ready_locked() const { return tunnel_ == Tunnel::kAsked ? 0 : body_.size() - body_read_; }

bool Exchange::body_taken_locked(size_t size) {
  const bool wanted_before = body_wanted_locked();
  body_read_ += size;
  if (body_read_ == body_.size()) {
    body_.clear();
    body_read_ = 0;
  } else if (body_read_ >= kBodyWindow) {
    body_.erase(0, body_read_);
    body_read_ = 0;
  }
  return !wanted_before && body_wanted_locked();
}

ReadStatus Exchange::body_state_locked(std::string* error) {
  const bool between = tunnel_ == Tunnel::kAsked;
  if (!between && !body_error_.empty()) {
    *error = body_error_;
    return ReadStatus::kError;
  }
  if (!between && body_ended_) return ReadStatus::kEnd;
  if (abort_reason_ != AbortReason::kNone || finished_) {
    *error = "the request ended before its body was read";
    return ReadStatus::kError;
  }
  return ReadStatus::kPending;
}

size_t Exchange::body_ready_on_loop() {
  std::lock_guard lock(mutex_);
  return body_ready_locked();
}

void Exchange::take_body_on_loop(char* into, size_t size) {
  std::unique_lock lock(mutex_);
  body_.copy(into, size, body_read_);
  if (body_taken_locked(size)) notify(std::move(lock));
}

BodyRead Exchange::read_body_on_loop(size_t most) {
  std::unique_lock lock(mutex_);
  if (const size_t ready = body_ready_locked(); ready != 0) {
    BodyRead read{ReadStatus::kData, body_.substr(body_read_, ready < most ? ready : most)};
    if (body_taken_locked(read.bytes.size())) notify(std::move(lock));
    return read;
  }
  BodyRead read{ReadStatus::kPending, {}};
  read.status = body_state_locked(&read.bytes);
  if (read.status == ReadStatus::kPending) ask_for_body(std::move(lock));
  return read;
}

// The serving side is to fetch more, and to say when it has.
void Exchange::ask_for_body(std::unique_lock<std::mutex> lock) {
  body_requested_ = true;
  body_waiting_ = true;
  notify(std::move(lock));
}

std::string Exchange::request_trailers_on_loop() {
  std::lock_guard lock(mutex_);
  return body_ended_ ? trailers_ : std::string();
}

// ---- a thread ----

ReadStatus Exchange::wait_body_on_thread(char* into, size_t most, size_t* got, std::string* error) {
  *got = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (const size_t ready = body_ready_locked(); ready != 0) {
      *got = ready < most ? ready : most;
      body_.copy(into, *got, body_read_);
      if (body_taken_locked(*got)) notify(std::move(lock));
      return ReadStatus::kData;
    }
    const ReadStatus status = body_state_locked(error);
    if (status != ReadStatus::kPending) return status;
    if (over_locked()) {
      *error = "the request ended before its body was read";
      return ReadStatus::kError;
    }
    ask_for_body(std::move(lock));
    lock = std::unique_lock(mutex_);
    thread_ready_.wait(lock, [this] {
      return body_ready_locked() != 0 || body_ended_ || !body_error_.empty() || over_locked();
    });
  }
}

}  // namespace nwsgi::exchange
