#include "python/threads.h"

#include <pthread.h>
#include <signal.h>

#include <memory>

namespace nwsgi::python {

namespace {

constexpr size_t kStack = size_t{8} << 20;

void* enter(void* data) {
  std::unique_ptr<std::function<void()>> body(static_cast<std::function<void()>*>(data));
  (*body)();
  return nullptr;
}

// A fault of the thread's own must still reach the handler that the process has for it.
sigset_t blocked_signals() {
  sigset_t signals;
  sigfillset(&signals);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&signals, own);
  return signals;
}

}  // namespace

bool start_thread(const char* name, std::function<void()> body) {
  auto data = std::make_unique<std::function<void()>>(std::move(body));
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStack);
  const sigset_t blocked = blocked_signals();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, enter, data.get()) == 0;
  if (started) {
    data.release();
    pthread_setname_np(thread, name);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return started;
}

}  // namespace nwsgi::python
