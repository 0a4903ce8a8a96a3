// Whoever waits holds no thread: the child's service for requests and connections that are parked.
//
// A Parked object is one connection that waits for its application, its client or the clock. One thread of the service
// (the poller) watches the clients' sockets, the sockets of daemon legs and the clock; a small pool of threads runs those
// for which something has come. The pool grows only while it stands still (all its threads are held up by something).
// Threads: run() is called by one thread of the pool at a time, wake() by any thread. No wake-up is lost: one that comes
// during run() makes it run again.
// Lifetime: a Parked object is made with new and belongs to the service from add() on; the poller deletes it after
// run() has said that it is over, when no event that was fetched before can name it any more.
#pragma once

#include <httpd.h>

#include <apr_thread_proc.h>

#include <atomic>
#include <cstdint>
#include <list>

#include "exchange/work.h"

namespace nwsgi::httpd_side {

class Parking;

class Parked {
 public:
  // What a wake-up was about; bits.
  enum : uint32_t {
    kNews = 1,      // of the application
    kClient = 2,    // the client's socket: client_events()
    kLeg = 4,       // the leg's socket
    kTime = 8,
    kStop = 16,     // the child stops, see Parking::stop_state()
  };
  struct Wants {
    bool over = false;       // nothing more: delete it
    int client_fd = -1;      // stays the same for the whole life; -1: not watched
    uint32_t client_events = 0;  // of epoll(7)
    int leg_fd = -1;
    uint32_t leg_events = 0;
    exchange::Clock::time_point until = exchange::Clock::time_point::max();
  };

  virtual ~Parked() = default;
  void wake(uint32_t why) noexcept;

 protected:
  explicit Parked(Parking* service) : service_(service) {}
  // `events`: of epoll, what the client's socket was found to be since the last run.
  virtual Wants run(uint32_t why, uint32_t client_events, apr_thread_t* thread) noexcept = 0;

 private:
  friend class Parking;
  // kRunning: somebody is in it, or nobody may be yet. kAgain: … and has to look once more.
  enum class State : uint8_t { kRunning, kAgain, kIdle, kQueued, kOver };

  // Notes the reason; true when the caller has to put it into the queue.
  bool note(uint32_t why) noexcept;

  Parking* const service_;
  std::atomic<State> state_{State::kRunning};
  std::atomic<uint32_t> why_{0};
  std::atomic<uint32_t> client_events_{0};
  // With the service's mutex.
  std::list<Parked*>::iterator place_;
  bool timed_ = false;
  exchange::Clock::time_point due_{};
  // Only in run_one(): whoever is in it.
  int watched_client_ = -1;
  int watched_leg_ = -1;
};

class Parking {
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
  void queue(Parked* parked) noexcept;
  Impl* const impl_;
  std::atomic<Stop> stop_{Stop::kNo};
  std::atomic<size_t> parked_{0};
};

// At child start, where the MPM lets handlers suspend requests. Its threads start with the first request that parks.
void start_parking(apr_pool_t* child_pool);

}  // namespace nwsgi::httpd_side
