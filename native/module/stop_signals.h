// Where the signals that stop a child meet nwsgi's locks.
//
// Prefork: httpd's handler of SIGTERM and SIGHUP takes the child apart there and then, on the thread that serves a
// request, and the pool cleanups end the host. Invariant: that never happens while this thread is inside the host or an
// exchange, whose locks (and malloc's) it could then not take again. Both signals wait while a StopDeferral lives; a
// StopWindow lets them in again around the calls that may take long: waiting for application and client, and writing to
// a client that does not read.
// Threaded MPMs handle signals in their main thread, which holds no lock of ours: both classes do nothing there.
#pragma once

namespace nwsgi::httpd_side {

// Once in each child, before the first deferral.
void start_stop_signals();

class StopDeferral {
 public:
  StopDeferral();
  ~StopDeferral();
  StopDeferral(const StopDeferral&) = delete;
  StopDeferral& operator=(const StopDeferral&) = delete;
};

class StopWindow {
 public:
  StopWindow();
  ~StopWindow();
  StopWindow(const StopWindow&) = delete;
  StopWindow& operator=(const StopWindow&) = delete;
};

// For a child that begins a graceful stop: when the parent loses its patience (apachectl stop after graceful), `stop` is
// called on a thread of its own. A threaded MPM ignores the signal by then and would wait for the requests for ever.
// Does nothing in prefork, whose handler ends the child anyway.
void call_when_grace_ends(void (*stop)());

// That has happened: requests that wait for a process group end themselves.
bool grace_has_ended();

}  // namespace nwsgi::httpd_side
