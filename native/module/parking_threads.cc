// The service's threads: one leads, one is its deputy, the others follow.
//
// * The leader collects what has come (parking_poller.cc) and runs it. Nobody else collects, and it never blocks while it
//   does.
// * The deputy sleeps on a timer that the leader starts when it has something to run, once in a millisecond at most, and
//   that nobody starts while nothing happens. When it finds the leader in the same step as the last time, it takes over; a
//   follower becomes the deputy, or a new thread does, up to ThreadsPerChild. When it finds that the queue has not been
//   empty for that long, and there are processors to spare, it calls a follower for help.
// * Followers sleep.
#include <mpm_common.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>

#include "module/parking_impl.h"

namespace nwsgi::httpd_side {

namespace {

// A step that takes longer than one to two of them holds nobody else up. Most requests need a twentieth of it.
constexpr long kLookNanoseconds = 1000000;

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

// ---- threads ----

void* APR_THREAD_FUNC Parking::Impl::thread_main(apr_thread_t* thread, void* data) {
  block_signals();
  ::pthread_setname_np(::pthread_self(), "nwsgi-parking");
  auto* const impl = static_cast<Impl*>(data);
  ParkingThread* me = nullptr;
  {
    // Whoever has made it may still have to write it down.
    std::lock_guard lock(impl->mutex);
    for (const auto& one : impl->threads) {
      if (one->thread == thread) me = one.get();
    }
  }
  if (me != nullptr) impl->work(me);
  return nullptr;
}

bool Parking::Impl::add_thread_locked() {
  auto made = std::make_unique<ParkingThread>();
  apr_threadattr_t* attributes = nullptr;
  // ThreadStackSize: they run handlers and filters as the MPM's threads do.
  if (ap_thread_stacksize != 0 && apr_threadattr_create(&attributes, pool) == APR_SUCCESS) {
    apr_threadattr_stacksize_set(attributes, ap_thread_stacksize);
  }
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 122)
  const apr_status_t status = ap_thread_create(&made->thread, attributes, thread_main, this, pool);
#else
  const apr_status_t status = apr_thread_create(&made->thread, attributes, thread_main, this, pool);
#endif
  if (status != APR_SUCCESS) return false;
  threads.push_back(std::move(made));
  return true;
}

void Parking::Impl::work(ParkingThread* me) {
  std::unique_lock lock(mutex);
  while (!ended) {
    if (leader == nullptr || leader == me) {
      leader = me;
      lock.unlock();
      lead(me);
      lock.lock();
    } else if (deputy == nullptr) {
      deputy = me;
      lock.unlock();
      stand_by(me);
      lock.lock();
      if (deputy == me) deputy = nullptr;
    } else if (helpers_wanted != 0) {
      --helpers_wanted;
      lock.unlock();
      while (Parked* parked = take(me, false)) run_one(parked, me);
      lock.lock();
    } else {
      ++idle;
      followers.wait(lock);
      --idle;
    }
  }
}

void Parking::Impl::lead(ParkingThread* me) {
  while (collect()) {
    // In this order: see stand_by().
    busy.store(true, std::memory_order_seq_cst);
    if (!clock_runs.load(std::memory_order_seq_cst)) start_clock();
    while (Parked* parked = take(me, true)) run_one(parked, me);
    std::lock_guard lock(mutex);
    if (leader != me) return;
    busy.store(false, std::memory_order_relaxed);
  }
}

// ---- the deputy ----

void Parking::Impl::start_clock() {
  clock_runs.store(true, std::memory_order_relaxed);
  itimerspec soon{};
  soon.it_value.tv_nsec = kLookNanoseconds;
  ::timerfd_settime(clock_fd, 0, &soon, nullptr);
}

// Until it leads, or the service has ended.
void Parking::Impl::stand_by(ParkingThread* me) {
  start_clock();  // whoever leads may have been busy for a while
  for (;;) {
    uint64_t times;
    [[maybe_unused]] const ssize_t size = ::read(clock_fd, &times, sizeof times);
    // Either the leader sees that the clock does not run, or this thread sees that the leader is busy.
    clock_runs.store(false, std::memory_order_seq_cst);
    const bool goes_on = busy.load(std::memory_order_seq_cst);
    std::lock_guard lock(mutex);
    if (ended || look_after_locked(me)) return;
    if (goes_on) start_clock();
  }
}

// True when `me` leads from now on.
bool Parking::Impl::look_after_locked(ParkingThread* me) {
  if (leader == nullptr) return true;
  const uint64_t steps = leader->steps.load(std::memory_order_relaxed);
  const bool stuck = leader->in_step.load(std::memory_order_acquire) && steps == leader->seen;
  leader->seen = steps;
  if (stuck) {
    leader = me;
    deputy = nullptr;
    call_follower_locked();
    return true;
  }
  const bool has_queue = queue.size != 0;
  if (has_queue && had_queue && emptied == seen_emptied) call_help_locked();
  had_queue = has_queue;
  seen_emptied = emptied;
  return false;
}

void Parking::Impl::call_help_locked() {
  size_t running = 1;
  for (const auto& one : threads) {
    if (one.get() == leader) continue;
    const uint64_t steps = one->steps.load(std::memory_order_relaxed);
    if (one->in_step.load(std::memory_order_relaxed) && steps != one->seen) ++running;
    one->seen = steps;
  }
  if (running + helpers_wanted >= most_at_once) return;
  ++helpers_wanted;
  call_follower_locked();
}

void Parking::Impl::call_follower_locked() {
  if (idle != 0) followers.notify_one();
  else if (threads.size() < most_threads && !ended) add_thread_locked();
}

// ---- running ----

// Null: nothing is left, or, for a leader, the portion is done or somebody else leads.
Parked* Parking::Impl::take(ParkingThread* me, bool leads) {
  me->in_step.store(false, std::memory_order_relaxed);
  std::lock_guard lock(mutex);
  if (queue.first == nullptr || (leads && (portion == 0 || leader != me))) return nullptr;
  Parked* const parked = queue.first;
  queue.first = parked->next_;
  if (queue.first == nullptr) {
    queue.last = nullptr;
    ++emptied;
  }
  --queue.size;
  if (portion != 0) --portion;
  me->steps.store(me->steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  me->in_step.store(true, std::memory_order_release);
  return parked;
}

void Parking::Impl::run_one(Parked* parked, ParkingThread* me) {
  parked->state_.store(Parked::State::kRunning, std::memory_order_release);
  release_leg(parked);
  uint32_t why = parked->why_.exchange(0, std::memory_order_acq_rel) & ~Parked::kClient;
  const uint32_t events = take_events(parked);
  if (events != 0) why |= Parked::kClient;
  const Parked::Wants wants = parked->run(why, events, me->thread);
  if (wants.over) return retire(parked, me);
  const bool ready = wait(parked, wants);
  // From here on somebody else may be in it.
  parked->round_.store(round.load(std::memory_order_relaxed), std::memory_order_release);
  auto running = Parked::State::kRunning;
  if (!ready && parked->state_.compare_exchange_strong(running, Parked::State::kIdle, std::memory_order_acq_rel)) return;
  // Others first.
  parked->state_.store(Parked::State::kQueued, std::memory_order_release);
  bool leads = false;
  {
    std::lock_guard lock(mutex);
    push_locked(parked);
    leads = leader == me;
  }
  if (!leads) wake_leader();
}

void Parking::Impl::retire(Parked* parked, ParkingThread* me) {
  parked->state_.store(Parked::State::kOver, std::memory_order_release);
  bool leads = false;
  {
    std::lock_guard lock(mutex);
    clear_timer_locked(parked);
    all.erase(parked->place_);
    retired.push_back(parked);
    parking->parked_.fetch_sub(1, std::memory_order_relaxed);
    if (all.empty()) fewer.notify_all();
    leads = leader == me;
  }
  if (!leads) wake_leader();  // who deletes it
}

}  // namespace nwsgi::httpd_side
