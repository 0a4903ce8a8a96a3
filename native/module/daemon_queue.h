// The requests of this child that wait for a place in the workers of a process group: first come, first served. Whoever waits
// needs no thread: it is told.
//
// For each pool in whose queue somebody has stood there is a thread, the attendant: it sleeps on the scoreboard's futex for all
// of them, claims what becomes free, and gives it to the first.
// Threads: any. One mutex for each pool's line; with it held, Places are told, which must not call back; whom they name is woken
// without it. A Place belongs to one request, and is touched by the thread that serves it and, with the mutex, by whoever
// serves the line.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <thread>

#include "exchange/exchange.h"
#include "exchange/scoreboard.h"

namespace nwsgi::httpd_side {

class DaemonQueues {
 public:
  class Place {
   public:
    enum class State : uint8_t {
      kOutside,
      kWaiting,
      kClaimed,       // a worker's place is this request's: take_claim()
      kNobodyServes,  // the pool has no serving worker any more
    };

    Place() = default;
    ~Place();  // leaves
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    State state() const { return state_.load(std::memory_order_acquire); }
    // The claim, which is the caller's to give back. kClaimed only.
    exchange::Claim take_claim();
    // Gives up what it has or waits for.
    void leave();

    // Who is told when state() is not kWaiting any more: the sink (its argument is null), or without one whoever polls
    // wake_fd(), which is the thread's, for input (-1: there is no descriptor left; look now and then).
    void set_sink(exchange::Sink* sink);
    int wake_fd();

   private:
    friend class DaemonQueues;
    exchange::Wakeup* tell(State state);

    DaemonQueues* queues_ = nullptr;  // while it waits or has a claim
    uint32_t pool_ = 0;
    std::atomic<State> state_{State::kOutside};
    // With the line's mutex, while it waits.
    std::list<Place*>::iterator position_;
    exchange::Scoreboard::Clock::time_point since_{};
    exchange::Claim claim_;
    exchange::Sink* sink_ = nullptr;
    int wake_fd_ = -1;
  };

  // `scoreboard` outlives the queues.
  explicit DaemonQueues(const exchange::Scoreboard& scoreboard) : scoreboard_(scoreboard) {}
  DaemonQueues(const DaemonQueues&) = delete;
  DaemonQueues& operator=(const DaemonQueues&) = delete;

  // Whether somebody of this child stands in line already: who comes now must not overtake.
  bool anybody(uint32_t pool) const { return lines_[pool].length.load(std::memory_order_relaxed) != 0; }
  // False: the queue is full (counted). Else the place's state says what has come of it, at once or later.
  bool enter(uint32_t pool, Place* place);
  // For who cannot rely on the attendant: there may be none where threads cannot be had.
  bool attended(uint32_t pool) const { return lines_[pool].attended.load(std::memory_order_relaxed); }
  void serve(uint32_t pool);

  // Ends the threads. Places that still wait are not told any more.
  void stop();

 private:
  struct Line {
    std::mutex mutex;
    std::condition_variable more;
    std::list<Place*> places;
    std::atomic<uint32_t> length{0};
    std::atomic<bool> attended{false};
    std::thread attendant;
    uint32_t front = exchange::Scoreboard::kNoFront;
    bool ended = false;
  };
  [[nodiscard]] exchange::Wakeup* serve_locked(uint32_t pool);
  void remove_locked(Place* place);
  void attend(uint32_t pool);
  void start_attendant_locked(uint32_t pool);

  const exchange::Scoreboard& scoreboard_;
  std::array<Line, exchange::Scoreboard::kPoolSlots> lines_;
};

}  // namespace nwsgi::httpd_side
