// Whoever waits holds no thread: the child's service for requests and connections that are parked.
//
// A Parked object is one connection that waits for its application, its client or the clock. One of the service's threads
// leads: it sleeps in epoll for the clients' sockets, the sockets of daemon legs, the clock and the applications' news, and
// runs by itself, one object after the other, all that it is woken for. No object changes threads in the normal case.
// What an object does when it runs may block all the same (handlers and filters of others). A deputy looks every
// millisecond while the leader is busy: when a step takes longer, it takes the leadership over, with what is left to be
// run, and the former leader joins the followers when its step ends. See parking_threads.cc.
// Threads: run() is called by one thread of the service at a time, wake() by any thread. No wake-up is lost: one that comes
// during run() makes it run again.
// Lifetime: a Parked object is made with new and belongs to the service from add() on; the leader deletes it after run() has
// said that it is over, before it fetches events again: none that was fetched can name it any more.
#pragma once

#include <httpd.h>

#include <apr_thread_proc.h>

#include <atomic>
#include <cstdint>
#include <list>

#include "exchange/exchange.h"

namespace nwsgi::httpd_side {

class Parking;

class Parked {
 public:
  // What a wake-up was about; bits.
  enum : uint32_t {
    kNews = 1,      // of the application
    kClient = 2,    // the client's socket: client_events
    kLeg = 4,       // the leg's socket
    kTime = 8,
    kStop = 16,     // the child stops, see Parking::stop_state()
  };
  struct Wants {
    bool over = false;       // nothing more: delete it
    int client_fd = -1;      // stays the same for the whole life; -1: not watched
    uint32_t client_events = 0;  // of epoll(7)
    // The last read has found nothing, and forget_input() was called before it: the socket need not be looked at.
    bool input_is_drained = false;
    int leg_fd = -1;         // may be another one each time
    uint32_t leg_events = 0;
    exchange::Clock::time_point until = exchange::Clock::time_point::max();
  };

  virtual ~Parked() = default;
  void wake(uint32_t why) noexcept;
  // The same for a thread that holds a lock, or has more to tell: see exchange::Sink.
  exchange::Sink::Told wake_later(uint32_t why) noexcept;

 protected:
  explicit Parked(Parking* service) : service_(service) {}
  // `client_events`: of epoll, what the client's socket was found to be, of what was wanted.
  virtual Wants run(uint32_t why, uint32_t client_events, apr_thread_t* thread) noexcept = 0;

  // In run(). What is said of the client's input from now on is new.
  void forget_input() noexcept;
  // In run(), before the client's socket is closed: its descriptor may live on in a process that is just being forked.
  void unwatch_client() noexcept;

 private:
  friend class Parking;
  // kRunning: somebody is in it, or nobody may be yet. kAgain: … and has to look once more.
  enum class State : uint8_t { kRunning, kAgain, kIdle, kQueued, kOver };

  // Notes the reason; true when the caller has to put it into a queue.
  bool note(uint32_t why) noexcept;

  Parking* const service_;
  std::atomic<State> state_{State::kRunning};
  std::atomic<uint32_t> why_{0};
  // What epoll has said of the client's socket and run() was not told yet, whether it is wanted or not: the descriptor is
  // edge-triggered and registered once. Errors and hang-ups stay.
  std::atomic<uint32_t> client_ready_{0};
  std::atomic<uint32_t> client_interest_{0};
  std::atomic<uint64_t> round_{0};  // the leader's, in which somebody was in it last
  std::atomic<bool> leg_armed_{false};
  Parked* next_ = nullptr;  // of whichever queue holds it: kQueued
  // When the clock has to look at it; at most one entry of the service's timers is its own, and that one may be too early.
  std::atomic<exchange::Clock::rep> due_{kNever};
  std::atomic<exchange::Clock::rep> timer_{kNever};  // written with the service's mutex
  std::list<Parked*>::iterator place_;               // with the service's mutex
  // Only whoever is in it.
  int client_fd_ = -1;  // that is registered
  int leg_fd_ = -1;     // that was armed last

  static constexpr exchange::Clock::rep kNever = exchange::Clock::time_point::max().time_since_epoch().count();
};

class Parking final : private exchange::Wakeup {
 public:
  // The service of this child; null where requests cannot be parked. Set up by start_parking().
  static Parking* of_child();

  enum class Stop : uint8_t { kNo, kGraceful, kNow };
  Stop stop_state() const { return stop_.load(std::memory_order_acquire); }
  // When parked requests of a stopping child are given up.
  exchange::Clock::time_point stop_deadline();

  // Takes the object over, not to be run yet: release() says when. False: no thread can be had; the object stays the
  // caller's.
  bool add(Parked* parked);
  // What it waits for first. Between add() and release().
  void arm(Parked* parked, const Parked::Wants& wants);
  void release(Parked* parked) noexcept;

  // Connections that are kept alive are closed at once; requests that are parked have `patience` left (the shortest that
  // was ever given). kNow: connections are given up with what they have not sent.
  static constexpr exchange::Clock::duration kNoLimit = exchange::Clock::duration::max();
  void stop(Stop how, exchange::Clock::duration patience) noexcept;
  // Ends what is parked and the service's threads; the main thread of a child whose workers have ended.
  // False when something would not end: the process has to leave without a look back.
  bool shut_down() noexcept;

  // A pool of a closed connection, cleared: destroyed a while later (see parked_connection.cc).
  void destroy_later(apr_pool_t* pool);

  size_t parked() const { return parked_.load(std::memory_order_relaxed); }

 private:
  friend class Parked;
  friend void start_parking(apr_pool_t* child_pool);
  struct Impl;
  explicit Parking(Impl* impl) : impl_(impl) {}
  void wake() noexcept override;
  Impl* const impl_;
  std::atomic<Stop> stop_{Stop::kNo};
  std::atomic<size_t> parked_{0};
};

// At child start, where the MPM lets handlers suspend requests. Its threads start with the first request that parks.
void start_parking(apr_pool_t* child_pool);

}  // namespace nwsgi::httpd_side
