#include "module/parking.h"

#include <ap_mpm.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "module/parking_impl.h"

namespace nwsgi::httpd_side {

using exchange::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t kFirstThreads = 2;  // one leads, the other one is its deputy
constexpr milliseconds kShutDownTime{2000};
constexpr seconds kPoolRest{1};

Parking* service = nullptr;  // of this child; written before its first request

}  // namespace

// ---- Parked ----

void Parked::wake(uint32_t why) noexcept { exchange::NewsBatch::wake(wake_later(why)); }

exchange::Sink::Told Parked::wake_later(uint32_t why) noexcept {
  if (!note(why)) return {};
  return service_->impl_->push_news(this);
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

void Parked::forget_input() noexcept {
  client_ready_.fetch_and(~static_cast<uint32_t>(EPOLLIN), std::memory_order_acq_rel);
}

void Parked::unwatch_client() noexcept {
  if (client_fd_ >= 0) ::epoll_ctl(service_->impl_->epoll_fd, EPOLL_CTL_DEL, std::exchange(client_fd_, -1), nullptr);
}

// ---- the beginning ----

bool Parking::Impl::open_descriptors() {
  if (epoll_fd < 0) epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (clock_fd < 0) clock_fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (epoll_fd < 0 || clock_fd < 0) return false;
  if (wake_fd >= 0) return true;
  const int made = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = 0;
  if (made < 0) return false;
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, made, &event) != 0) {
    ::close(made);
    return false;
  }
  wake_fd = made;
  return true;
}

bool Parking::Impl::start_locked() {
  if (ended || !open_descriptors()) return false;
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

void Parking::arm(Parked* parked, const Parked::Wants& wants) {
  if (impl_->wait(parked, wants)) parked->wake(Parked::kClient);
}

void Parking::release(Parked* parked) noexcept {
  auto state = Parked::State::kRunning;
  if (parked->state_.compare_exchange_strong(state, Parked::State::kIdle, std::memory_order_acq_rel)) return;
  parked->state_.store(Parked::State::kQueued, std::memory_order_release);
  exchange::NewsBatch::wake(impl_->push_news(parked));
}

void Parking::wake() noexcept { impl_->wake_leader(); }

void Parking::stop(Stop how, Clock::duration patience) noexcept {
  {
    std::lock_guard lock(impl_->mutex);
    if (patience != kNoLimit) impl_->stop_deadline = std::min(impl_->stop_deadline, Clock::now() + patience);
    stop_.store(std::max(how, stop_.load(std::memory_order_relaxed)), std::memory_order_release);
    for (Parked* parked : impl_->all) {
      if (parked->note(Parked::kStop)) impl_->push_locked(parked);
    }
  }
  impl_->wake_leader();
}

bool Parking::shut_down() noexcept {
  stop(Stop::kNow, {});
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->fewer.wait_for(lock, kShutDownTime, [this] { return impl_->all.empty(); })) return false;
    impl_->ended = true;
    impl_->followers.notify_all();
  }
  if (impl_->wake_fd >= 0) {
    impl_->wake_leader();
    impl_->start_clock();
  }
  apr_status_t status;
  // None is added any more.
  for (const auto& thread : impl_->threads) apr_thread_join(&status, thread->thread);
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
  // The applications need processors, too.
  impl->most_at_once = std::max<size_t>(std::thread::hardware_concurrency(), 3) - 2;
  service = impl->parking = new Parking(impl);
}

}  // namespace nwsgi::httpd_side
