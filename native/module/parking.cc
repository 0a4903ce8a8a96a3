#include "module/parking.h"

#include <ap_mpm.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "module/parking_impl.h"

namespace nwsgi::httpd_side {

using exchange::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t kFirstThreads = 2;
constexpr milliseconds kShutDownTime{2000};
constexpr seconds kPoolRest{1};

Parking* service = nullptr;  // of this child; written before its first request

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

// ---- Parked ----

void Parked::wake(uint32_t why) noexcept {
  if (note(why)) service_->queue(this);
}

bool Parked::note(uint32_t why) noexcept {
  why_.fetch_or(why, std::memory_order_acq_rel);
  State state = state_.load(std::memory_order_acquire);
  for (;;) {
    switch (state) {
      case State::kIdle:
        if (state_.compare_exchange_weak(state, State::kQueued, std::memory_order_acq_rel)) return true;
        break;
      case State::kRunning:
        if (state_.compare_exchange_weak(state, State::kAgain, std::memory_order_acq_rel)) return false;
        break;
      case State::kAgain:
      case State::kQueued:
      case State::kOver:
        return false;
    }
  }
}

// ---- the pool ----

void Parking::queue(Parked* parked) noexcept {
  bool stands_still = false;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->push_locked(parked);
    const Clock::time_point soon = Clock::now() + kStandstill;
    stands_still = impl_->idle == 0 && impl_->sleeps_until > soon;
    if (stands_still) impl_->sleeps_until = soon;
  }
  impl_->more.notify_one();
  if (stands_still) impl_->wake_poller();  // it watches whether the queue moves
}

void Parking::Impl::push_locked(Parked* parked) {
  if (queue.empty()) {
    seen = taken;
    seen_at = Clock::now();
  }
  queue.push_back(parked);
}

void Parking::Impl::work(apr_thread_t* thread) {
  std::unique_lock lock(mutex);
  for (;;) {
    ++idle;
    more.wait(lock, [this] { return !queue.empty() || ended; });
    --idle;
    if (queue.empty()) return;
    Parked* const parked = queue.front();
    queue.pop_front();
    ++taken;
    lock.unlock();
    parked->state_.store(Parked::State::kRunning, std::memory_order_release);
    run_one(parked, thread);
    lock.lock();
  }
}

void Parking::Impl::run_one(Parked* parked, apr_thread_t* thread) {
  for (;;) {
    // The leg's descriptor may be closed, or somebody else's, as soon as the leg is touched.
    unwatch(&parked->watched_leg_);
    const uint32_t why = parked->why_.exchange(0, std::memory_order_acq_rel);
    const uint32_t events = parked->client_events_.exchange(0, std::memory_order_acq_rel);
    const Parked::Wants wants = parked->run(why, events, thread);
    if (wants.over) return retire(parked);
    arm(parked, wants);
    // From here on somebody else may be in it.
    auto running = Parked::State::kRunning;
    if (parked->state_.compare_exchange_strong(running, Parked::State::kIdle, std::memory_order_acq_rel)) return;
    parked->state_.store(Parked::State::kRunning, std::memory_order_release);
  }
}

void Parking::Impl::retire(Parked* parked) {
  parked->state_.store(Parked::State::kOver, std::memory_order_release);
  std::lock_guard lock(mutex);
  clear_timer_locked(parked);
  all.erase(parked->place_);
  retired.push_back(parked);
  parking->parked_.fetch_sub(1, std::memory_order_relaxed);
  if (all.empty()) fewer.notify_all();
  // It may wait for the poller's next round, but not for ever.
  const Clock::time_point soon = Clock::now() + seconds(1);
  if (sleeps_until > soon) {
    sleeps_until = soon;
    wake_poller();
  }
}

// ---- threads ----

void* APR_THREAD_FUNC Parking::Impl::work_thread(apr_thread_t* thread, void* impl) {
  block_signals();
  static_cast<Impl*>(impl)->work(thread);
  return nullptr;
}

void* APR_THREAD_FUNC Parking::Impl::poll_thread(apr_thread_t*, void* impl) {
  block_signals();
  static_cast<Impl*>(impl)->poll();
  return nullptr;
}

apr_thread_t* Parking::Impl::make_thread_locked(apr_thread_start_t main) {
  apr_thread_t* thread = nullptr;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 122)
  return ap_thread_create(&thread, nullptr, main, this, pool) == APR_SUCCESS ? thread : nullptr;
#else
  return apr_thread_create(&thread, nullptr, main, this, pool) == APR_SUCCESS ? thread : nullptr;
#endif
}

bool Parking::Impl::add_thread_locked() {
  apr_thread_t* const thread = make_thread_locked(work_thread);
  if (thread != nullptr) threads.push_back(thread);
  return thread != nullptr;
}

bool Parking::Impl::start_locked() {
  if (ended) return false;
  if (poller == nullptr) {
    if (epoll_fd < 0) epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
    if (wake_fd < 0) wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = 0;
    if (epoll_fd < 0 || wake_fd < 0) return false;
    if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0 && errno != EEXIST) return false;
    poller = make_thread_locked(poll_thread);
    if (poller == nullptr) return false;
  }
  while (threads.size() < kFirstThreads && add_thread_locked()) {
  }
  return !threads.empty();
}

// ---- Parking ----

Parking* Parking::of_child() { return service; }

Clock::time_point Parking::stop_deadline() {
  std::lock_guard lock(impl_->mutex);
  return impl_->stop_deadline;
}

bool Parking::add(Parked* parked) {
  std::lock_guard lock(impl_->mutex);
  if (stop_.load(std::memory_order_relaxed) != Stop::kNo || !impl_->start_locked()) return false;
  parked->place_ = impl_->all.insert(impl_->all.end(), parked);
  parked_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Parking::arm(Parked* parked, const Parked::Wants& wants) { impl_->arm(parked, wants); }

void Parking::release(Parked* parked) noexcept {
  auto state = Parked::State::kRunning;
  if (parked->state_.compare_exchange_strong(state, Parked::State::kIdle, std::memory_order_acq_rel)) return;
  parked->state_.store(Parked::State::kQueued, std::memory_order_release);
  queue(parked);
}

void Parking::stop(Stop how, Clock::duration patience) noexcept {
  std::lock_guard lock(impl_->mutex);
  impl_->stop_deadline = std::min(impl_->stop_deadline, Clock::now() + patience);
  stop_.store(std::max(how, stop_.load(std::memory_order_relaxed)), std::memory_order_release);
  for (Parked* parked : impl_->all) {
    if (parked->note(Parked::kStop)) impl_->push_locked(parked);
  }
  impl_->more.notify_all();
}

bool Parking::shut_down() noexcept {
  stop(Stop::kNow, {});
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->fewer.wait_for(lock, kShutDownTime, [this] { return impl_->all.empty(); })) return false;
    impl_->ended = true;
    impl_->more.notify_all();
    if (impl_->poller != nullptr) impl_->wake_poller();
  }
  apr_status_t status;
  for (apr_thread_t* thread : impl_->threads) apr_thread_join(&status, thread);
  if (impl_->poller != nullptr) apr_thread_join(&status, impl_->poller);
  return true;
}

void Parking::destroy_later(apr_pool_t* pool) {
  std::lock_guard lock(impl_->mutex);
  impl_->pools.emplace_back(Clock::now() + kPoolRest, pool);
}

void start_parking(apr_pool_t* child_pool) {
  int async = 0;
  int threads = 0;
  if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) != APR_SUCCESS || async <= 0) return;
  if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS) threads = 0;
  // Never freed: threads that outlive the pool may still look.
  auto* const impl = new Parking::Impl;
  apr_pool_create(&impl->pool, child_pool);
  impl->most_threads = std::max(static_cast<size_t>(std::max(threads, 0)), kFirstThreads);
  service = impl->parking = new Parking(impl);
}

}  // namespace nwsgi::httpd_side
