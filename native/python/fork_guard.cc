#include "python/fork_guard.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "python/python.h"

namespace nwsgi::python {

namespace {

std::atomic<bool> forked{false};

// The thread that forks is one that has the GIL. Node and httpd fork on threads of their own.
bool runs_python() {
#if PY_VERSION_HEX >= 0x030d0000
  PyThreadState* state = PyThreadState_GetUnchecked();
#else
  PyThreadState* state = _PyThreadState_UncheckedGet();
#endif
  // Before 3.12 that is the state of whichever thread has the GIL.
  return state != nullptr && state->thread_id == static_cast<unsigned long>(pthread_self());
}

// In the child, which has this thread only. Async-signal-safe functions only.
void after_fork() {
  if (!runs_python()) return;
  forked.store(true, std::memory_order_relaxed);
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action;
    if (sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void install_fork_guard() {
  static const int installed = pthread_atfork(nullptr, nullptr, after_fork);
  static_cast<void>(installed);
}

bool in_forked_child() { return forked.load(std::memory_order_relaxed); }

}  // namespace nwsgi::python
