#include "module/daemon_dispatch.h"

#include <http_log.h>
#include <http_protocol.h>

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
using exchange::WorkerState;
using std::chrono::milliseconds;

constexpr int kMostRepeats = 3;
// A worker that has gone may be on the scoreboard a moment longer.
constexpr milliseconds kRepeatPause{20};
// How often a request in the queue looks for its client.
constexpr milliseconds kQueueSlice{250};
// How often somebody who waits for a worker that starts looks at the clock.
constexpr milliseconds kStartSlice{500};
// What the supervisor may take beyond startup-timeout to say that a start has failed.
constexpr milliseconds kStartGrace{5000};
// How long the reason of a worker's end may take to reach the scoreboard, and how often to look.
constexpr milliseconds kExitReasonWait{300};
constexpr milliseconds kExitReasonSlice{10};
// A supervisor that starts within that time is waited for.
constexpr milliseconds kShortPause{2000};
constexpr int kRetryAfter = 1;
constexpr milliseconds kForEver{24 * 3600 * 1000};

// The request of this thread that is on its way to a worker. Prefork ends a child on the very thread that serves the
// request, while it waits; in threaded MPMs the main thread, which runs the cleanups, has none.
thread_local DaemonCarrier* on_its_way = nullptr;

bool idempotent(const request_rec* r) {
  switch (r->method_number) {
    case M_GET:  // HEAD too
    case M_OPTIONS:
    case M_TRACE:
    case M_PUT:
    case M_DELETE:
      return true;
    default:
      return false;
  }
}

DaemonLeg::Limits limits_of(const request_rec* r, const DaemonOptions& options) {
  DaemonLeg::Limits limits;
  limits.longest_line = static_cast<size_t>(std::max<int64_t>(options.header_buffer_size, 0));
  limits.grace_has_ended = grace_has_ended;
  limits.stuck =
      milliseconds(options.socket_timeout > 0 ? options.socket_timeout : apr_time_as_msec(r->server->timeout));
  return limits;
}

class OnItsWay {
 public:
  explicit OnItsWay(DaemonCarrier* carrier) : outer_(std::exchange(on_its_way, carrier)) {}
  ~OnItsWay() { on_its_way = outer_; }
  OnItsWay(const OnItsWay&) = delete;
  OnItsWay& operator=(const OnItsWay&) = delete;

 private:
  DaemonCarrier* const outer_;
};

}  // namespace

DaemonCarrier::DaemonCarrier(request_rec* r, const DaemonGroup& group, GroupInChild* in_child,
                             const char* application_group, std::string record, bool has_body)
    : r_(r),
      group_(group),
      scoreboard_(in_child->scoreboard),
      connections_(in_child->connections),
      application_group_(application_group),
      leg_(std::move(record), has_body, &in_child->connections, limits_of(r, group.options)) {}

DaemonCarrier::~DaemonCarrier() { let_go(); }

void DaemonCarrier::let_go_of_this_thread() {
  if (on_its_way != nullptr) on_its_way->let_go();
}

void DaemonCarrier::let_go() {
  end_wait();
  drop_claim();
}

void DaemonCarrier::drop_claim() {
  if (std::exchange(claimed_, false)) scoreboard_.release(claim_);
}

void DaemonCarrier::end_wait() {
  if (queue_ == Scoreboard::kNoPool) return;
  scoreboard_.end_wait(std::exchange(queue_, Scoreboard::kNoPool), queued_since_);
}

void DaemonCarrier::fail(int status, Code code, std::string message, int retry_after) {
  Failure failure;
  failure.status = status;
  failure.code = code_name(code);
  failure.message = std::move(message);
  failure.retry_after = retry_after;
  leg_.fail(std::move(failure));
}

// ---- to a worker ----

bool DaemonCarrier::submit(Waiting* waiting) {
  const OnItsWay mark(this);
  const DaemonOptions& options = group_.options;
  const int64_t limit = options.queue_timeout > 0 ? options.queue_timeout : options.connect_timeout;
  began_ = Clock::now();
  deadline_ = began_ + (limit > 0 ? milliseconds(limit) : kForEver);
  for (;;) {
    Step step = find_worker(waiting);
    if (step == Step::kDone) {
      const exchange::Claim worker = connection_->worker;
      worker_pid_ = scoreboard_.worker(worker.slot).pid.load(std::memory_order_relaxed);
      if (leg_.submit(std::move(connection_))) {
        claimed_ = false;  // the worker gives it back
        return true;
      }
      // The worker has gone, and so have all connections to it.
      connections_.forget(worker);
      drop_claim();
      step = pause(waiting, worker_name());
    }
    if (step == Step::kAgain) continue;
    let_go();
    return step != Step::kClientGone;
  }
}

// Between two attempts; after the last one the request fails.
DaemonCarrier::Step DaemonCarrier::pause(Waiting* waiting, const std::string& what_left) {
  if (++repeated_ > kMostRepeats) {
    fail(HTTP_SERVICE_UNAVAILABLE, Code::kWorkersKeepLeaving,
         std::string("the workers of process group \"") + group_.name + "\" ended one after the other before they began the "
         "request; look in the error log for why they end", kRetryAfter);
    return Step::kFailed;
  }
  scoreboard_.header().retried.fetch_add(1, std::memory_order_relaxed);
  log_request(r_, APLOG_INFO, 0, Code::kRequestRepeated,
              "%s, in process group \"%s\", left before the request was begun; the request goes to another one",
              what_left.c_str(), group_.name);
  if (repeated_ == 1) return Step::kAgain;
  const auto until = Clock::now() + kRepeatPause * repeated_;
  return waiting->wait(-1, 0, until) == Waiting::Result::kClientGone ? Step::kClientGone : Step::kAgain;
}

// kDone: connection_ is there, and claim_ with it.
DaemonCarrier::Step DaemonCarrier::find_worker(Waiting* waiting) {
  if (leg_.fail_at_end_of_grace()) return Step::kFailed;
  const uint32_t pool = scoreboard_.find_pool(application_group_);
  if (pool == Scoreboard::kNoPool) return say_hello(nullptr, waiting);
  switch (scoreboard_.claim(pool, &claim_)) {
    case ClaimResult::kClaimed:
      claimed_ = true;
      break;
    case ClaimResult::kNoneServing:
      return say_hello(nullptr, waiting);
    case ClaimResult::kBusy: {
      const Step step = wait_in_queue(pool, waiting);
      if (step != Step::kDone) return step;
    }
  }
  connection_ = connections_.take(claim_);
  return connection_ ? Step::kDone : say_hello(&claim_, waiting);
}

// kDone: there is a claim; kAgain: nobody serves any more.
DaemonCarrier::Step DaemonCarrier::wait_in_queue(uint32_t pool, Waiting* waiting) {
  if (!scoreboard_.begin_wait(pool)) {
    fail(HTTP_SERVICE_UNAVAILABLE, Code::kQueueFull,
         std::string("all workers of process group \"") + group_.name + "\" are busy and queue-limit=" +
             std::to_string(group_.options.queue_limit) +
             " requests wait already; raise processes=, threads= or queue-limit=, or make the application faster",
         kRetryAfter);
    return Step::kFailed;
  }
  queue_ = pool;
  queued_since_ = Clock::now();
  Step step = Step::kAgain;
  for (;;) {
    const uint32_t seen = scoreboard_.freed(pool);
    const ClaimResult result = scoreboard_.claim(pool, &claim_);
    if (result == ClaimResult::kClaimed) {
      claimed_ = true;
      step = Step::kDone;
    }
    if (result != ClaimResult::kBusy) break;
    const Clock::time_point now = Clock::now();
    if (waiting->wait(-1, 0, now) == Waiting::Result::kClientGone) step = Step::kClientGone;
    else if (leg_.fail_at_end_of_grace()) step = Step::kFailed;
    else if (now >= deadline_) step = too_late(pool);
    if (step != Step::kAgain) {
      // The place that this request was woken for may be another's.
      scoreboard_.announce(pool, false);
      break;
    }
    const StopWindow window;
    scoreboard_.wait_for_freed(pool, seen, std::min(deadline_, now + kQueueSlice));
  }
  end_wait();
  return step;
}

DaemonCarrier::Step DaemonCarrier::too_late(uint32_t pool) {
  scoreboard_.pool(pool).queue_timeouts.fetch_add(1, std::memory_order_relaxed);
  scoreboard_.header().refused_timeout.fetch_add(1, std::memory_order_relaxed);
  const bool queue_timeout = group_.options.queue_timeout > 0;
  fail(queue_timeout ? HTTP_GATEWAY_TIME_OUT : HTTP_SERVICE_UNAVAILABLE,
       queue_timeout ? Code::kQueueTimeout : Code::kNoFreeWorker,
       std::string("all workers of process group \"") + group_.name + "\" were busy for " +
           std::to_string(queue_timeout ? group_.options.queue_timeout : group_.options.connect_timeout) + " ms (" +
           (queue_timeout ? "queue-timeout" : "connect-timeout") +
           "); raise processes= or threads=, or make the application faster",
       queue_timeout ? 0 : kRetryAfter);
  return Step::kFailed;
}

// ---- by way of the supervisor ----

// A worker of the pool is about to serve, so that it pays to wait longer than for one that may never come.
bool DaemonCarrier::worker_starts() const {
  const uint32_t pool = scoreboard_.find_pool(application_group_);
  if (pool == Scoreboard::kNoPool) return false;
  const uint32_t used = std::min(scoreboard_.header().used_slots.load(), scoreboard_.workers());
  for (uint32_t slot = 0; slot < used; ++slot) {
    const ScoreboardWorker& worker = scoreboard_.worker(slot);
    if (worker.state == WorkerState::kStarting && worker.pool == pool) return true;
  }
  return false;
}

DaemonCarrier::Step DaemonCarrier::say_hello(const exchange::Claim* worker, Waiting* waiting) {
  connections_.sweep(scoreboard_);
  const DaemonOptions& options = group_.options;
  // The application may begin to wait for a worker that starts only now.
  const auto patience =
      (options.startup_timeout > 0 ? milliseconds(options.startup_timeout) : kForEver) + kStartGrace;
  const Clock::time_point last = options.queue_timeout > 0 ? deadline_ : std::max(deadline_, began_ + patience);
  if (supervisor_is_far_off()) return Step::kFailed;
  Hello hello;
  Hello::Status status = hello.ask(group_.socket_path, application_group_, worker, waiting, deadline_);
  while (status == Hello::Status::kPending && hello.asked()) {
    const Clock::time_point now = Clock::now();
    if (now >= last || (now >= deadline_ && !worker_starts())) break;
    status = hello.answer(waiting, std::min(last, now + kStartSlice));
    if (status == Hello::Status::kPending && supervisor_is_far_off()) return Step::kFailed;
    if (status == Hello::Status::kPending && leg_.fail_at_end_of_grace()) {
      drop_claim();
      return Step::kFailed;
    }
  }
  // The next supervisor finds whoever asks meanwhile in the queue of the socket.
  if (status != Hello::Status::kUnreachable || !hello.hung_up()) return take_answer(&hello, status);
  drop_claim();
  return supervisor_is_far_off() ? Step::kFailed : pause(waiting, "the supervisor");
}

// The parent has said that it waits before it starts the next one.
bool DaemonCarrier::supervisor_is_far_off() {
  const uint64_t due = scoreboard_.header().supervisor_due_ms.load();
  if (due == 0) return false;
  const auto now = std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const int64_t left = std::min<int64_t>(static_cast<int64_t>(due) - now.count(), 3600 * 1000);
  if (left <= kShortPause.count()) return false;
  drop_claim();
  fail(HTTP_SERVICE_UNAVAILABLE, Code::kSupervisorUnreachable,
       std::string("process group \"") + group_.name + "\" has no supervisor: it keeps ending, and the next one starts in " +
           std::to_string(left / 1000) + " s; look in the error log for why, and restart the server when that is mended",
       static_cast<int>(left / 1000));
  return true;
}

DaemonCarrier::Step DaemonCarrier::take_answer(Hello* hello, Hello::Status status) {
  switch (status) {
    case Hello::Status::kConnected: {
      connection_ = hello->take_connection(static_cast<int>(group_.options.receive_buffer_size));
      const exchange::Claim& worker = connection_->worker;
      if (worker.slot >= scoreboard_.workers()) break;
      // The supervisor has claimed the worker that it chose itself.
      if (claimed_ && (worker.slot != claim_.slot || worker.generation != claim_.generation)) drop_claim();
      claim_ = worker;
      claimed_ = true;
      return Step::kDone;
    }
    case Hello::Status::kClientGone:
      return Step::kClientGone;
    case Hello::Status::kRefused: {
      Failure failure = hello->failure();
      if (failure.status < 500 || failure.status > 599) failure.status = HTTP_SERVICE_UNAVAILABLE;
      if (!is_code_name(failure.code)) failure.code = code_name(Code::kNoFreeWorker);
      drop_claim();
      leg_.fail(std::move(failure));
      return Step::kFailed;
    }
    case Hello::Status::kPending:
      drop_claim();
      fail(group_.options.queue_timeout > 0 ? HTTP_GATEWAY_TIME_OUT : HTTP_SERVICE_UNAVAILABLE,
           group_.options.queue_timeout > 0 ? Code::kQueueTimeout : Code::kNoFreeWorker,
           std::string("no worker of process group \"") + group_.name + "\" was ready in time (" +
               (group_.options.queue_timeout > 0 ? "queue-timeout" : "connect-timeout, startup-timeout") +
               "); look in the error log for what its supervisor and its workers say",
           group_.options.queue_timeout > 0 ? 0 : kRetryAfter);
      return Step::kFailed;
    case Hello::Status::kUnreachable:
      break;
  }
  drop_claim();
  connection_.reset();
  fail(HTTP_SERVICE_UNAVAILABLE, Code::kSupervisorUnreachable,
       std::string("the supervisor of process group \"") + group_.name + "\" does not answer on \"" + group_.socket_path +
           "\" (" + (hello->error() != 0 ? std::strerror(hello->error()) : "it hung up") +
           "); look in the error log for why it ended, and whether the server's User may use that socket",
       kRetryAfter);
  return Step::kFailed;
}

// ---- after a worker has gone ----

std::string DaemonCarrier::worker_name() const { return "worker process " + std::to_string(worker_pid_); }

bool DaemonCarrier::may_repeat() const {
  switch (leg_.loss()) {
    case DaemonLeg::Loss::kNotBegun: return true;
    case DaemonLeg::Loss::kUnread: return idempotent(r_);
    default: return false;
  }
}

bool DaemonCarrier::recover(Waiting* waiting) {
  if (leg_.loss() == DaemonLeg::Loss::kNone) return false;
  connections_.forget(leg_.worker());
  if (!may_repeat()) {
    explain_loss(waiting);
    return false;
  }
  switch (pause(waiting, worker_name())) {
    case Step::kAgain: return submit(waiting);
    case Step::kFailed: return true;  // the leg knows
    default: return false;
  }
}

// The reason of the worker's end, once the supervisor has written it down.
bool DaemonCarrier::take_exit_reason(Failure* failure) const {
  const ScoreboardWorker& worker = scoreboard_.worker(leg_.worker().slot);
  if (worker.exit_generation.load(std::memory_order_acquire) != leg_.worker().generation) return false;
  char text[ScoreboardWorker::kExitTextSize];
  std::memcpy(text, worker.exit_text, sizeof text);
  text[sizeof text - 1] = '\0';
  const uint32_t status = worker.exit_http_status;
  const uint32_t code = worker.exit_code_length;
  // Was it replaced while it was read?
  if (worker.exit_generation.load() != leg_.worker().generation) return false;
  const std::string_view whole(text);
  failure->status = status >= 500 && status <= 599 ? static_cast<int>(status) : HTTP_BAD_GATEWAY;
  failure->code = whole.substr(0, code);
  failure->message = whole.substr(std::min<size_t>(whole.size(), size_t{code} + 1));
  return is_code_name(failure->code) && !failure->message.empty();
}

void DaemonCarrier::explain_loss(Waiting* waiting) {
  const Clock::time_point last = Clock::now() + kExitReasonWait;
  Failure failure;
  while (!take_exit_reason(&failure)) {
    const Clock::time_point now = Clock::now();
    if (now >= last) {
      return fail(HTTP_BAD_GATEWAY, Code::kWorkerLost,
                  worker_name() + " of process group \"" + group_.name +
                      "\" ended, or closed its connection, while it had the request; look in the error log for why");
    }
    if (waiting->wait(-1, 0, now + kExitReasonSlice) == Waiting::Result::kClientGone) return;
  }
  leg_.fail(std::move(failure));
}

// The supervisor sees the number change and finds out whether the worker is stuck.
void DaemonCarrier::report_timeout() {
  ScoreboardWorker& worker = scoreboard_.worker(leg_.worker().slot);
  if (Scoreboard::generation_of(worker.tenancy) == leg_.worker().generation) worker.timed_out.fetch_add(1);
}

}  // namespace nwsgi::httpd_side
