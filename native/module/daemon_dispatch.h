// Which worker of a process group gets a request: the one with the least requests among those that serve the
// application group. When all are full the request waits in the group's queue; when there is none, the supervisor starts
// one. A request that a worker leaves unbegun goes to another one.
//
// Threads: a DaemonCarrier belongs to the thread that serves its request; the connections behind it are shared. No lock is
// held while anything is waited for, and the client is watched all the time.
#pragma once

#include <httpd.h>

#include <memory>
#include <string>

#include "exchange/scoreboard.h"
#include "module/carrier.h"
#include "module/daemon_child.h"
#include "module/daemon_config.h"
#include "module/daemon_connections.h"
#include "module/daemon_hello.h"
#include "module/daemon_leg.h"
#include "module/error_codes.h"

namespace nwsgi::httpd_side {

class DaemonCarrier final : public Carrier {
 public:
  DaemonCarrier(request_rec* r, const DaemonGroup& group, GroupInChild* in_child, const char* application_group,
                std::string record, bool has_body);
  ~DaemonCarrier() override;

  exchange::ServerLeg* leg() override { return &leg_; }
  bool submit(Waiting* waiting) override;
  bool recover(Waiting* waiting) override;
  void report_timeout() override;

  // The process ends here and now: gives back what others would wait for.
  static void let_go_of_this_thread();

 private:
  enum class Step { kDone, kAgain, kFailed, kClientGone };
  void let_go();
  Step find_worker(Waiting* waiting);
  Step wait_in_queue(uint32_t pool, Waiting* waiting);
  Step say_hello(const exchange::Claim* worker, Waiting* waiting);
  Step take_answer(Hello* hello, Hello::Status status);
  Step pause(Waiting* waiting, const std::string& what_left);
  bool supervisor_is_far_off();
  Step too_late(uint32_t pool);
  bool worker_starts() const;
  void drop_claim();
  void end_wait();
  std::string worker_name() const;
  bool may_repeat() const;
  void explain_loss(Waiting* waiting);
  bool take_exit_reason(exchange::Failure* failure) const;
  void fail(int status, Code code, std::string message, int retry_after = 0);

  request_rec* const r_;
  const DaemonGroup& group_;
  const exchange::Scoreboard& scoreboard_;
  DaemonConnections& connections_;
  const char* const application_group_;
  DaemonLeg leg_;
  exchange::Clock::time_point began_{};
  exchange::Clock::time_point deadline_{};
  int repeated_ = 0;
  int32_t worker_pid_ = 0;

  bool claimed_ = false;  // claim_ is this request's to give back
  exchange::Claim claim_;
  std::unique_ptr<DaemonConnection> connection_;
  uint32_t queue_ = exchange::Scoreboard::kNoPool;  // the pool in whose queue it stands
  exchange::Clock::time_point queued_since_{};
};

}  // namespace nwsgi::httpd_side
