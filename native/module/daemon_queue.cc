#include "module/daemon_queue.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <system_error>
#include <utility>

namespace nwsgi::httpd_side {

using exchange::Claim;
using exchange::ClaimResult;
using exchange::Scoreboard;

namespace {
// Announcements wake whoever sleeps; this is for those that were lost with a process.
constexpr std::chrono::milliseconds kLongestSleep{500};

// A thread that waits in place waits for one place at a time. A token of an earlier one that was left in it wakes it in vain.
class ThreadWakeFd {
 public:
  ~ThreadWakeFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() {
    eventfd_t left;
    if (fd_ < 0) fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    else ::eventfd_read(fd_, &left);
    return fd_;
  }

 private:
  int fd_ = -1;
};

thread_local ThreadWakeFd thread_wake_fd;

}  // namespace

// ---- a place ----

DaemonQueues::Place::~Place() { leave(); }

Claim DaemonQueues::Place::take_claim() {
  DaemonQueues* const queues = std::exchange(queues_, nullptr);
  // state() may say so while whoever has set it is still about to tell: see tell().
  const std::lock_guard lock(queues->lines_[pool_].mutex);
  state_.store(State::kOutside, std::memory_order_relaxed);
  return claim_;
}

void DaemonQueues::Place::leave() {
  DaemonQueues* const queues = std::exchange(queues_, nullptr);
  if (queues == nullptr) return;
  {
    std::lock_guard lock(queues->lines_[pool_].mutex);
    if (state() == State::kWaiting) queues->remove_locked(this);
  }
  if (state() == State::kClaimed) queues->scoreboard_.release(claim_);
  state_.store(State::kOutside, std::memory_order_relaxed);
}

void DaemonQueues::Place::set_sink(exchange::Sink* sink) {
  if (queues_ == nullptr) {
    sink_ = sink;
    return;
  }
  exchange::Wakeup* sleeper = nullptr;
  {
    std::lock_guard lock(queues_->lines_[pool_].mutex);
    sink_ = sink;
    if (sink_ != nullptr && state() != State::kWaiting) sleeper = sink_->on_news(nullptr).sleeper;
  }
  if (sleeper != nullptr) sleeper->wake();
}

int DaemonQueues::Place::wake_fd() {
  if (wake_fd_ >= 0 || queues_ == nullptr) return wake_fd_;
  const int fd = thread_wake_fd.get();
  std::lock_guard lock(queues_->lines_[pool_].mutex);
  wake_fd_ = fd;
  if (fd >= 0 && state() != State::kWaiting) ::eventfd_write(fd, 1);
  return fd;
}

// With the line's mutex: once it is let go, the place may be gone.
exchange::Wakeup* DaemonQueues::Place::tell(State state) {
  state_.store(state, std::memory_order_release);
  if (sink_ != nullptr) return sink_->on_news(nullptr).sleeper;
  if (wake_fd_ >= 0) ::eventfd_write(wake_fd_, 1);
  return nullptr;
}

// ---- the line ----

bool DaemonQueues::enter(uint32_t pool, Place* place) {
  place->leave();
  place->wake_fd_ = -1;
  // Counted before the next attempt to claim: whoever frees a place from now on announces it.
  if (!scoreboard_.begin_wait(pool)) return false;
  Line& line = lines_[pool];
  std::unique_lock lock(line.mutex);
  place->queues_ = this;
  place->pool_ = pool;
  place->since_ = Scoreboard::Clock::now();
  place->state_.store(Place::State::kWaiting, std::memory_order_relaxed);
  place->position_ = line.places.insert(line.places.end(), place);
  line.length.fetch_add(1, std::memory_order_relaxed);
  exchange::Wakeup* const sleeper = serve_locked(pool);
  if (place->state() == Place::State::kWaiting) start_attendant_locked(pool);
  lock.unlock();
  if (sleeper != nullptr) sleeper->wake();
  return true;
}

void DaemonQueues::remove_locked(Place* place) {
  Line& line = lines_[place->pool_];
  line.places.erase(place->position_);
  line.length.fetch_sub(1, std::memory_order_relaxed);
  scoreboard_.end_wait(place->pool_, place->since_);
}

void DaemonQueues::serve(uint32_t pool) {
  std::unique_lock lock(lines_[pool].mutex);
  exchange::Wakeup* const sleeper = serve_locked(pool);
  lock.unlock();
  if (sleeper != nullptr) sleeper->wake();
}

// Returns who is to be woken, once the mutex is let go: a process has one that sleeps for all its requests.
exchange::Wakeup* DaemonQueues::serve_locked(uint32_t pool) {
  exchange::Wakeup* sleeper = nullptr;
  Line& line = lines_[pool];
  while (!line.places.empty()) {
    Claim claim;
    const ClaimResult result = scoreboard_.claim(pool, &claim);
    if (result == ClaimResult::kBusy) break;
    Place* const first = line.places.front();
    remove_locked(first);
    first->claim_ = claim;
    const bool claimed = result == ClaimResult::kClaimed;
    if (auto* const told = first->tell(claimed ? Place::State::kClaimed : Place::State::kNobodyServes)) sleeper = told;
  }
  return sleeper;
}

// ---- the attendant ----

void DaemonQueues::start_attendant_locked(uint32_t pool) {
  Line& line = lines_[pool];
  if (line.ended) return;
  if (line.attendant.joinable()) return line.more.notify_one();
  // The signals of a child are for other threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    line.attendant = std::thread([this, pool] { attend(pool); });
    line.attended.store(true, std::memory_order_relaxed);
  } catch (const std::system_error&) {
    // Whoever stands in line looks for itself.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void DaemonQueues::attend(uint32_t pool) {
  Line& line = lines_[pool];
  std::unique_lock lock(line.mutex);
  bool woken = false;
  while (!line.ended) {
    const uint32_t seen = scoreboard_.freed(pool);
    if (exchange::Wakeup* const sleeper = serve_locked(pool)) {
      lock.unlock();
      sleeper->wake();
      lock.lock();
      if (line.ended) break;
    }
    if (!line.places.empty()) {
      // Other children's requests may have waited longer.
      const uint32_t front = line.front = scoreboard_.set_front(pool, line.front, line.places.front()->since_);
      lock.unlock();
      scoreboard_.wait_for_freed(pool, seen, Scoreboard::Clock::now() + kLongestSleep, front);
      lock.lock();
      woken = true;
      continue;
    }
    scoreboard_.clear_front(pool, std::exchange(line.front, Scoreboard::kNoFront));
    // The announcement that woke it may have been meant for another child's requests.
    if (std::exchange(woken, false) && scoreboard_.pool(pool).waiting.load() != 0) scoreboard_.announce(pool, false);
    line.more.wait(lock, [&line] { return !line.places.empty() || line.ended; });
  }
}

void DaemonQueues::stop() {
  for (uint32_t pool = 0; pool < lines_.size(); ++pool) {
    Line& line = lines_[pool];
    {
      std::lock_guard lock(line.mutex);
      line.ended = true;
      line.attended.store(false, std::memory_order_relaxed);
      if (!line.attendant.joinable()) continue;
      line.more.notify_one();
    }
    scoreboard_.announce(pool, true);
    line.attendant.join();
    scoreboard_.clear_front(pool, line.front);
  }
}

}  // namespace nwsgi::httpd_side
