// How a request gets to where its application runs: handed to the host in this process, or sent to a daemon process.
// Everything after that goes through the ServerLeg.
#pragma once

#include <httpd.h>

#include "exchange/application_host.h"
#include "exchange/server_leg.h"

namespace nwsgi::httpd_side {

// Threads: the one that serves the request. Nothing blocks.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual exchange::ServerLeg* leg() = 0;
  // Hands the request over, or sets out to. What prevents that becomes the leg's end, as a failure.
  virtual void submit() = 0;
  // How often the application has got the request: it may be handed over once more, when it had not begun where it was.
  virtual unsigned hand_overs() const { return 1; }
  // Submitted, and not with an application at present: the leg says what is awaited (awaits_on_server()).
  virtual bool under_way() const { return false; }
  // The application did not begin its answer in time.
  virtual void report_timeout() = 0;
};

class EmbeddedCarrier final : public Carrier {
 public:
  EmbeddedCarrier(exchange::ApplicationHost* host, exchange::GroupRef group, exchange::Ref<exchange::Exchange> exchange)
      : host_(host), group_(group), exchange_(std::move(exchange)) {}
  exchange::ServerLeg* leg() override { return exchange_.get(); }
  void submit() override { host_->submit(group_, exchange_); }
  void report_timeout() override { host_->report_timeout(group_); }

 private:
  exchange::ApplicationHost* const host_;
  const exchange::GroupRef group_;
  const exchange::Ref<exchange::Exchange> exchange_;
};

}  // namespace nwsgi::httpd_side
