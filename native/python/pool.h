// The threads that run requests of one interpreter.
//
// Scheduling: the GIL lets one thread run at a time, and every hand-over of it costs two context switches. So a thread that has
// finished a request takes the next one while it still holds the GIL, and at most one other thread at a time (the hunter) waits
// for the GIL: it gets it as soon as the running one lets go of it (input or output, a sleep, C code), or when Python's switch
// interval is over, takes a request, and calls the next hunter if more wait. Where applications do not let go of the GIL, a hunter
// only costs: then none is called at once, but a watcher looks each millisecond whether requests wait and none gets done. Without
// work a thread lets go of the GIL, waits a moment, and sleeps; the one that fell asleep last is woken first, its caches are warm.
// Threads are made when they are needed, at most `most_threads` of them, and one more for tasks.
//
// Threads: everything by any thread and never waiting, unless it says otherwise. Lock order: GIL, an exchange's lock, the pool's
// lock: with that one held, neither the GIL is taken nor an exchange called.
// Lifetime: of the process.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "python/application.h"
#include "python/request.h"
#include "python/service.h"

namespace nwsgi::python {

class Pool final : public exchange::ThreadSide {
 public:
  Pool(Interpreter* interpreter, unsigned most_threads, Service* service);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Without the GIL. Of a pool that has stopped, the request fails.
  void submit(Ref<LoadedApplication> application, Ref<Exchange> exchange);
  // Runs `task` on a thread of the pool, with the GIL held, before requests that wait. False when it has stopped.
  bool run_task(std::function<void()> task);
  // Frees Python objects (null ones too), those of an application that nobody uses any more, as soon as some thread of the pool has
  // the GIL; and what is only left in circles with them.
  void free_later(PyObject* first, PyObject* second);

  // Called with an exchange's lock held: notes that the thread that runs the request is to be interrupted.
  void on_abort(Exchange* exchange, exchange::AbortReason reason) noexcept override;

  // Calls `visit` for each request that runs, with the number of its thread (from 1). The GIL is held.
  void each_active(const std::function<void(Request* request, unsigned thread)>& visit);
  bool busy() const;  // something runs or waits

  // ---- the host's service thread ----
  struct Stuck {
    Ref<Observer> observer;
    std::string where;  // "GET /path of /srv/app.py"
    std::string stack;
  };
  // Raises RequestTimeout in the threads whose request timed out; returns those that are stuck, once each. The GIL is held.
  std::vector<Stuck> interrupt_timed_out();
  // When interrupt_timed_out() has something to do: now or later; Clock::time_point::max(): never. Without the GIL.
  Clock::time_point interrupt_due() const;
  // No thread takes anything any more. Without the GIL.
  void begin_stop();
  // Waits for the running ones at most until then. False when some still run. Without the GIL.
  bool finish_stop(Clock::time_point until);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

// The number of the pool's thread that calls, from 1; 0 for other threads.
unsigned current_thread_number();

}  // namespace nwsgi::python
