// How a request gets to where its application runs: handed to the host in this process, or sent to a daemon process.
// Everything after that goes through the ServerLeg.
#pragma once

#include <httpd.h>

#include "exchange/application_host.h"
#include "exchange/server_leg.h"

namespace nwsgi::httpd_side {

// How a carrier waits without losing sight of the client.
class Waiting {
 public:
  enum class Result { kReady, kTime, kClientGone };
  // Until `fd` is ready for `events` of poll(2) (-1: nothing to wait for), the time has come or the client has gone.
  virtual Result wait(int fd, short events, exchange::Clock::time_point until) = 0;

 protected:
  ~Waiting() = default;
};

// Threads: the one that serves the request.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual exchange::ServerLeg* leg() = 0;
  // Hands the request over. What prevents that is the leg's end, as a failure. False when the client left meanwhile.
  virtual bool submit(Waiting* waiting) = 0;
  // The leg has ended as failed or aborted. True when the request was handed over once more, as if nothing had happened
  // (it had not begun); else the leg's failure says all that is known.
  virtual bool recover(Waiting*) { return false; }
  // The application did not begin its answer in time.
  virtual void report_timeout() = 0;
};

class EmbeddedCarrier final : public Carrier {
 public:
  EmbeddedCarrier(exchange::ApplicationHost* host, exchange::GroupRef group, exchange::Ref<exchange::Exchange> exchange)
      : host_(host), group_(group), exchange_(std::move(exchange)) {}
  exchange::ServerLeg* leg() override { return exchange_.get(); }
  bool submit(Waiting*) override {
    host_->submit(group_, exchange_);
    return true;
  }
  void report_timeout() override { host_->report_timeout(group_); }

 private:
  exchange::ApplicationHost* const host_;
  const exchange::GroupRef group_;
  const exchange::Ref<exchange::Exchange> exchange_;
};

}  // namespace nwsgi::httpd_side
