#include "python/runtime.h"

#include "python/mod_wsgi.h"
#include "python/start_python.h"

namespace nwsgi::python {

namespace {

// Of the time that stop() gives, what requests that still run leave for the functions that run at the end.
constexpr int kShareForEnd = 4;

}  // namespace

// The service thread in an interpreter, with its GIL.
class Runtime::Attached {
 public:
  Attached(Runtime* runtime, Home* home) {
    runtime->waiting_since_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    PyEval_RestoreThread(home->state);
    runtime->waiting_since_.store(0, std::memory_order_relaxed);
    set_current_interpreter(&home->interpreter);
  }
  ~Attached() {
    set_current_interpreter(nullptr);
    PyEval_SaveThread();
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
};

// ---- beginning ----

bool Runtime::begin(std::string* error) {
  std::condition_variable known;
  bool done = false;
  bool begun = false;
  const auto on_thread = [&] {
    const bool result = start_python_here(error);
    std::lock_guard lock(mutex_);
    done = true;
    begun = result;
    known.notify_one();
    return result;
  };
  if (!service_.start(on_thread, [this](Clock::time_point now) { return tick(now); })) {
    *error = "the system has no thread left";
    return false;
  }
  std::unique_lock lock(mutex_);
  known.wait(lock, [&] { return done; });
  return begun;
}

bool Runtime::start_python_here(std::string* error) {
  if (!register_module() || !start_python(options_, error)) return false;
  const std::string full = Py_GetVersion();
  version_ = full.substr(0, full.find(' '));
  auto home = std::make_unique<Home>();
  home->state = PyThreadState_Get();
  if (!prepare(home.get(), error)) return false;
  PyEval_SaveThread();
  std::lock_guard lock(mutex_);
  homes_[""] = std::move(home);
  return true;
}

// The GIL is held, and stays held.
bool Runtime::prepare(Home* home, std::string* error) {
  Interpreter* const interpreter = &home->interpreter;
  interpreter->options = &options_;
  interpreter->state = PyInterpreterState_Get();
  interpreter->is_main = interpreter->state == PyInterpreterState_Main();
  register_interpreter(interpreter);
  set_current_interpreter(interpreter);
  const bool prepared = prepare_interpreter(interpreter);
  if (!prepared) *error = take_error_text();
  set_current_interpreter(nullptr);
  home->pool = std::make_unique<Pool>(interpreter, options_.threads, &service_);
  interpreter->pool = home->pool.get();
  return prepared;
}

Runtime::Home* Runtime::open_interpreter(const std::string& name, std::string* error) {
  if (Home* const known = find(name); known != nullptr) return known;
  auto home = std::make_unique<Home>();
  home->interpreter.name = name;
  Home* const main = find("");
  PyEval_RestoreThread(main->state);
  home->state = new_interpreter(options_.own_gil, error);
  if (home->state == nullptr) {
    PyEval_SaveThread();
    return nullptr;
  }
  const bool prepared = prepare(home.get(), error);
  if (prepared) {
    PyEval_SaveThread();
  } else if (end(home.get())) {
    return nullptr;
  }
  Home* const opened = home.get();
  std::lock_guard lock(mutex_);
  // One that is of no use but has to stay goes under a name that no application group has.
  homes_[prepared ? name : name + '\0' + std::to_string(homes_.size())] = std::move(home);
  return prepared ? opened : nullptr;
}

// A sub-interpreter whose thread state is current; afterwards none is, and no GIL is held. False when it has to stay.
bool Runtime::end(Home* home) {
  const bool ended = end_interpreter(home->state);
  set_current_interpreter(nullptr);
  if (!ended) {
    PyEval_SaveThread();
    return false;
  }
  forget_interpreter(&home->interpreter);
#if PY_VERSION_HEX < 0x030C0000
  // The GIL, which is that of all interpreters, is still held, by no thread state.
  PyThreadState_Swap(find("")->state);
  PyEval_SaveThread();
#endif
  return true;
}

Runtime::Home* Runtime::find(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto found = homes_.find(name);
  return found == homes_.end() ? nullptr : found->second.get();
}

std::vector<Runtime::Home*> Runtime::homes() {
  std::vector<Home*> all;
  std::lock_guard lock(mutex_);
  for (const auto& [name, home] : homes_) all.push_back(home.get());
  return all;
}

// ---- scripts and requests ----

void Runtime::load(uint32_t ticket, const ScriptOptions& script, Ref<Observer> observer) {
  // A process of a process group is there for one application group: that has the main interpreter.
  const std::string name = options_.process_group.empty() ? script.interpreter : "";
  {
    std::lock_guard lock(mutex_);
    newest_ = observer;
  }
  if (Home* const home = find(name); home != nullptr) return run_load(home, ticket, script, observer);
  service_.post([this, name, ticket, script, observer] {
    std::string error;
    if (Home* const home = open_interpreter(name, &error); home != nullptr) return run_load(home, ticket, script, observer);
    Fault fault;
    fault.problem = "pythonStart";
    fault.summary = "the interpreter of the application group " + name + ": " + error;
    observer->on_loaded(ticket, nullptr, std::move(fault));
  });
}

void Runtime::run_load(Home* home, uint32_t ticket, const ScriptOptions& script, const Ref<Observer>& observer) {
  const bool queued = home->pool->run_task([home, ticket, script, observer] {
    Fault fault;
    auto loaded = Ref<Application>::adopt(load_application(&home->interpreter, home->pool.get(), script, observer, &fault));
    const WithoutGil without;
    observer->on_loaded(ticket, std::move(loaded), std::move(fault));
  });
  if (queued) return;
  Fault fault;
  fault.problem = "pythonStart";
  fault.summary = "Python has ended in this process";
  observer->on_loaded(ticket, nullptr, std::move(fault));
}

void Runtime::submit(Application* application, Ref<Exchange> exchange) {
  auto* const loaded = static_cast<LoadedApplication*>(application);
  exchange->serve_by_thread(loaded->pool);
  loaded->pool->submit(Ref<LoadedApplication>::share(loaded), std::move(exchange));
}

bool Runtime::log(uint8_t level, const std::string& text) {
  Ref<Observer> observer;
  {
    std::lock_guard lock(mutex_);
    observer = newest_;
  }
  if (!observer) return false;
  observer->on_log(level, text);
  return true;
}

// ---- looking after them ----

std::chrono::milliseconds Runtime::stalled() {
  const int64_t since = waiting_since_.load(std::memory_order_relaxed);
  if (since == 0) return std::chrono::milliseconds(0);
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - Clock::time_point(Clock::duration(since)));
}

Clock::time_point Runtime::tick(Clock::time_point now) {
  Clock::time_point due = Clock::time_point::max();
  for (Home* const home : homes()) {
    const bool pressing = home->pool->interrupt_due() <= now;
    if (!home->pool->busy() && !pressing) continue;
    std::vector<Pool::Stuck> reports;
    {
      // Also when nobody timed out: whether the GIL can be had.
      const Attached attached(this, home);
      if (pressing) reports = home->pool->interrupt_timed_out();
    }
    for (Pool::Stuck& report : reports) report.observer->on_stuck(std::move(report.where), std::move(report.stack));
    due = std::min({due, home->pool->interrupt_due(), now + Service::kInterval});
  }
  return due;
}

// ---- the end ----

bool Runtime::stop(const std::string& reason, std::chrono::milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  std::unique_lock lock(mutex_);
  if (!std::exchange(stopping_, true)) {
    service_.post([this, reason, deadline, limit] { finish(reason, deadline - limit / kShareForEnd); });
  }
  return end_.wait_until(lock, deadline, [this] { return ended_; }) && ended_well_;
}

void Runtime::finish(const std::string& reason, Clock::time_point deadline) {
  const std::vector<Home*> all = homes();
  bool idle = true;
  for (Home* const home : all) home->pool->begin_stop();
  for (Home* const home : all) idle = home->pool->finish_stop(deadline) && idle;
  for (Home* const home : all) {
    if (home->interpreter.library == nullptr) continue;
    const Attached attached(this, home);
    end_library(&home->interpreter, reason.c_str());
  }
  if (options_.destroy_interpreter) finalise(idle);
  service_.quit();
  std::lock_guard lock(mutex_);
  ended_ = true;
  ended_well_ = idle;
  end_.notify_all();
}

// Only when no thread of the host is left in Python: CPython would end it by unwinding it, wherever it is.
void Runtime::finalise(bool idle) {
  if (!idle) return;
  bool all_ended = true;
  Home* const main = find("");
  for (Home* const home : homes()) {
    if (home == main) continue;
    PyEval_RestoreThread(home->state);
    set_current_interpreter(&home->interpreter);
    all_ended = end(home) && all_ended;
  }
  if (!all_ended) return;
  PyEval_RestoreThread(main->state);
  set_current_interpreter(&main->interpreter);
  Py_FinalizeEx();
}

}  // namespace nwsgi::python
