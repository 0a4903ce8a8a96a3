// When a request passed from one part to the next, for whoever looks where its time goes (see module/profile.h). Off unless
// asked for: then a request has none of these.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace nwsgi::exchange {

// Threads: each point is passed by one thread; all may be read by any.
class Phases {
 public:
  // Nanoseconds of the steady clock.
  static int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

  enum Point : uint8_t {
    kHandler,    // httpd calls the handler
    kSubmitted,  // the request goes to the application's host, or to a worker
    kTaken,      // the loop takes it; its turn hands the whole batch to JavaScript
    kAnswered,   // the application gave the head of its answer
    kSeen,       // the server has taken note of it
    kWritten,    // all of the answer is with httpd's filters
    kPoints,
  };

  // The first time counts.
  void pass(Point point) { pass(point, now()); }
  void pass(Point point, int64_t at) {
    int64_t never = 0;
    at_[point].compare_exchange_strong(never, at, std::memory_order_relaxed);
  }
  // 0: not passed.
  int64_t at(Point point) const { return at_[point].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<int64_t>, kPoints> at_{};
};

}  // namespace nwsgi::exchange
