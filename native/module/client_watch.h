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

  // From now on news of the leg end a wait().
  void attach(exchange::ServerLeg* leg);
  // `for_body`: also wake up when the client's body can be read. `mind_half_close`: report it (it stays true for ever).
  Event wait(std::chrono::milliseconds longest, bool for_body, bool mind_half_close);

  // What poll() may wait for besides the application, and what it found; bits.
  enum : unsigned { kRead = 1, kWrite = 2, kHalfClose = 4, kHangUp = 8 };
  struct Found {
    bool work = false;    // the application may have something
    bool broken = false;  // the connection failed
    unsigned client = 0;
  };
  // The same for both directions at once. kHangUp: both sides have closed (stays true for ever).
  Found poll(std::chrono::milliseconds longest, unsigned interests);

  // What wait() makes of it.
  Event event(const Found& found) const;

  // Before there is a leg to wait for: what stands in its place from now on.
  void await_instead(const exchange::ServerLeg::Awaited& awaited) { instead_ = awaited; }
  void await_leg() { instead_.reset(); }

  // The connection's Timeout.
  apr_interval_time_t timeout() const { return timeout_; }

 private:
  request_rec* const r_;
  exchange::ServerLeg* leg_ = nullptr;
  std::optional<exchange::ServerLeg::Awaited> source();
  void find_input();

  std::optional<exchange::ServerLeg::Awaited> instead_;
  const bool is_stream_;  // of HTTP/2: no socket of its own
  bool input_known_ = false;
  int input_fd_ = -1;     // -1: nothing that could be watched
  int wake_fd_ = -1;      // -1: the leg has a descriptor of its own, or there is none left
  apr_interval_time_t timeout_;
};

}  // namespace nwsgi::httpd_side
