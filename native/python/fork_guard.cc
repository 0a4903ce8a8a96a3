#include "python/fork_guard.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "python/python.h"

// CPython's state of the process; its type is private.
extern "C" PyInterpreterState* _PyRuntime[];

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

// How many words the object at _PyRuntime has.
size_t words_of_runtime() {
  Dl_info info;
  void* symbol = nullptr;
  if (dladdr1(_PyRuntime, &info, &symbol, RTLD_DL_SYMENT) == 0 || symbol == nullptr) return 0;
  return static_cast<const ElfW(Sym)*>(symbol)->st_size / sizeof(void*);
}
size_t runtime_words = 0;

// CPython, in the child, ends the other interpreters one by one, while it holds a lock that ending one takes again: it would hang
// (PyOS_AfterFork_Child, _PyInterpreterState_DeleteExceptMain). So they are taken off its list first: what is left of them is
// memory. The list's head and the main interpreter are neighbours in _PyRuntime, in all versions.
void forget_other_interpreters() {
  PyInterpreterState* const head = PyInterpreterState_Head();
  PyInterpreterState* const main = PyInterpreterState_Main();
  if (head == main) return;
  for (size_t i = 0; i + 1 < runtime_words; ++i) {
    if (_PyRuntime[i] != head || _PyRuntime[i + 1] != main) continue;
    _PyRuntime[i] = main;
    return;
  }
}

// In the child, which has this thread only. Async-signal-safe functions only.
void after_fork() {
  if (!runs_python()) return;
  forked.store(true, std::memory_order_relaxed);
  forget_other_interpreters();
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
  runtime_words = words_of_runtime();
  static const int installed = pthread_atfork(nullptr, nullptr, after_fork);
  static_cast<void>(installed);
}

bool in_forked_child() { return forked.load(std::memory_order_relaxed); }

}  // namespace nwsgi::python
