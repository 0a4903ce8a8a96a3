// One application group: its serving environment, the one that is to replace it, and those that drain.
//
// States of the group, by what it holds (docs/architecture.md has the table):
//   idle       no environment; started by the first request or a preload
//   starting   `current_` is not ready: requests wait in `pending_`
//   serving    `current_` takes requests
//   replacing  `current_` takes requests while `next_` starts; ready without failure: swap, else `next_` is dropped
//   waiting    `current_` crashed; restart at `restart_at_`. Requests wait, or get 503 when that is far away
// Threads: any; one mutex. Environments are never called with the mutex held where they could call back.
// A new environment is created under the mutex; ended ones are joined by tick(), which the host's supervisor calls.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "exchange/application_host.h"
#include "runtime/environment.h"
#include "runtime/gateway_config.h"

namespace nwsgi::runtime {

class Group final : private EnvironmentOwner {
 public:
  Group(const GroupSettings* settings, std::string name, void* site);
  ~Group() = default;

  void submit(exchange::Ref<exchange::Exchange> exchange);
  void preload(const exchange::Preload& preload);
  void report_timeout();
  // Everything that depends on time; called a few times a second by the supervisor.
  void tick(exchange::Clock::time_point now);
  void begin_stop(bool graceful);
  // Asks all environments to end, or (`now`) makes them.
  void end_all(bool now, uint32_t milliseconds);
  // Joins what has ended; true when nothing is left.
  bool reap();

 private:
  using Clock = exchange::Clock;
  struct Draining {
    exchange::Ref<Environment> environment;
    Clock::time_point deadline;
    bool stop_requested = false;
    bool stopped = false;
  };

  void on_ready(Environment* environment, const std::string& failure) override;
  void on_load_failed(Environment* environment, const std::string& script) override;
  void on_watch(Environment* environment, const exchange::LoadedScript& script) override;
  void on_unserved(Environment* environment, std::vector<exchange::Ref<exchange::Exchange>> requests) override;
  void on_ended(Environment* environment) override;
  void log(uint8_t level, const std::string& text) override;

  exchange::Failure stopping_failure() const;
  exchange::Ref<Environment> launch_locked();
  void start_current_locked();
  void start_next_locked(const char* why);
  void drain_locked(exchange::Ref<Environment> environment, const char* why);
  void flush_pending_locked();
  void fail_pending_locked(const exchange::Failure& failure);
  void schedule_restart_locked(const Environment& ended);
  void report_end_locked(const Environment& ended);
  void check_scripts_locked(Clock::time_point now);
  void leave_locked();
  void check_drains_locked(Clock::time_point now);
  void check_blocked_locked(Clock::time_point now);
  void check_start_locked(Clock::time_point now);

  const GroupSettings* const settings_;
  const std::string name_;
  void* const site_;

  std::mutex mutex_;
  exchange::Ref<Environment> current_;
  bool current_ready_ = false;
  Clock::time_point current_since_{};
  exchange::Ref<Environment> next_;
  Clock::time_point next_since_{};
  std::vector<Draining> draining_;
  std::vector<exchange::Ref<Environment>> ended_;
  std::deque<exchange::Ref<exchange::Exchange>> pending_;
  Scripts scripts_;
  bool stopping_ = false;
  bool leaving_ = false;  // the child stops gracefully

  unsigned crashes_ = 0;        // in a row, each within kStableTime of its start
  Clock::time_point restart_at_{};
  bool restart_due_ = false;
  bool load_failed_ = false;    // current_ could not load a script
  Clock::time_point retry_load_at_{};
  unsigned failed_loads_ = 0;

  Clock::time_point timeout_reported_{};
  bool timeout_pending_ = false;
  bool interrupted_ = false;
  Clock::time_point next_check_{};
};

}  // namespace nwsgi::runtime
