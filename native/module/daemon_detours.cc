// The ways of a request that are not the usual one: the supervisor is asked for a worker, or the worker has gone.
#include <http_protocol.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "module/daemon_dispatch.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::Clock;
using exchange::Failure;
using exchange::Scoreboard;
using exchange::ScoreboardWorker;
using exchange::WorkerState;
using std::chrono::milliseconds;

// What the supervisor may take beyond startup-timeout to say that a start has failed.
constexpr milliseconds kStartGrace{5000};
// A supervisor that starts within that time is waited for.
constexpr milliseconds kShortPause{2000};
// How long the reason of a worker's end may take to reach the scoreboard.
constexpr milliseconds kExitReasonWait{300};
constexpr milliseconds kForEver{24 * 3600 * 1000};
constexpr int kRetryAfter = 1;

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

}  // namespace

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

void DaemonCarrier::ask_supervisor(const exchange::Claim* worker) {
  connections_.sweep(scoreboard_);
  const DaemonOptions& options = group_.options;
  // The application may begin to wait for a worker that starts only now.
  const auto patience =
      (options.startup_timeout > 0 ? milliseconds(options.startup_timeout) : kForEver) + kStartGrace;
  last_ = options.queue_timeout > 0 ? deadline_ : std::max(deadline_, began_ + patience);
  if (supervisor_is_far_off()) return;
  state_ = State::kAsking;
  hello_.emplace();
  hear_supervisor(hello_->ask(group_.socket_path, application_group_, worker));
}

// False: there is no answer yet.
bool DaemonCarrier::hear_supervisor(Hello::Status status) {
  switch (status) {
    case Hello::Status::kPending: {
      const Clock::time_point now = Clock::now();
      const bool too_late = now >= last_ || (now >= deadline_ && !(hello_->asked() && worker_starts()));
      if (too_late) no_worker_in_time();
      return too_late || supervisor_is_far_off() || fail_at_end_of_grace();
    }
    case Hello::Status::kConnected:
      take_worker();
      break;
    case Hello::Status::kRefused:
      take_refusal();
      break;
    case Hello::Status::kUnreachable:
      // The next supervisor finds whoever asks meanwhile in the queue of the socket.
      if (!hello_->hung_up()) {
        supervisor_unreachable();
        break;
      }
      drop_claim();
      if (!supervisor_is_far_off()) pause("the supervisor");
      break;
  }
  if (state_ != State::kAsking) hello_.reset();
  return true;
}

// The parent has said that it waits before it starts the next one.
bool DaemonCarrier::supervisor_is_far_off() {
  const uint64_t due = scoreboard_.header().supervisor_due_ms.load();
  if (due == 0) return false;
  const auto now = std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const int64_t left = std::min<int64_t>(static_cast<int64_t>(due) - now.count(), 3600 * 1000);
  if (left <= kShortPause.count()) return false;
  fail(HTTP_SERVICE_UNAVAILABLE, Code::kSupervisorUnreachable,
       std::string("process group \"") + group_.name + "\" has no supervisor: it keeps ending, and the next one starts in " +
           std::to_string(left / 1000) + " s; look in the error log for why, and restart the server when that is mended",
       static_cast<int>(left / 1000));
  return true;
}

void DaemonCarrier::take_worker() {
  std::unique_ptr<DaemonConnection> connection =
      hello_->take_connection(static_cast<int>(group_.options.receive_buffer_size));
  const exchange::Claim worker = connection->worker;
  if (worker.slot >= scoreboard_.workers()) return supervisor_unreachable();
  // The supervisor has claimed the worker that it chose itself.
  if (claimed_ && (worker.slot != claim_.slot || worker.generation != claim_.generation)) drop_claim();
  claim_ = worker;
  claimed_ = true;
  hand_over(std::move(connection));
}

void DaemonCarrier::take_refusal() {
  Failure failure = hello_->failure();
  if (failure.status < 500 || failure.status > 599) failure.status = HTTP_SERVICE_UNAVAILABLE;
  if (!is_code_name(failure.code)) failure.code = code_name(Code::kNoFreeWorker);
  fail(std::move(failure));
}

void DaemonCarrier::no_worker_in_time() {
  const bool queue_timeout = group_.options.queue_timeout > 0;
  fail(queue_timeout ? HTTP_GATEWAY_TIME_OUT : HTTP_SERVICE_UNAVAILABLE,
       queue_timeout ? Code::kQueueTimeout : Code::kNoFreeWorker,
       std::string("no worker of process group \"") + group_.name + "\" was ready in time (" +
           (queue_timeout ? "queue-timeout" : "connect-timeout, startup-timeout") +
           "); look in the error log for what its supervisor and its workers say",
       queue_timeout ? 0 : kRetryAfter);
}

void DaemonCarrier::supervisor_unreachable() {
  fail(HTTP_SERVICE_UNAVAILABLE, Code::kSupervisorUnreachable,
       std::string("the supervisor of process group \"") + group_.name + "\" does not answer on \"" + group_.socket_path +
           "\" (" + (hello_->error() != 0 ? std::strerror(hello_->error()) : "it hung up") +
           "); look in the error log for why it ended, and whether the server's User may use that socket",
       kRetryAfter);
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

void DaemonCarrier::lost() {
  connections_.forget(leg_.worker());
  if (may_repeat()) {
    set_out();
    pause(worker_name());
  } else {
    state_ = State::kExplaining;
    until_ = Clock::now() + kExitReasonWait;
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

bool DaemonCarrier::explain_loss() {
  Failure failure;
  if (take_exit_reason(&failure)) {
    fail(std::move(failure));
    return true;
  }
  if (Clock::now() < until_) return false;
  fail(HTTP_BAD_GATEWAY, Code::kWorkerLost,
       worker_name() + " of process group \"" + group_.name +
           "\" ended, or closed its connection, while it had the request; look in the error log for why");
  return true;
}

}  // namespace nwsgi::httpd_side
