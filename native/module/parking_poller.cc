// The thread that watches sockets and the clock for all that is parked.
#include <algorithm>

#include "module/parking_impl.h"

namespace nwsgi::httpd_side {

using exchange::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr int kMostEvents = 256;
// In epoll's data: the event is the leg's, not the client's. Objects are aligned.
constexpr uintptr_t kLegMark = 1;

}  // namespace

// ---- what to watch; on the thread that has run the object ----

void Parking::Impl::arm(Parked* parked, const Parked::Wants& wants) {
  const auto data = reinterpret_cast<uintptr_t>(parked);
  if (wants.client_fd >= 0) watch(wants.client_fd, &parked->watched_client_, wants.client_events, data);
  if (wants.leg_fd >= 0) watch(wants.leg_fd, &parked->watched_leg_, wants.leg_events, data | kLegMark);
  set_timer(parked, wants.until);
}

void Parking::Impl::watch(int fd, int* watched, uint32_t events, uintptr_t data) {
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.u64 = data;
  const int operation = *watched == fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  *watched = fd;
  if (::epoll_ctl(epoll_fd, operation, fd, &event) == 0) return;
  // Nothing would ever wake it.
  *watched = -1;
  reinterpret_cast<Parked*>(data & ~kLegMark)->wake((data & kLegMark) != 0 ? Parked::kLeg : Parked::kClient);
}

void Parking::Impl::unwatch(int* watched) {
  if (*watched >= 0) ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, std::exchange(*watched, -1), nullptr);
}

// ---- the clock ----

void Parking::Impl::set_timer(Parked* parked, Clock::time_point due) {
  std::lock_guard lock(mutex);
  if (parked->timed_ && parked->due_ == due) return;
  clear_timer_locked(parked);
  if (due == Clock::time_point::max()) return;
  parked->timed_ = true;
  parked->due_ = due;
  timers.emplace(due, parked);
  if (due < sleeps_until) {
    sleeps_until = due;
    wake_poller();
  }
}

void Parking::Impl::clear_timer_locked(Parked* parked) {
  if (std::exchange(parked->timed_, false)) timers.erase({parked->due_, parked});
}

milliseconds Parking::Impl::patience_locked() {
  const Clock::time_point now = Clock::now();
  Clock::time_point until = now + seconds(60);
  if (!timers.empty()) until = std::min(until, timers.begin()->first);
  if (!pools.empty()) until = std::min(until, pools.front().first);
  if (!retired.empty()) until = std::min(until, now + seconds(1));
  if (!queue.empty()) until = std::min(until, now + kStandstill);
  if (ended) until = now;  // one round more, in which nothing is left to be freed
  sleeps_until = until;
  return std::max(std::chrono::ceil<milliseconds>(until - now), milliseconds(0));
}

void Parking::Impl::look_at_clock(std::vector<Parked*>* retired_now, std::vector<apr_pool_t*>* rested) {
  const Clock::time_point now = Clock::now();
  retired_now->swap(retired);
  while (!timers.empty() && timers.begin()->first <= now) {
    Parked* const parked = timers.begin()->second;
    clear_timer_locked(parked);
    if (!parked->note(Parked::kTime)) continue;
    push_locked(parked);
    more.notify_one();
  }
  while (!pools.empty() && (ended || pools.front().first <= now)) {
    rested->push_back(pools.front().second);
    pools.pop_front();
  }
}

// A thread more where none of those that there are takes anything from the queue: something holds them up.
void Parking::Impl::watch_queue_locked() {
  const Clock::time_point now = Clock::now();
  if (!queue.empty() && seen == taken && now - seen_at < kStandstill) return;
  if (!queue.empty() && seen == taken && threads.size() < most_threads) add_thread_locked();
  seen = taken;
  seen_at = now;
}

// ---- the poller ----

void Parking::Impl::poll() {
  epoll_event events[kMostEvents];
  std::vector<Parked*> retired_now;
  std::vector<apr_pool_t*> rested;
  for (;;) {
    milliseconds patience;
    {
      std::lock_guard lock(mutex);
      look_at_clock(&retired_now, &rested);
      watch_queue_locked();
      if (ended && all.empty() && pools.empty() && retired.empty() && retired_now.empty()) return;
      patience = patience_locked();
    }
    // No event that was fetched is left, and none comes for what is not watched any more.
    for (Parked* parked : retired_now) delete parked;
    retired_now.clear();
    for (apr_pool_t* rest : rested) apr_pool_destroy(rest);
    rested.clear();
    const int count = ::epoll_wait(epoll_fd, events, kMostEvents, static_cast<int>(patience.count()));
    for (int i = 0; i < count; ++i) {
      const auto data = static_cast<uintptr_t>(events[i].data.u64);
      if (data == 0) {
        uint64_t drained;
        [[maybe_unused]] const ssize_t size = ::read(wake_fd, &drained, sizeof drained);
        continue;
      }
      auto* const parked = reinterpret_cast<Parked*>(data & ~kLegMark);
      const bool leg = (data & kLegMark) != 0;
      if (!leg) parked->client_events_.fetch_or(events[i].events, std::memory_order_acq_rel);
      parked->wake(leg ? Parked::kLeg : Parked::kClient);
    }
  }
}

}  // namespace nwsgi::httpd_side
