// What the files of the pool share: its state, and what its threads do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "python/pool.h"

namespace nwsgi::python {

// What a thread that is woken is to do.
enum class Role : uint8_t { kNone, kHunt, kWatch };

struct Item {
  Ref<LoadedApplication> application;
  Ref<Exchange> exchange;
};

// A thread of the pool. Guarded by the pool's lock, except where it says otherwise.
struct Worker {
  unsigned number = 0;
  PyThreadState* state = nullptr;   // the thread's own
  unsigned long thread_id = 0;      // as threading.get_ident(); 0 before it has run
  Role role = Role::kNone;
  std::condition_variable wake;
  // The request that it runs. Set and cleared with the GIL held, too: who holds it may rely on them.
  Exchange* exchange = nullptr;
  Request* request = nullptr;       // guarded by the GIL alone
  bool timed_out = false;
  bool raised = false;
  bool reported = false;
  Clock::time_point timed_out_at;
  unsigned until_sample = 0;        // the thread's own
};

struct Pool::Impl {
  Interpreter* const interpreter;
  const unsigned most;
  Service* const service;

  mutable std::mutex mutex;
  std::deque<Item> queue;
  std::deque<std::function<void()>> tasks;
  std::vector<PyObject*> garbage;
  std::vector<std::unique_ptr<Worker>> workers;  // all there ever were
  std::vector<Worker*> idle;                     // those that sleep; the last one is woken first
  unsigned alive = 0;                            // started and not ended
  std::condition_variable gone;                  // a thread has ended
  bool stopping = false;

  bool hunting = false;       // a thread is on its way to the GIL, and will look for work
  bool polling = false;       // a thread waits a moment for work before it sleeps
  Worker* watcher = nullptr;
  unsigned executing = 0;     // requests and tasks that run
  uint64_t completed = 0;     // requests
  int blocking = 0;           // > 0: lately, requests have let go of the GIL
  std::atomic<unsigned> running{0};  // requests; written with the lock held
  std::atomic<bool> has_mail{false};

  Impl(Interpreter* i, unsigned m, Service* s) : interpreter(i), most(m), service(s) {}

  // ---- pool.cc: whom to call. With the lock held. ----
  bool has_work() const;
  unsigned most_workers() const { return most > 1 ? most + 1 : 1; }
  // Sees to it that some thread takes what waits.
  void call_help();
  bool call(Role role);
  void spawn(Role role);

  // ---- pool_thread.cc: on the pool's threads ----
  using Lock = std::unique_lock<std::mutex>;
  void work(Worker* me);
  void hunt(Worker* me, Lock* lock);
  void watch(Worker* me, Lock* lock);
  // With the GIL held: does what there is to do.
  void drain(Worker* me, Lock* lock);
  void run_one(Worker* me, Lock* lock);
  void run_application(Worker* me, const Item& item);
  void finished(Worker* me);
};

}  // namespace nwsgi::python
