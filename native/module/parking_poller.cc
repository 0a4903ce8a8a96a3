// What the service watches: sockets, the clock and the applications' news. Everything is collected by the leader.
//
// A client's socket is registered once, edge-triggered: what epoll says is noted in the object, which is run when it waits
// for that. So a connection that is kept alive costs no call of epoll_ctl() for a request. A leg's socket is armed for one
// event each time, and disarmed before anything may happen to its descriptor.
#include <poll.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

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
// Among the bits of Parked::client_ready_, in a place that epoll does not use: somebody was in the object when they were
// noted, and may have read what they tell of.
constexpr uint32_t kMaybeStale = 1u << 20;
constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;
constexpr uint32_t kStanding = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr seconds kLongestSleep{60};
constexpr milliseconds kDoze{1};

// What was done before a descriptor was armed comes before its events. ThreadSanitizer knows that of EPOLL_CTL_ADD, but not of
// EPOLL_CTL_MOD, by which a leg's descriptor gets to another object.
#ifdef __SANITIZE_THREAD__
void before_arming(int* epoll_fd) { __tsan_release(epoll_fd); }
void after_waiting(int* epoll_fd) { __tsan_acquire(epoll_fd); }
#else
void before_arming(int*) {}
void after_waiting(int*) {}
#endif

}  // namespace

// ---- what an object waits for; on the thread that has run it ----

// True when something of it is there already.
bool Parking::Impl::wait(Parked* parked, const Parked::Wants& wants) {
  if (wants.leg_fd >= 0) watch_leg(parked, wants.leg_fd, wants.leg_events);
  set_timer(parked, wants.until);
  if (wants.client_fd < 0) {
    parked->client_interest_.store(0, std::memory_order_relaxed);
    return false;
  }
  watch_client(parked, wants);
  const uint32_t interest = parked->client_interest_.load(std::memory_order_relaxed);
  return (parked->client_ready_.load(std::memory_order_seq_cst) & interest) != 0;
}

// Interest and readiness are each written before the other one is read, here and in note_events(): one of the two sides
// sees both.
void Parking::Impl::watch_client(Parked* parked, const Parked::Wants& wants) {
  const bool is_new = parked->client_fd_ != wants.client_fd;
  const uint32_t asked = wants.client_events & (EPOLLOUT | (wants.input_is_drained ? 0u : uint32_t{EPOLLIN}));
  // Whoever has not just found the socket empty, or full, asks epoll how it is.
  if (asked != 0) parked->client_ready_.fetch_and(~asked, std::memory_order_relaxed);
  parked->client_interest_.store(wants.client_events | kAlways, std::memory_order_seq_cst);
  if (!is_new && asked == 0) return;
  epoll_event event{};
  event.events = kStanding | asked;
  event.data.u64 = reinterpret_cast<uintptr_t>(parked);
  parked->client_fd_ = wants.client_fd;
  if (::epoll_ctl(epoll_fd, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, wants.client_fd, &event) == 0) return;
  // Nothing would ever wake it.
  parked->client_fd_ = -1;
  parked->client_ready_.fetch_or(wants.client_events, std::memory_order_relaxed);
}

void Parking::Impl::watch_leg(Parked* parked, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.u64 = reinterpret_cast<uintptr_t>(parked) | kLegMark;
  parked->leg_fd_ = fd;
  parked->leg_armed_.store(true, std::memory_order_seq_cst);
  before_arming(&epoll_fd);
  // Connections to workers are used again: mostly it is registered.
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0) return;
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) return;
  parked->leg_armed_.store(false, std::memory_order_relaxed);
  parked->wake(Parked::kLeg);
}

// The leg's descriptor may be closed, or somebody else's, as soon as the leg is touched.
void Parking::Impl::release_leg(Parked* parked) {
  if (parked->leg_armed_.exchange(false, std::memory_order_acq_rel)) {
    ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, parked->leg_fd_, nullptr);
  }
}

// What has come of what it waits for.
uint32_t Parking::Impl::take_events(Parked* parked) {
  const uint32_t interest = parked->client_interest_.load(std::memory_order_relaxed);
  const uint32_t taken = (interest & (EPOLLIN | EPOLLOUT)) | kMaybeStale;
  uint32_t ready = parked->client_ready_.fetch_and(~taken, std::memory_order_acq_rel);
  if ((ready & interest) != 0 && (ready & kMaybeStale) != 0 && parked->client_fd_ >= 0) {
    pollfd now{parked->client_fd_, POLLIN | POLLOUT | POLLRDHUP, 0};  // the same bits
    ready = ::poll(&now, 1, 0) == 1 ? static_cast<uint32_t>(now.revents) : 0;
  }
  return ready & interest;
}

// ---- the clock ----

// A deadline that moves on costs nothing: the entry stays where it is, and is moved when its time has come.
void Parking::Impl::set_timer(Parked* parked, Clock::time_point time) {
  const Clock::rep due = time.time_since_epoch().count();
  // Either this thread sees that the entry was taken out, or the leader, who takes it out, sees the new deadline.
  parked->due_.store(due, std::memory_order_seq_cst);
  if (parked->timer_.load(std::memory_order_seq_cst) <= due) return;
  bool early = false;
  {
    std::lock_guard lock(mutex);
    if (parked->timer_.load(std::memory_order_relaxed) <= due) return;
    clear_timer_locked(parked);
    parked->timer_.store(due, std::memory_order_relaxed);
    timers.emplace(due, parked);
    early = time < sleeps_until;
    if (early) sleeps_until = time;
  }
  if (early) wake_leader();
}

void Parking::Impl::clear_timer_locked(Parked* parked) {
  const Clock::rep timer = parked->timer_.exchange(Parked::kNever, std::memory_order_seq_cst);
  if (timer != Parked::kNever) timers.erase({timer, parked});
}

void Parking::Impl::look_at_clock_locked(Clock::time_point now_is) {
  const Clock::rep now = now_is.time_since_epoch().count();
  while (!timers.empty() && timers.begin()->first <= now) {
    Parked* const parked = timers.begin()->second;
    clear_timer_locked(parked);
    const Clock::rep due = parked->due_.load(std::memory_order_seq_cst);
    if (due > now) {
      if (due == Parked::kNever) continue;
      parked->timer_.store(due, std::memory_order_seq_cst);
      timers.emplace(due, parked);
    } else if (parked->note(Parked::kTime)) {
      push_locked(parked);
    }
  }
}

// ---- queues ----

void Parking::Impl::append(ParkedQueue* queue, Parked* parked) {
  parked->next_ = nullptr;
  if (queue->last == nullptr) queue->first = parked;
  else queue->last->next_ = parked;
  queue->last = parked;
  ++queue->size;
}

void Parking::Impl::push_locked(Parked* parked) { append(&queue, parked); }

exchange::Sink::Told Parking::Impl::push_news(Parked* parked) noexcept {
  Parked* first = news.load(std::memory_order_relaxed);
  do {
    parked->next_ = first;
  } while (!news.compare_exchange_weak(first, parked, std::memory_order_seq_cst, std::memory_order_relaxed));
  const Sleep how = sleep.load(std::memory_order_seq_cst);
  if (how == Sleep::kAwake) return {};
  return {parking, how == Sleep::kSleeps};
}

void Parking::Impl::wake_leader() noexcept {
  if (sleep.exchange(Sleep::kAwake, std::memory_order_seq_cst) == Sleep::kAwake) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
}

void Parking::Impl::take_news(ParkedQueue* ready) {
  if (news.load(std::memory_order_relaxed) == nullptr) return;
  Parked* last = news.exchange(nullptr, std::memory_order_acquire);
  Parked* first = nullptr;
  while (last != nullptr) {
    Parked* const before = last->next_;
    last->next_ = first;
    first = last;
    last = before;
  }
  while (first != nullptr) {
    Parked* const next = first->next_;
    append(ready, first);
    first = next;
  }
}

// ---- the leader ----

void Parking::Impl::clean_up_locked(Clock::time_point now, std::vector<Parked*>* gone, std::vector<apr_pool_t*>* rested) {
  gone->swap(retired);
  while (!pools.empty() && (ended || pools.front().first <= now)) {
    rested->push_back(pools.front().second);
    pools.pop_front();
  }
}

Clock::time_point Parking::Impl::patience_locked(Clock::time_point now) const {
  if (queue.size != 0) return now;
  Clock::time_point until = now + kLongestSleep;
  if (!timers.empty()) until = std::min(until, Clock::time_point(Clock::duration(timers.begin()->first)));
  if (!pools.empty()) until = std::min(until, pools.front().first);
  return until;
}

// Fetches events. News wake it as far as `sleep` says.
int Parking::Impl::sleep_in_epoll(epoll_event* events, Clock::time_point now) {
  Clock::time_point until = now;
  {
    std::lock_guard lock(mutex);
    until = patience_locked(now);
    sleeps_until = until;
  }
  const bool dozes = dozing_pays && until > now + kDoze;
  // Whoever brings news sees that it sleeps, or their news are seen here.
  if (until > now) {
    sleep.store(dozes ? Sleep::kDozes : Sleep::kSleeps, std::memory_order_seq_cst);
    if (news.load(std::memory_order_seq_cst) != nullptr) until = now;
  }
  if (dozes && until > now) until = now + kDoze;
  const auto patience = std::max(std::chrono::ceil<milliseconds>(until - now), milliseconds(0));
  const int count = ::epoll_wait(epoll_fd, events, kMostEvents, static_cast<int>(patience.count()));
  after_waiting(&epoll_fd);
  sleep.store(Sleep::kAwake, std::memory_order_relaxed);
  // Whoever dozed in vain sleeps well the next time; whoever was woken soon dozes.
  if (until > now) dozing_pays = dozes ? count != 0 : Clock::now() - now < kDoze;
  return count;
}

void Parking::Impl::note_events(const epoll_event* events, int count, uint64_t this_round, ParkedQueue* ready) {
  for (int i = 0; i < count; ++i) {
    const auto data = static_cast<uintptr_t>(events[i].data.u64);
    if (data == 0) continue;  // news, or a deadline
    auto* const parked = reinterpret_cast<Parked*>(data & ~kLegMark);
    const bool stale = parked->round_.load(std::memory_order_acquire) == this_round ||
                       parked->state_.load(std::memory_order_acquire) != Parked::State::kIdle;
    uint32_t why = Parked::kLeg;
    if ((data & kLegMark) != 0) {
      if (!stale) parked->leg_armed_.store(false, std::memory_order_relaxed);
    } else {
      const uint32_t bits = events[i].events | (stale ? kMaybeStale : 0u);
      const uint32_t before = parked->client_ready_.fetch_or(bits, std::memory_order_seq_cst);
      if (((before | bits) & parked->client_interest_.load(std::memory_order_seq_cst)) == 0) continue;
      why = Parked::kClient;
    }
    if (parked->note(why)) append(ready, parked);
  }
}

// Finds what can be run, or waits until there is something. False when the service has ended.
bool Parking::Impl::collect() {
  epoll_event events[kMostEvents];
  std::vector<Parked*> gone;
  std::vector<apr_pool_t*> rested;
  ParkedQueue ready;
  Clock::time_point now = Clock::now();
  bool last = false;
  {
    std::lock_guard lock(mutex);
    clean_up_locked(now, &gone, &rested);
    last = ended;
  }
  // No event that was fetched is left, and none comes for what is not watched any more.
  for (Parked* parked : gone) delete parked;
  for (apr_pool_t* rest : rested) apr_pool_destroy(rest);
  if (last) return false;
  const uint64_t this_round = round.fetch_add(1, std::memory_order_seq_cst) + 1;
  const int count = sleep_in_epoll(events, now);
  note_events(events, count, this_round, &ready);
  take_news(&ready);
  now = Clock::now();
  std::lock_guard lock(mutex);
  while (Parked* const parked = ready.first) {
    ready.first = parked->next_;
    push_locked(parked);
  }
  look_at_clock_locked(now);
  portion = queue.size;
  return true;
}

}  // namespace nwsgi::httpd_side
