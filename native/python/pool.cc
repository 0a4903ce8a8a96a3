#include "python/pool.h"

#include "python/pool_impl.h"
#include "python/run_request.h"
#include "python/threads.h"

namespace nwsgi::python {

Pool::Pool(Interpreter* interpreter, unsigned most_threads, Service* service)
    : impl_(std::make_unique<Impl>(interpreter, most_threads == 0 ? 1 : most_threads, service)) {}

Pool::~Pool() = default;

void Pool::submit(Ref<LoadedApplication> application, Ref<Exchange> exchange) {
  Impl& pool = *impl_;
  {
    std::lock_guard lock(pool.mutex);
    if (!pool.stopping) {
      pool.queue.push_back({std::move(application), std::move(exchange)});
      pool.has_mail.store(true, std::memory_order_relaxed);
      pool.call_help();
    }
  }
  pool.service->watch();
  if (exchange) {
    exchange->fail({503, "NWSGI3003", "Python has ended in this process", false, 1});
    application->observer->on_request_over();
  }
}

bool Pool::run_task(std::function<void()> task) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return false;
    impl_->tasks.push_back(std::move(task));
    impl_->has_mail.store(true, std::memory_order_relaxed);
    impl_->call_help();
  }
  impl_->service->watch();
  return true;
}

void Pool::free_later(PyObject* first, PyObject* second) {
  if (first == nullptr && second == nullptr) return;
  std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return;  // the process ends
  for (PyObject* const object : {first, second}) {
    if (object != nullptr) impl_->garbage.push_back(object);
  }
  impl_->has_mail.store(true, std::memory_order_relaxed);
  impl_->call_help();
}

bool Pool::busy() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->executing != 0 || impl_->has_work();
}

void Pool::begin_stop() {
  std::deque<Item> left;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    left.swap(impl_->queue);
    impl_->tasks.clear();
    for (const auto& worker : impl_->workers) worker->wake.notify_one();
  }
  for (Item& item : left) {
    item.exchange->fail({503, "NWSGI3003", "Python has ended in this process", false, 1});
    item.application->observer->on_request_over();
  }
}

bool Pool::finish_stop(Clock::time_point until) {
  std::unique_lock lock(impl_->mutex);
  return impl_->gone.wait_until(lock, until, [this] { return impl_->alive == 0; });
}

// ---- whom to call ----

bool Pool::Impl::has_work() const {
  return !tasks.empty() || !garbage.empty() || (!queue.empty() && running.load(std::memory_order_relaxed) < most);
}

void Pool::Impl::call_help() {
  if (hunting || polling || !has_work()) return;
  // A thread that executes something looks again when it is done, which may be long after.
  if (executing == 0 || !tasks.empty()) {
    call(Role::kHunt);
  } else if (!queue.empty() && running.load(std::memory_order_relaxed) < most) {
    if (blocking > 0) {
      call(Role::kHunt);
    } else if (watcher == nullptr) {
      call(Role::kWatch);
    }
  }
}

bool Pool::Impl::call(Role role) {
  Worker* worker = nullptr;
  if (!idle.empty()) {
    worker = idle.back();
    idle.pop_back();
  } else if (watcher != nullptr && role == Role::kHunt) {
    worker = std::exchange(watcher, nullptr);
  } else if (alive >= most_workers()) {
    return false;
  }
  if (role == Role::kHunt) hunting = true;
  if (worker == nullptr) {
    spawn(role);
    return true;
  }
  if (role == Role::kWatch) watcher = worker;
  worker->role = role;
  worker->wake.notify_one();
  return true;
}

// The service thread makes the threads: see Service::start().
void Pool::Impl::spawn(Role role) {
  ++alive;
  workers.push_back(std::make_unique<Worker>());
  Worker* const worker = workers.back().get();
  worker->number = static_cast<unsigned>(workers.size());
  worker->role = role;
  if (role == Role::kWatch) watcher = worker;
  service->post([this, worker] {
    const std::string name = "nwsgi-py-" + std::to_string(worker->number);
    if (start_thread(name.c_str(), [this, worker] { work(worker); })) return;
    log_for_site(exchange::kLogError, "Python: no thread could be started for requests");
    std::lock_guard lock(mutex);
    --alive;
    if (worker->role == Role::kHunt) hunting = false;
    if (watcher == worker) watcher = nullptr;
    gone.notify_all();
  });
}

}  // namespace nwsgi::python
