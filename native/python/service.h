// The host's own thread: CPython's main thread, which afterwards looks after the requests that run.
//
// Threads: everything by any thread, unless it says otherwise. Nothing waits, nothing calls back; callers may hold locks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "exchange/work.h"

namespace nwsgi::python {

using exchange::Clock;

class Service {
 public:
  static constexpr std::chrono::seconds kInterval{1};
  // Called on the service thread, without the GIL: looks after everything, and says when it wants to be called again;
  // Clock::time_point::max(): not before watch(). Called at least once each interval while requests come.
  using Tick = std::function<Clock::time_point(Clock::time_point now)>;

  // Starts the thread, which first runs `begin` and ends when that is false. False when there is no thread.
  bool start(std::function<bool()> begin, Tick tick);
  // Runs the task on the thread, soon and in order. After quit() it is dropped.
  void post(std::function<void()> task);
  // There is something to look after: after whoever looks (Tick) could see it.
  void watch() {
    if (dozing_.load(std::memory_order_relaxed)) hurry();
  }
  // The next tick comes at once.
  void hurry();
  // On the service thread: no task and no tick follow.
  void quit();

 private:
  void run(const Tick& tick);

  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<std::function<void()>> tasks_;
  bool hurry_ = false;
  bool over_ = false;
  std::atomic<bool> dozing_{true};  // no tick is due; written with mutex_ held
};

}  // namespace nwsgi::python
