// Inside of the parking service. Included by its own files only.
//
// `mutex` guards what is marked with it; the service's threads take it once for each object that they run. Nothing of an
// exchange is called while it is held. Whoever brings news (wake(), with an exchange's lock held) does not take it.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "module/parking.h"

namespace nwsgi::httpd_side {

// One thread of the service.
struct ParkingThread {
  apr_thread_t* thread = nullptr;
  // Written by the thread, read by the deputy: objects that it has run, and whether it is in one.
  std::atomic<uint64_t> steps{0};
  std::atomic<bool> in_step{false};
  uint64_t seen = 0;  // the deputy: `steps` when it looked last, with the mutex
};

// Objects that wait to be run, in order; linked by their next_.
struct ParkedQueue {
  Parked* first = nullptr;
  Parked* last = nullptr;
  size_t size = 0;
};

struct Parking::Impl {
  // What the leader does. kDozes: it looks for news within a millisecond, whether it is woken or not.
  enum class Sleep : uint8_t { kAwake, kDozes, kSleeps };

  Parking* parking = nullptr;
  apr_pool_t* pool = nullptr;  // threads are made from it, with `mutex`
  size_t most_threads = 0;
  size_t most_at_once = 1;  // that run objects, as far as they do not stand still
  int epoll_fd = -1;
  int wake_fd = -1;   // eventfd, edge-triggered: never read
  int clock_fd = -1;  // timerfd: what the deputy sleeps on

  // Pushed by any thread, taken as a whole by the leader; last in, first out.
  std::atomic<Parked*> news{nullptr};
  std::atomic<Sleep> sleep{Sleep::kAwake};
  std::atomic<uint64_t> round{0};        // of the leader: counts its calls of epoll_wait()
  std::atomic<bool> busy{false};         // the leader runs what it has found
  std::atomic<bool> clock_runs{false};   // the deputy looks within a millisecond

  std::mutex mutex;
  std::condition_variable followers;
  std::condition_variable fewer;
  ParkedQueue queue;
  size_t portion = 0;   // of the queue, that the leader runs before it looks at the sockets again
  uint64_t emptied = 0;  // how often the queue has run empty
  uint64_t seen_emptied = 0;  // the deputy: when it looked last
  bool had_queue = false;     // the same
  std::list<Parked*> all;
  std::set<std::pair<exchange::Clock::rep, Parked*>> timers;
  std::vector<Parked*> retired;
  std::deque<std::pair<exchange::Clock::time_point, apr_pool_t*>> pools;
  exchange::Clock::time_point sleeps_until = exchange::Clock::time_point::max();  // the leader
  exchange::Clock::time_point stop_deadline = exchange::Clock::time_point::max();
  std::vector<std::unique_ptr<ParkingThread>> threads;
  ParkingThread* leader = nullptr;
  ParkingThread* deputy = nullptr;
  size_t idle = 0;
  size_t helpers_wanted = 0;
  bool ended = false;
  bool dozing_pays = false;  // only the leader

  // parking.cc
  bool start_locked();
  bool open_descriptors();

  // parking_threads.cc
  bool add_thread_locked();
  void work(ParkingThread* me);
  void lead(ParkingThread* me);
  void stand_by(ParkingThread* me);
  bool look_after_locked(ParkingThread* me);
  void call_help_locked();
  void call_follower_locked();
  void start_clock();
  Parked* take(ParkingThread* me, bool leads);
  void run_one(Parked* parked, ParkingThread* me);
  void retire(Parked* parked, ParkingThread* me);
  static void* APR_THREAD_FUNC thread_main(apr_thread_t* thread, void* impl);

  // parking_poller.cc
  bool wait(Parked* parked, const Parked::Wants& wants);
  void watch_client(Parked* parked, const Parked::Wants& wants);
  void watch_leg(Parked* parked, int fd, uint32_t events);
  void release_leg(Parked* parked);
  uint32_t take_events(Parked* parked);
  void set_timer(Parked* parked, exchange::Clock::time_point due);
  void clear_timer_locked(Parked* parked);
  static void append(ParkedQueue* queue, Parked* parked);
  void push_locked(Parked* parked);
  exchange::Sink::Told push_news(Parked* parked) noexcept;
  void wake_leader() noexcept;
  bool collect();
  void take_news(ParkedQueue* ready);
  void note_events(const epoll_event* events, int count, uint64_t this_round, ParkedQueue* ready);
  void look_at_clock_locked(exchange::Clock::time_point now);
  void clean_up_locked(exchange::Clock::time_point now, std::vector<Parked*>* gone, std::vector<apr_pool_t*>* rested);
  exchange::Clock::time_point patience_locked(exchange::Clock::time_point now) const;
  int sleep_in_epoll(epoll_event* events, exchange::Clock::time_point now);
};

}  // namespace nwsgi::httpd_side
