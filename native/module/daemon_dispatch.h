// Which worker of a process group gets a request: the one with the least requests among those that serve the
// application group. When all are full the request waits in the group's queue; when there is none, the supervisor starts
// one. A request that a worker leaves unbegun goes to another one.
//
// A state machine, driven by the request's leg: advance() does what can be done now, awaits() says what to wait for until the
// next time. Nothing blocks.
//
//   looking ──▶ there (submitted, or failed for good)
//    │  ▲  ▲
//    │  │  └─ pausing ◀─ the worker, or the supervisor, had gone before it had the request ◀─ there
//    │  ├──── queued ◀─ all workers are busy
//    └──┴───▶ asking ◀─ no connection to the worker, or no worker: the supervisor answers
//   there ──▶ explaining: the worker has ended with the request, the supervisor is about to write down why ──▶ there
//
// Threads: a DaemonCarrier belongs to the thread that serves its request; connections and queues behind it are shared. No lock
// is held while anything is waited for, and the client is watched all the time.
#pragma once

#include <httpd.h>

#include <memory>
#include <optional>
#include <string>

#include "exchange/scoreboard.h"
#include "module/carrier.h"
#include "module/daemon_child.h"
#include "module/daemon_config.h"
#include "module/daemon_connections.h"
#include "module/daemon_hello.h"
#include "module/daemon_leg.h"
#include "module/daemon_queue.h"
#include "module/error_codes.h"

namespace nwsgi::httpd_side {

class DaemonCarrier final : public Carrier, private LegRoute {
 public:
  DaemonCarrier(request_rec* r, const DaemonGroup& group, GroupInChild* in_child, const char* application_group,
                std::string record, bool has_body);
  ~DaemonCarrier() override;

  exchange::ServerLeg* leg() override { return &leg_; }
  void submit() override;
  unsigned hand_overs() const override { return hand_overs_; }
  bool under_way() const override { return state_ != State::kThere; }
  void report_timeout() override;

  // The process ends here and now: gives back what others would wait for.
  static void let_go_of_this_thread();

 private:
  using Awaited = exchange::ServerLeg::Awaited;
  enum class State : uint8_t { kLooking, kQueued, kAsking, kPausing, kExplaining, kThere };

  void advance() override;
  Awaited awaits() override;
  void set_sink(exchange::Sink* sink) override;
  void lost() override;

  void set_out();
  bool move();
  void look();
  void hand_over(std::unique_ptr<DaemonConnection> connection);
  void pause(const std::string& what_left);
  void enter_queue(uint32_t pool);
  bool wait_in_queue();
  void too_late();
  void ask_supervisor(const exchange::Claim* worker);
  bool hear_supervisor(Hello::Status status);
  void take_connection();
  void take_worker();
  void take_refusal();
  void no_worker_in_time();
  void supervisor_unreachable();
  bool supervisor_is_far_off();
  bool worker_starts() const;
  bool explain_loss();
  bool take_exit_reason(exchange::Failure* failure) const;
  bool may_repeat() const;
  bool fail_at_end_of_grace();
  void fail(int status, Code code, std::string message, int retry_after = 0);
  void fail(exchange::Failure failure);
  void drop_claim();
  void let_go();
  std::string worker_name() const;

  request_rec* const r_;
  const DaemonGroup& group_;
  const exchange::Scoreboard& scoreboard_;
  DaemonConnections& connections_;
  DaemonQueues& queues_;
  const char* const application_group_;
  DaemonLeg leg_;
  State state_ = State::kThere;
  bool has_sink_ = false;
  unsigned hand_overs_ = 0;
  exchange::Clock::time_point began_{};
  exchange::Clock::time_point deadline_{};  // of queue-timeout, or connect-timeout
  exchange::Clock::time_point last_{};      // for an answer of the supervisor
  exchange::Clock::time_point until_{};     // of a pause, or of the wait for an explanation
  int repeated_ = 0;
  int32_t worker_pid_ = 0;

  bool claimed_ = false;  // claim_ is this request's to give back
  exchange::Claim claim_;
  uint32_t pool_ = exchange::Scoreboard::kNoPool;  // kQueued: in whose queue it stands
  DaemonQueues::Place place_;
  std::optional<Hello> hello_;
};

}  // namespace nwsgi::httpd_side
