// Waits for the client's connection and the application at once.
#pragma once

#include <httpd.h>

#include <chrono>
#include <optional>

#include "exchange/server_leg.h"

namespace nwsgi::httpd_side {

class ClientWatch {
 public:
  explicit ClientWatch(request_rec* r);
  ~ClientWatch();
  ClientWatch(const ClientWatch&) = delete;
  ClientWatch& operator=(const ClientWatch&) = delete;

  enum class Event {
    kNothing,   // the time has come
    kWork,      // the application may have something
    kReadable,  // bytes of the client may be there
    kHalfClosed,  // the client will send nothing more
    kGone,      // the connection is broken
  };

  // From now on news of the leg end a poll().
  void attach(exchange::ServerLeg* leg);

  // What poll() may wait for besides the application, and what it found; bits.
  enum : unsigned { kRead = 1, kWrite = 2, kHalfClose = 4, kHangUp = 8 };
  struct Found {
    bool work = false;    // the application may have something
    bool broken = false;  // the connection failed
    unsigned client = 0;
  };
  // kHalfClose, kHangUp: the client will send nothing more, both sides have closed (they stay true for ever). `mind_leg`: news of
  // the leg end it, too.
  Found poll(std::chrono::milliseconds longest, unsigned interests, bool mind_leg = true);

  // What a request makes of it.
  Event event(const Found& found) const;

  // The connection's Timeout.
  apr_interval_time_t timeout() const { return timeout_; }

 private:
  request_rec* const r_;
  exchange::ServerLeg* leg_ = nullptr;
  std::optional<exchange::ServerLeg::Awaited> source();
  void find_input();

  const bool is_stream_;  // of HTTP/2: no socket of its own
  bool input_known_ = false;
  int input_fd_ = -1;     // -1: nothing that could be watched
  int wake_fd_ = -1;      // -1: the leg has a descriptor of its own, or there is none left
  apr_interval_time_t timeout_;
};

}  // namespace nwsgi::httpd_side
