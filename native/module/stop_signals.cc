#include "module/stop_signals.h"

#include <ap_mpm.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace nwsgi::httpd_side {
namespace {

bool threaded = true;  // written before the child's first request

void change_mask(int how) {
  if (threaded) return;
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGHUP);
  pthread_sigmask(how, &stops, nullptr);
}

sem_t grace_ended;
std::atomic<bool> grace_is_over{false};

// The listener thread sends the signal to its own process, too, to wake the main thread.
void note_sigterm(int, siginfo_t* info, void*) {
  const int error = errno;
  if (info->si_pid != ::getpid()) ::sem_post(&grace_ended);
  errno = error;
}

void* wait_for_end_of_grace(void* stop) {
  while (::sem_wait(&grace_ended) != 0 && errno == EINTR) {
  }
  grace_is_over.store(true, std::memory_order_relaxed);
  reinterpret_cast<void (*)()>(stop)();
  return nullptr;
}

}  // namespace

void start_stop_signals() {
  int answer = AP_MPMQ_STATIC;
  threaded = ap_mpm_query(AP_MPMQ_IS_THREADED, &answer) == APR_SUCCESS && answer != AP_MPMQ_NOT_SUPPORTED;
}

StopDeferral::StopDeferral() { change_mask(SIG_BLOCK); }
StopDeferral::~StopDeferral() { change_mask(SIG_UNBLOCK); }
StopWindow::StopWindow() { change_mask(SIG_UNBLOCK); }
StopWindow::~StopWindow() { change_mask(SIG_BLOCK); }

void call_when_grace_ends(void (*stop)()) {
  if (!threaded || ::sem_init(&grace_ended, 0, 0) != 0) return;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const bool waiting = pthread_create(&thread, nullptr, wait_for_end_of_grace, reinterpret_cast<void*>(stop)) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!waiting) return;
  pthread_detach(thread);
  struct sigaction action {};
  action.sa_sigaction = note_sigterm;
  action.sa_flags = SA_SIGINFO;  // without SA_RESTART: the main thread's read has to end, as httpd expects
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool grace_has_ended() { return grace_is_over.load(std::memory_order_relaxed); }

}  // namespace nwsgi::httpd_side
