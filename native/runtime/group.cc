#include "runtime/group.h"

#include <algorithm>

namespace nwsgi::runtime {

using exchange::Clock;
using exchange::Exchange;
using exchange::Failure;
using exchange::Ref;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t kMostPending = 10'000;
constexpr auto kStableTime = seconds(10);
constexpr auto kLongestBackOff = seconds(30);
// A request waits for a restart that is at most this far away; else it is answered 503 at once.
constexpr auto kLongestWait = seconds(2);
constexpr auto kScriptCheck = milliseconds(200);
// A file this young may still be being written.
constexpr auto kSettled = milliseconds(100);
constexpr auto kStartLimit = seconds(60);
constexpr auto kBlockedGrace = seconds(1);
// How long an environment may take to end by itself before it is stopped: its applications close connections and files
// meanwhile, and nobody waits for it. Its JavaScript is told of a little less.
constexpr auto kStopGrace = seconds(4);
constexpr auto kStopMargin = seconds(1);

// 0, 0.5, 1, 2, 4 … seconds.
Clock::duration back_off(unsigned failures) {
  if (failures <= 1) return Clock::duration::zero();
  const auto pause = milliseconds(500) * (1u << std::min(failures - 2, 6u));
  return std::min<Clock::duration>(pause, kLongestBackOff);
}

// Requests whose answer is awaited. Upgraded connections hold up no end: applications close them when they are told of it.
size_t awaited(Environment& environment) {
  exchange::Mailbox& mailbox = environment.mailbox();
  const size_t lasting = mailbox.lasting();
  const size_t live = mailbox.live();
  return live > lasting ? live - lasting : 0;
}

}  // namespace

Group::Group(const GroupSettings* settings, std::string name, void* site)
    : settings_(settings), name_(std::move(name)), site_(site) {}

void Group::submit(Ref<Exchange> exchange) {
  std::unique_lock lock(mutex_);
  if (current_ready_ && !load_failed_) {
    const Ref<Environment> environment = current_;
    lock.unlock();
    if (environment->mailbox().submit(exchange)) return;
    lock.lock();  // it is just ending; the request waits for its successor
  }
  const auto now = Clock::now();
  if (stopping_) {
    lock.unlock();
    return exchange->fail(stopping_failure());
  }
  if (load_failed_ && current_ready_) {
    if (now < retry_load_at_ || scripts_.size() > 1) {
      // The environment says again what is wrong. One of several scripts being broken must not disturb the others.
      if (now >= retry_load_at_ && !next_) start_next_locked("a script had not loaded");
      if (current_->mailbox().submit(exchange)) return;
    } else {
      drain_locked(std::move(current_), nullptr);
      current_ready_ = false;
    }
  }
  if (pending_.size() >= kMostPending || (restart_due_ && restart_at_ - now > kLongestWait)) {
    const bool full = pending_.size() >= kMostPending;
    lock.unlock();
    return exchange->fail({503, full ? "NWSGI3008" : "NWSGI3009",
                           "application group '" + name_ +
                               (full ? "': too many requests wait for its environment"
                                     : "': it crashes again and again; it is started again after a pause"),
                           false, 2});
  }
  pending_.push_back(std::move(exchange));
  if (!current_ && !restart_due_) start_current_locked();
}

Failure Group::stopping_failure() const {
  return {503, "NWSGI3007", "application group '" + name_ + "': the server process is stopping", false, 1};
}

void Group::preload(const exchange::Preload& preload) {
  std::lock_guard lock(mutex_);
  scripts_[preload.script] = {preload.callable, preload.type, preload.env, preload.reloading,
                              stamp_of(preload.script), {}};
  if (!stopping_ && !current_) start_current_locked();
}

void Group::report_timeout() {
  std::lock_guard lock(mutex_);
  timeout_pending_ = true;
  timeout_reported_ = Clock::now();
}

// ---- starting and replacing ----

Ref<Environment> Group::launch_locked() {
  // Stamps are taken before the code is read: a change during the load is seen as a change afterwards.
  for (auto& [path, script] : scripts_) script.stamp = stamp_of(path);
  Ref<Environment> environment = Environment::create(settings_->platform, this, name_, settings_->gateway_directory,
                                                     gateway_config(*settings_, name_, scripts_));
  if (environment->start()) return environment;
  log(exchange::kLogCritical, "NWSGI3002 application group '" + name_ +
                                  "': no thread could be created for its environment. Check the process and memory "
                                  "limits of the server's user");
  return nullptr;
}

void Group::start_current_locked() {
  restart_due_ = false;
  load_failed_ = false;
  interrupted_ = false;
  timeout_pending_ = false;
  current_since_ = Clock::now();
  current_ready_ = false;
  current_ = launch_locked();
  if (!current_) {
    fail_pending_locked({500, "NWSGI3002", "application group '" + name_ + "': its environment could not be started", true, 0});
  }
}

void Group::start_next_locked(const char* why) {
  log(exchange::kLogInfo, "NWSGI3010 application group '" + name_ + "': " + why + "; starting a fresh environment");
  next_since_ = Clock::now();
  next_ = launch_locked();
}

void Group::drain_locked(Ref<Environment> environment, const char* why) {
  if (!environment) return;
  if (why != nullptr) log(exchange::kLogInfo, "NWSGI3011 application group '" + name_ + "': " + why);
  draining_.push_back({std::move(environment), Clock::now() + settings_->drain_time});
}

void Group::flush_pending_locked() {
  while (!pending_.empty() && current_ && current_ready_) {
    const Ref<Exchange>& request = pending_.front();
    if (!request->over() && !current_->mailbox().submit(request)) return;
    pending_.pop_front();
  }
}

void Group::fail_pending_locked(const Failure& failure) {
  for (const Ref<Exchange>& exchange : pending_) exchange->fail(failure);
  pending_.clear();
}

// ---- reports of environments (on their threads) ----

void Group::on_ready(Environment* environment, const std::string& failure) {
  std::lock_guard lock(mutex_);
  if (environment == current_.get()) {
    if (!environment->mailbox().attached()) return;  // the gateway has said why; on_ended() follows
    current_ready_ = true;
    if (!failure.empty()) {
      log(exchange::kLogError, "NWSGI3012 application group '" + name_ + "': it started, but " + failure);
    }
    flush_pending_locked();
    return;
  }
  if (environment != next_.get()) return;
  if (failure.empty() || !current_) {
    Ref<Environment> old = std::move(current_);
    current_ = std::move(next_);
    current_since_ = Clock::now();
    current_ready_ = true;
    load_failed_ = false;
    failed_loads_ = 0;
    crashes_ = 0;
    interrupted_ = false;
    timeout_pending_ = false;
    drain_locked(std::move(old), "the new environment serves, the old one finishes its requests");
    flush_pending_locked();
    return;
  }
  log(exchange::kLogError, "NWSGI3013 application group '" + name_ + "': the new version did not load: " + failure +
                               ". The old version goes on serving; correct the file, it is tried again when it changes");
  drain_locked(std::move(next_), nullptr);
}

void Group::on_load_failed(Environment* environment, const std::string&) {
  std::lock_guard lock(mutex_);
  if (environment != current_.get()) return;
  load_failed_ = true;
  retry_load_at_ = Clock::now() + std::max<Clock::duration>(milliseconds(1000), back_off(++failed_loads_));
}

void Group::on_watch(Environment*, const exchange::LoadedScript& script) {
  std::lock_guard lock(mutex_);
  const auto [entry, added] = scripts_.try_emplace(script.path);
  if (!added) return;
  entry->second = {script.callable, script.type, script.env, true, stamp_of(script.path), {}};
}

void Group::on_unserved(Environment* environment, std::vector<Ref<Exchange>> requests) {
  std::lock_guard lock(mutex_);
  if (environment == current_.get()) current_ready_ = false;  // no more requests for it
  for (Ref<Exchange>& request : requests) {
    if (stopping_) {
      request->fail(stopping_failure());
    } else {
      pending_.push_back(std::move(request));
    }
  }
  flush_pending_locked();  // it was a drained environment: its successor serves already
}

void Group::on_ended(Environment* environment) {
  std::lock_guard lock(mutex_);
  ended_.push_back(Ref<Environment>::share(environment));
  if (environment == current_.get()) {
    current_ = nullptr;
    current_ready_ = false;
    load_failed_ = false;
    report_end_locked(*environment);
    if (!stopping_) schedule_restart_locked(*environment);
  } else if (environment == next_.get()) {
    next_ = nullptr;
    if (!stopping_) {
      log(exchange::kLogError, "NWSGI3013 application group '" + name_ + "': the new version did not load: " +
                                   environment->failure().message + ". The old version goes on serving");
    }
  } else {
    std::erase_if(draining_, [environment](const Draining& d) { return d.environment.get() == environment; });
  }
}

void Group::report_end_locked(const Environment& ended) {
  if (ended.end_reason() == EndReason::kStopped) return;
  const Failure failure = ended.failure();
  const auto requests = pending_.size();
  const bool restarts = !stopping_ && ended.end_reason() != EndReason::kNotStarted;
  log(exchange::kLogError, failure.code + " " + failure.message +
                               (!restarts ? "" : ". A fresh environment is started; " + std::to_string(requests) +
                                                     " requests wait for it"));
}

void Group::schedule_restart_locked(const Environment& ended) {
  if (ended.end_reason() == EndReason::kStopped && pending_.empty()) return;
  if (ended.end_reason() == EndReason::kNotStarted) {
    // It would fail again for the same reason; the next request tries.
    fail_pending_locked(ended.failure());
    return;
  }
  const auto now = Clock::now();
  crashes_ = now - current_since_ < kStableTime ? crashes_ + 1 : 1;
  if (next_) {
    // A replacement is on its way already: it takes over as soon as it is ready.
    current_ = std::move(next_);
    current_since_ = next_since_;
    return;
  }
  const Clock::duration pause = back_off(crashes_);
  if (pause > kLongestWait) {
    fail_pending_locked({503, "NWSGI3009", "application group '" + name_ +
                         "': it crashes again and again; it is started again after a pause", false, 2});
    log(exchange::kLogError, "NWSGI3009 application group '" + name_ + "': " + std::to_string(crashes_) +
                                 " crashes in a row; the next start is in " +
                                 std::to_string(std::chrono::duration_cast<seconds>(pause).count()) + " s");
  }
  restart_due_ = true;
  restart_at_ = now + pause;
  if (pause == Clock::duration::zero()) start_current_locked();
}

// May be called with or without the group's lock: it takes none.
void Group::log(uint8_t level, const std::string& text) { settings_->services->log(site_, level, text.c_str()); }

// ---- time ----

void Group::tick(Clock::time_point now) {
  {
    std::lock_guard lock(mutex_);
    if (restart_due_ && now >= restart_at_ && !current_ && !stopping_) start_current_locked();
    leave_locked();
    check_drains_locked(now);
    check_blocked_locked(now);
    check_start_locked(now);
    if (now >= next_check_ && !stopping_) {
      next_check_ = now + kScriptCheck;
      check_scripts_locked(now);
    }
  }
  reap();
}

void Group::check_scripts_locked(Clock::time_point now) {
  const bool paused = restart_due_ && !current_;
  if ((!current_ready_ && !paused) || next_) return;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  for (auto& [path, script] : scripts_) {
    if (!script.reloading) continue;
    const FileStamp stamp = stamp_of(path);
    if (stamp == script.stamp) continue;
    if (stamp.modified_ns < 0) continue;  // removed, or being replaced: what is loaded goes on serving
    const auto age = wall - std::chrono::nanoseconds(stamp.modified_ns);
    if (age >= std::chrono::nanoseconds(0) && age < kSettled) continue;
    // A file that is being written may have its new size before its new time: what counts was seen twice.
    if (stamp != script.seen) {
      script.seen = stamp;
      next_check_ = now;
      continue;
    }
    const std::string why = path + " changed";
    if (!paused) return start_next_locked(why.c_str());
    // Who corrects a script that crashes need not wait until the pause is over.
    log(exchange::kLogInfo, "NWSGI3010 application group '" + name_ + "': " + why + "; starting a fresh environment");
    crashes_ = 0;
    return start_current_locked();
  }
}

// The child finishes what it has, and would wait for upgraded connections for ever: their application is told to end. A
// request that comes all the same starts a fresh environment.
void Group::leave_locked() {
  if (!leaving_ || !current_ready_ || current_->mailbox().lasting() == 0 || awaited(*current_) != 0) return;
  drain_locked(std::move(current_), nullptr);
  current_ready_ = false;
}

void Group::check_drains_locked(Clock::time_point now) {
  for (Draining& draining : draining_) {
    Environment& environment = *draining.environment;
    if (!draining.stop_requested && (awaited(environment) == 0 || now >= draining.deadline)) {
      draining.stop_requested = true;
      draining.deadline = now + kStopGrace;
      environment.request_stop("replaced", static_cast<uint32_t>(milliseconds(kStopGrace - kStopMargin).count()));
    } else if (draining.stop_requested && !draining.stopped && now >= draining.deadline) {
      draining.stopped = true;
      environment.stop(EndReason::kStopped);
    }
  }
}

void Group::check_blocked_locked(Clock::time_point now) {
  if (!timeout_pending_ || !current_ || now - timeout_reported_ < kBlockedGrace) return;
  if (current_->mailbox().oldest_wait() < kBlockedGrace) {
    timeout_pending_ = false;  // the loop runs: the application is slow, not stuck
    return;
  }
  if (!interrupted_) {
    interrupted_ = true;
    timeout_reported_ = now;  // a second more for the interrupt
    current_->interrupt();
    return;
  }
  current_->stop(EndReason::kInterrupted);  // it is not in JavaScript
  timeout_pending_ = false;
}

void Group::check_start_locked(Clock::time_point now) {
  if (next_ && now - next_since_ > kStartLimit) {
    log(exchange::kLogError, "NWSGI3014 application group '" + name_ + "': the new version did not finish loading within " +
                                 std::to_string(seconds(kStartLimit).count()) +
                                 " s (a top-level await that never ends?). The old version goes on serving");
    drain_locked(std::move(next_), nullptr);
  }
  if (current_ && !current_ready_ && now - current_since_ > kStartLimit) {
    const Failure failure{500, "NWSGI3014", "application group '" + name_ + "': it did not finish loading within " +
                          std::to_string(seconds(kStartLimit).count()) + " s (a top-level await that never ends?)", false, 0};
    log(exchange::kLogError, failure.code + " " + failure.message);
    drain_locked(std::move(current_), nullptr);
    fail_pending_locked(failure);
  }
}

// ---- the end ----

void Group::begin_stop(bool graceful) {
  if (graceful) {
    std::lock_guard lock(mutex_);
    leaving_ = true;
    return;
  }
  const Failure failure = stopping_failure();
  std::vector<Ref<Environment>> environments;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    fail_pending_locked(failure);
    if (current_) environments.push_back(current_);
    if (next_) environments.push_back(next_);
    for (const Draining& draining : draining_) environments.push_back(draining.environment);
  }
  for (const Ref<Environment>& environment : environments) {
    for (const Ref<Exchange>& unserved : environment->mailbox().close(failure)) unserved->fail(failure);
  }
}

void Group::end_all(bool now, uint32_t limit) {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  const auto end = [now, limit](Environment& environment) {
    if (now) {
      environment.stop(EndReason::kStopped);
    } else {
      environment.request_stop("shutdown", limit);
    }
  };
  if (current_) end(*current_);
  if (next_) end(*next_);
  for (const Draining& draining : draining_) end(*draining.environment);
}

bool Group::reap() {
  std::vector<Ref<Environment>> ended;
  bool empty = false;
  {
    std::lock_guard lock(mutex_);
    ended.swap(ended_);
    empty = !current_ && !next_ && draining_.empty();
  }
  for (const Ref<Environment>& environment : ended) environment->join();
  return empty;
}

}  // namespace nwsgi::runtime
