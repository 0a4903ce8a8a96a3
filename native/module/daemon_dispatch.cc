#include "module/daemon_dispatch.h"

#include <http_log.h>
#include <http_protocol.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "module/log.h"
#include "module/stop_signals.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::ClaimResult;
using exchange::Clock;
using exchange::Failure;
using exchange::Scoreboard;
using exchange::ScoreboardWorker;
using std::chrono::milliseconds;

constexpr int kMostRepeats = 3;
// A worker that has gone may be on the scoreboard a moment longer.
constexpr milliseconds kRepeatPause{20};
// How often a request that waits in place looks whether its child has time left.
constexpr milliseconds kQueueSlice{250};
// How often a request in the queue looks for itself where nobody would tell it.
constexpr milliseconds kAloneSlice{20};
// How often somebody who waits for a worker that starts looks at the clock.
constexpr milliseconds kStartSlice{500};
// How often somebody looks for the reason of a worker's end.
constexpr milliseconds kExitReasonSlice{10};
constexpr int kRetryAfter = 1;
constexpr milliseconds kForEver{24 * 3600 * 1000};

// The request of this thread that is on its way to a worker. Prefork ends a child on the very thread that serves the
// request, while it waits; in threaded MPMs the main thread, which runs the cleanups, has none. A request that parks leaves
// it behind: it is compared then, never used.
thread_local DaemonCarrier* on_its_way = nullptr;

DaemonLeg::Limits limits_of(const request_rec* r, const DaemonOptions& options) {
  DaemonLeg::Limits limits;
  limits.longest_line = static_cast<size_t>(std::max<int64_t>(options.header_buffer_size, 0));
  limits.grace_has_ended = grace_has_ended;
  limits.stuck =
      milliseconds(options.socket_timeout > 0 ? options.socket_timeout : apr_time_as_msec(r->server->timeout));
  return limits;
}

}  // namespace

DaemonCarrier::DaemonCarrier(request_rec* r, const DaemonGroup& group, GroupInChild* in_child,
                             const char* application_group, std::string record, bool has_body)
    : r_(r),
      group_(group),
      scoreboard_(in_child->scoreboard),
      connections_(in_child->connections),
      queues_(in_child->queues),
      application_group_(application_group),
      leg_(std::move(record), has_body, &in_child->connections, limits_of(r, group.options)) {
  leg_.set_route(this);
}

DaemonCarrier::~DaemonCarrier() {
  if (on_its_way == this) on_its_way = nullptr;
  let_go();
}

void DaemonCarrier::let_go_of_this_thread() {
  if (on_its_way != nullptr) on_its_way->let_go();
}

void DaemonCarrier::let_go() {
  hello_.reset();
  place_.leave();
  drop_claim();
}

void DaemonCarrier::drop_claim() {
  if (std::exchange(claimed_, false)) scoreboard_.release(claim_);
}

void DaemonCarrier::fail(int status, Code code, std::string message, int retry_after) {
  Failure failure;
  failure.status = status;
  failure.code = code_name(code);
  failure.message = std::move(message);
  failure.retry_after = retry_after;
  fail(std::move(failure));
}

void DaemonCarrier::fail(Failure failure) {
  let_go();
  state_ = State::kThere;
  leg_.fail(std::move(failure));
}

bool DaemonCarrier::fail_at_end_of_grace() {
  if (!leg_.fail_at_end_of_grace()) return false;
  let_go();
  state_ = State::kThere;
  return true;
}

// ---- to a worker ----

void DaemonCarrier::submit() {
  set_out();
  advance();
}

void DaemonCarrier::set_out() {
  const DaemonOptions& options = group_.options;
  const int64_t limit = options.queue_timeout > 0 ? options.queue_timeout : options.connect_timeout;
  began_ = Clock::now();
  deadline_ = began_ + (limit > 0 ? milliseconds(limit) : kForEver);
  state_ = State::kLooking;
}

void DaemonCarrier::advance() {
  while (under_way() && move()) {
  }
  if (under_way()) on_its_way = this;
  else if (on_its_way == this) on_its_way = nullptr;
}

// False: something has to be waited for.
bool DaemonCarrier::move() {
  switch (state_) {
    case State::kLooking:
      look();
      return true;
    case State::kQueued:
      return wait_in_queue();
    case State::kAsking:
      return hear_supervisor(hello_->proceed());
    case State::kPausing:
      if (Clock::now() < until_) return false;
      state_ = State::kLooking;
      return true;
    case State::kExplaining:
      return explain_loss();
    case State::kThere:
      break;
  }
  return false;
}

DaemonCarrier::Awaited DaemonCarrier::awaits() {
  const Clock::time_point now = Clock::now();
  Awaited awaited;
  switch (state_) {
    case State::kQueued:
      awaited.until = deadline_;
      if (!queues_.attended(pool_)) awaited.until = std::min(deadline_, now + kAloneSlice);
      if (has_sink_) break;
      awaited.fd = place_.wake_fd();
      awaited.events = POLLIN;
      awaited.until = std::min(awaited.until, now + (awaited.fd >= 0 ? kQueueSlice : kAloneSlice));
      break;
    case State::kAsking:
      awaited = hello_->awaits();
      awaited.until = std::min({awaited.until, last_, now + kStartSlice});
      if (now < deadline_) awaited.until = std::min(awaited.until, deadline_);
      break;
    case State::kPausing:
      awaited.until = until_;
      break;
    case State::kExplaining:
      awaited.until = std::min(until_, now + kExitReasonSlice);
      break;
    default:
      awaited.until = now;
  }
  return awaited;
}

void DaemonCarrier::set_sink(exchange::Sink* sink) {
  has_sink_ = sink != nullptr;
  place_.set_sink(sink);
}

void DaemonCarrier::look() {
  if (fail_at_end_of_grace()) return;
  const uint32_t pool = scoreboard_.find_pool(application_group_);
  if (pool == Scoreboard::kNoPool) return ask_supervisor(nullptr);
  // Nobody overtakes those who stand in line.
  switch (queues_.anybody(pool) ? ClaimResult::kBusy : scoreboard_.claim(pool, &claim_)) {
    case ClaimResult::kClaimed:
      claimed_ = true;
      return take_connection();
    case ClaimResult::kNoneServing:
      return ask_supervisor(nullptr);
    case ClaimResult::kBusy:
      return enter_queue(pool);
  }
}

// To the worker of claim_.
void DaemonCarrier::take_connection() {
  std::unique_ptr<DaemonConnection> connection = connections_.take(claim_);
  if (!connection) return ask_supervisor(&claim_);
  hand_over(std::move(connection));
}

void DaemonCarrier::hand_over(std::unique_ptr<DaemonConnection> connection) {
  const exchange::Claim worker = connection->worker;
  worker_pid_ = scoreboard_.worker(worker.slot).pid.load(std::memory_order_relaxed);
  if (leg_.submit(std::move(connection))) {
    claimed_ = false;  // the worker gives it back
    ++hand_overs_;
    state_ = State::kThere;
    return;
  }
  // The worker has gone, and so have all connections to it.
  connections_.forget(worker);
  drop_claim();
  pause(worker_name());
}

// Between two attempts; after the last one the request fails.
void DaemonCarrier::pause(const std::string& what_left) {
  if (++repeated_ > kMostRepeats) {
    return fail(HTTP_SERVICE_UNAVAILABLE, Code::kWorkersKeepLeaving,
                std::string("the workers of process group \"") + group_.name + "\" ended one after the other before they "
                "began the request; look in the error log for why they end", kRetryAfter);
  }
  scoreboard_.header().retried.fetch_add(1, std::memory_order_relaxed);
  log_request(r_, APLOG_INFO, 0, Code::kRequestRepeated,
              "%s, in process group \"%s\", left before the request was begun; the request goes to another one",
              what_left.c_str(), group_.name);
  state_ = repeated_ == 1 ? State::kLooking : State::kPausing;
  until_ = Clock::now() + kRepeatPause * repeated_;
}

// ---- in the queue ----

void DaemonCarrier::enter_queue(uint32_t pool) {
  if (!queues_.enter(pool, &place_)) {
    return fail(HTTP_SERVICE_UNAVAILABLE, Code::kQueueFull,
                std::string("all workers of process group \"") + group_.name + "\" are busy and queue-limit=" +
                    std::to_string(group_.options.queue_limit) +
                    " requests wait already; raise processes=, threads= or queue-limit=, or make the application faster",
                kRetryAfter);
  }
  pool_ = pool;
  state_ = State::kQueued;
}

bool DaemonCarrier::wait_in_queue() {
  if (!queues_.attended(pool_)) queues_.serve(pool_);
  switch (place_.state()) {
    case DaemonQueues::Place::State::kClaimed:
      claim_ = place_.take_claim();
      claimed_ = true;
      take_connection();
      return true;
    case DaemonQueues::Place::State::kWaiting:
      if (fail_at_end_of_grace()) return true;
      if (Clock::now() < deadline_) return false;
      too_late();
      return true;
    default:
      place_.leave();
      state_ = State::kLooking;
      return true;
  }
}

void DaemonCarrier::too_late() {
  scoreboard_.pool(pool_).queue_timeouts.fetch_add(1, std::memory_order_relaxed);
  scoreboard_.header().refused_timeout.fetch_add(1, std::memory_order_relaxed);
  const bool queue_timeout = group_.options.queue_timeout > 0;
  fail(queue_timeout ? HTTP_GATEWAY_TIME_OUT : HTTP_SERVICE_UNAVAILABLE,
       queue_timeout ? Code::kQueueTimeout : Code::kNoFreeWorker,
       std::string("all workers of process group \"") + group_.name + "\" were busy for " +
           std::to_string(queue_timeout ? group_.options.queue_timeout : group_.options.connect_timeout) + " ms (" +
           (queue_timeout ? "queue-timeout" : "connect-timeout") +
           "); raise processes= or threads=, or make the application faster",
       queue_timeout ? 0 : kRetryAfter);
}

// The supervisor sees the number change and finds out whether the worker is stuck.
void DaemonCarrier::report_timeout() {
  ScoreboardWorker& worker = scoreboard_.worker(leg_.worker().slot);
  if (Scoreboard::generation_of(worker.tenancy) == leg_.worker().generation) worker.timed_out.fetch_add(1);
}

}  // namespace nwsgi::httpd_side
