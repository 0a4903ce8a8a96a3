// What a thread of the pool does.
#include <sys/resource.h>

#include "exchange/brief_wait.h"
#include "python/log_stream.h"
#include "python/pool_impl.h"
#include "python/run_request.h"

namespace nwsgi::python {

namespace {

constexpr std::chrono::milliseconds kWatchInterval{1};
constexpr int kQuietRounds = 20;             // then the watcher sleeps
constexpr unsigned kSampleEvery = 16;        // requests
constexpr int kBlockingSamples = 4;          // as many samples without blocking, and hunters are not called at once any more
constexpr std::chrono::milliseconds kForcedSwitch{4};  // who gets the GIL later was not let in by a thread that blocks

thread_local unsigned thread_number = 0;

long blocked_times() {
  rusage usage{};
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

}  // namespace

unsigned current_thread_number() { return thread_number; }

void Pool::Impl::work(Worker* me) {
  thread_number = me->number;
  set_current_interpreter(interpreter);
  me->state = PyThreadState_New(interpreter->state);
  Lock lock(mutex);
  me->thread_id = PyThread_get_thread_ident();
  for (;;) {
    const Role role = std::exchange(me->role, Role::kNone);
    if (role == Role::kHunt) hunt(me, &lock);
    if (role == Role::kWatch) watch(me, &lock);
    if (me->role != Role::kNone) continue;
    if (stopping) break;
    if (has_work() && !hunting && (executing == 0 || !tasks.empty())) {
      hunting = true;
      me->role = Role::kHunt;
      continue;
    }
    if (role == Role::kNone) {
      idle.push_back(me);
      me->wake.wait(lock, [this, me] { return me->role != Role::kNone || stopping; });
    }
  }
  lock.unlock();
  PyEval_RestoreThread(me->state);
  PyThreadState_Clear(me->state);
  PyThreadState_DeleteCurrent();
  lock.lock();
  --alive;
  gone.notify_all();
}

// `hunting` is this thread's.
void Pool::Impl::hunt(Worker* me, Lock* lock) {
  const bool others = executing != 0;
  lock->unlock();
  const Clock::time_point began = others ? Clock::now() : Clock::time_point();
  PyEval_RestoreThread(me->state);
  const bool let_in = others && Clock::now() - began < kForcedSwitch;
  lock->lock();
  hunting = false;
  // Another one is in the middle of a request and has let go of the GIL.
  if (let_in && executing != 0) blocking = kBlockingSamples;
  drain(me, lock);
  // Work often comes the moment after: going to sleep and being woken would cost more.
  const bool stays = !polling && !hunting && !stopping;
  if (stays) polling = true;
  lock->unlock();
  PyEval_SaveThread();
  if (stays) exchange::wait_a_moment([this] { return has_mail.load(std::memory_order_relaxed); });
  lock->lock();
  if (!stays) return;
  polling = false;
  if (stopping || !has_work()) return;
  hunting = true;
  me->role = Role::kHunt;
}

// `watcher` is this thread. It does without the GIL until requests wait and none gets done.
void Pool::Impl::watch(Worker* me, Lock* lock) {
  int quiet = 0;
  uint64_t last = completed;
  while (!stopping && me->role == Role::kNone && quiet < kQuietRounds) {
    me->wake.wait_for(*lock, kWatchInterval, [this, me] { return me->role != Role::kNone || stopping; });
    const bool waiting = !queue.empty() && running.load(std::memory_order_relaxed) < most;
    quiet = waiting ? 0 : quiet + 1;
    if (waiting && last == completed && !hunting && !polling && me->role == Role::kNone) {
      hunting = true;
      me->role = Role::kHunt;
    }
    last = completed;
  }
  if (watcher == me) watcher = nullptr;
}

void Pool::Impl::drain(Worker* me, Lock* lock) {
  while (!stopping) {
    if (!tasks.empty()) {
      std::function<void()> task = std::move(tasks.front());
      tasks.pop_front();
      ++executing;
      lock->unlock();
      task();
      task = nullptr;
      flush_logs(nullptr);
      lock->lock();
      --executing;
    } else if (!garbage.empty()) {
      std::vector<PyObject*> dropped;
      dropped.swap(garbage);
      lock->unlock();
      for (PyObject* const object : dropped) Py_DECREF(object);
      // A module and its functions refer to each other: what a reload leaves behind should not wait for the next full collection,
      // which may be ten reloads away.
      PyGC_Collect();
      lock->lock();
    } else if (!queue.empty() && running.load(std::memory_order_relaxed) < most) {
      run_one(me, lock);
    } else {
      break;
    }
  }
  if (queue.empty()) has_mail.store(false, std::memory_order_relaxed);
}

void Pool::Impl::run_one(Worker* me, Lock* lock) {
  Item item = std::move(queue.front());
  queue.pop_front();
  ++executing;
  running.fetch_add(1, std::memory_order_relaxed);
  me->exchange = item.exchange.get();
  if (!queue.empty()) call_help();
  lock->unlock();
  const bool sample = me->until_sample == 0;
  me->until_sample = sample ? kSampleEvery : me->until_sample - 1;
  const long before = sample ? blocked_times() : 0;
  // Aborted before it began: nobody waits for it. What is aborted later finds this thread by me->exchange.
  if (!item.exchange->over()) run_application(me, item);
  const bool blocked = sample && blocked_times() != before;
  item.application->observer->on_request_over();
  // The last references may free Python objects or the exchange: not with the lock held.
  item = Item();
  lock->lock();
  finished(me);
  if (sample) blocking = blocked ? kBlockingSamples : blocking > 0 ? blocking - 1 : 0;
}

void Pool::Impl::run_application(Worker* me, const Item& item) {
  const Ref<Request> request = Request::create(interpreter, item.application.get(), item.exchange);
  set_current_request(request.get());
  me->request = request.get();
  run_request(request.get());
  me->request = nullptr;
  set_current_request(nullptr);
  request->finish();
}

// With the GIL and the lock held: from here on nobody raises anything in this thread for this request.
void Pool::Impl::finished(Worker* me) {
  me->exchange = nullptr;
  --executing;
  ++completed;
  running.fetch_sub(1, std::memory_order_relaxed);
  if (!me->timed_out) return;
  if (me->raised) PyThreadState_SetAsyncExc(me->thread_id, nullptr);
  me->timed_out = me->raised = me->reported = false;
}

}  // namespace nwsgi::python
