// Inside of the parking service. Included by its own files only.
//
// `mutex` guards what is marked with it. Nothing of an exchange is called while it is held: news come with the exchange's lock
// held, and take it.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "module/parking.h"

namespace nwsgi::httpd_side {

// The pool gets a thread more when nobody has taken anything from its queue for that long.
inline constexpr std::chrono::milliseconds kStandstill{25};

struct Parking::Impl {
  Parking* parking = nullptr;
  apr_pool_t* pool = nullptr;  // threads are made from it, with `mutex`
  size_t most_threads = 0;
  int epoll_fd = -1;
  int wake_fd = -1;

  std::mutex mutex;
  std::condition_variable more;
  std::condition_variable fewer;
  std::deque<Parked*> queue;
  uint64_t taken = 0;  // from the queue, ever
  uint64_t seen = 0;   // the poller: `taken` at seen_at
  exchange::Clock::time_point seen_at{};
  std::list<Parked*> all;
  std::set<std::pair<exchange::Clock::time_point, Parked*>> timers;
  std::vector<Parked*> retired;
  std::deque<std::pair<exchange::Clock::time_point, apr_pool_t*>> pools;
  exchange::Clock::time_point sleeps_until = exchange::Clock::time_point::max();  // the poller
  exchange::Clock::time_point stop_deadline = exchange::Clock::time_point::max();
  apr_thread_t* poller = nullptr;
  std::vector<apr_thread_t*> threads;
  size_t idle = 0;
  bool ended = false;

  void wake_poller() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
  }
  bool start_locked();
  bool add_thread_locked();
  void set_timer(Parked* parked, exchange::Clock::time_point due);
  void clear_timer_locked(Parked* parked);
  void arm(Parked* parked, const Parked::Wants& wants);
  void watch(int fd, int* watched, uint32_t events, uintptr_t data);
  void unwatch(int* watched);
  void retire(Parked* parked);
  void run_one(Parked* parked, apr_thread_t* thread);
  void work(apr_thread_t* thread);
  void poll();
  void push_locked(Parked* parked);
  void watch_queue_locked();
  void look_at_clock(std::vector<Parked*>* retired_now, std::vector<apr_pool_t*>* rested);
  std::chrono::milliseconds patience_locked();
  static void* APR_THREAD_FUNC work_thread(apr_thread_t* thread, void* impl);
  static void* APR_THREAD_FUNC poll_thread(apr_thread_t* thread, void* impl);
  apr_thread_t* make_thread_locked(apr_thread_start_t main);
};

}  // namespace nwsgi::httpd_side
