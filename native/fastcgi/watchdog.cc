#include "fastcgi/watchdog.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ostream>
#include <sstream>
#include <thread>

#include "fastcgi/log_line.h"

namespace nwsgi::fastcgi {

namespace {

// Whatever lets go of the loop within this time is spared.
constexpr std::chrono::milliseconds kGrace{100};

// v8::Isolate's functions as they are called: methods get the object as first argument.
struct V8Functions {
  void* (*current)() = nullptr;
  void (*request_interrupt)(void* isolate, void (*callback)(void*, void*), void* data) = nullptr;
  void (*terminate)(void* isolate) = nullptr;
  void (*cancel_terminate)(void* isolate) = nullptr;
  // Which of the two there is depends on the version of V8.
  void (*print_stack)(void* isolate, std::ostream& out) = nullptr;
  void (*print_stack_filtered)(void* isolate, std::ostream& out, void* filter) = nullptr;
};

template <typename Function>
bool look_up(const char* name, Function* function) {
  *function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
  return *function != nullptr;
}

const V8Functions* v8_functions() {
  static V8Functions functions;
  static const bool complete = [] {
    V8Functions& f = functions;
    look_up("_ZN2v87Message22PrintCurrentStackTraceEPNS_7IsolateERSo", &f.print_stack);
    look_up("_ZN2v87Message22PrintCurrentStackTraceEPNS_7IsolateERSoPFbS2_NS_5LocalINS_6StringEEEE",
            &f.print_stack_filtered);
    return look_up("_ZN2v87Isolate10GetCurrentEv", &f.current) &&
           look_up("_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_", &f.request_interrupt) &&
           look_up("_ZN2v87Isolate18TerminateExecutionEv", &f.terminate) &&
           look_up("_ZN2v87Isolate24CancelTerminateExecutionEv", &f.cancel_terminate);
  }();
  return complete ? &functions : nullptr;
}

std::string stack_of(void* isolate) {
  std::ostringstream out;
  const V8Functions& v8 = *v8_functions();
  if (v8.print_stack != nullptr) {
    v8.print_stack(isolate, out);
  } else if (v8.print_stack_filtered != nullptr) {
    v8.print_stack_filtered(isolate, out, nullptr);
  } else {
    out << "(this Node cannot print where it is)";
  }
  return out.str();
}

}  // namespace

bool Watchdog::start(exchange::ScoreboardWorker* worker, bool survives, GiveUp give_up, void* data, std::string* error) {
  if (v8_functions() == nullptr) {
    *error = "this Node has no way to interrupt JavaScript from outside";
    return false;
  }
  worker_ = worker;
  survives_ = survives;
  give_up_ = give_up;
  give_up_data_ = data;
  isolate_ = v8_functions()->current();

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int problem = ::pthread_create(&thread, nullptr, [](void* self) -> void* {
    static_cast<Watchdog*>(self)->run();
    return nullptr;
  }, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (problem != 0) {
    *error = "the thread that interrupts JavaScript cannot be started";
    return false;
  }
  ::pthread_setname_np(thread, "nwsgi-watchdog");
  ::pthread_detach(thread);
  return true;
}

void Watchdog::stop() {
  std::lock_guard lock(mutex_);
  isolate_ = nullptr;
}

void Watchdog::run() {
  uint32_t seen = worker_->interrupt.load();
  for (;;) {
    exchange::futex_wait(&worker_->interrupt, seen, std::chrono::hours(1));
    const uint32_t now = worker_->interrupt.load();
    if (now == seen) continue;
    seen = now;
    request();
  }
}

void Watchdog::request() {
  asked_at_ = turns_.load();
  std::this_thread::sleep_for(kGrace);
  if (turns_.load() != asked_at_.load()) return;
  std::lock_guard lock(mutex_);
  if (isolate_ != nullptr) v8_functions()->request_interrupt(isolate_, on_interrupt, this);
}

// On the loop's thread, in the middle of JavaScript.
void Watchdog::on_interrupt(void* isolate, void* data) {
  auto* self = static_cast<Watchdog*>(data);
  // What blocked the loop has ended by itself; what runs now is innocent.
  if (self->turns_.load() != self->asked_at_.load()) return;
  write_log(exchange::kLogError,
            "NWSGI4235 JavaScript did not let go of the event loop and was interrupted; look for an endless loop, or for work "
            "that belongs in a worker thread. It was here:\n" + stack_of(isolate));
  // V8 may drop continuations of any request together with what it stops.
  self->give_up_(self->give_up_data_);
  if (!self->survives_) ::_exit(EXIT_FAILURE);
  self->interrupted_ = true;
  v8_functions()->terminate(isolate);
}

bool Watchdog::take_interrupted() {
  if (!interrupted_.exchange(false)) return false;
  // The end of the outermost JavaScript call has made V8 run again, unless nothing was left to be stopped.
  v8_functions()->cancel_terminate(isolate_);
  return true;
}

}  // namespace nwsgi::fastcgi
