// The threads that run requests of one interpreter.
//
// Scheduling: the GIL lets one thread run at a time, and every hand-over of it costs two context switches. So a thread that has
// finished a request takes the next one while it still holds the GIL, and at most one other thread at a time (the hunter) waits
// for the GIL: it gets it as soon as the running one lets go of it (input or output, a sleep, C code), or when Python's switch
// interval is over, takes a request, and wakes the next hunter if more wait. Without work a thread lets go of the GIL, waits a
// moment, and sleeps. Threads are made when they are needed, at most `threads` of them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "python/application.h"
#include "python/request.h"

namespace nwsgi::python {

class Pool final : public exchange::ThreadSide {
 public:
  Pool(Interpreter* interpreter, unsigned most_threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Any thread, without the GIL. Never blocks.
  void submit(Ref<LoadedApplication> application, Ref<Exchange> exchange);
  // Runs `task` on a thread of the pool, with the GIL held, before requests that wait.
  void run_task(std::function<void()> task);
  // Frees Python objects (null ones too) as soon as some thread of the pool has the GIL.
  void free_later(PyObject* first, PyObject* second);

  // Called with an exchange's lock held: notes that the thread that runs the request is to be interrupted.
  void on_abort(Exchange* exchange, exchange::AbortReason reason) noexcept override;

  // ---- the host's service thread ----
  // Raises mod_wsgi.RequestTimeout in the threads whose request timed out, reports stuck ones. The GIL is held.
  void interrupt_timed_out();
  // Whether interrupt_timed_out() has something to do. Without the GIL.
  bool has_timed_out();
  unsigned stuck() const;
  unsigned active() const;  // requests that run
  // No thread takes anything any more; waits for the running ones at most until then. False when some still run.
  bool stop(exchange::Clock::time_point until);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nwsgi::python
