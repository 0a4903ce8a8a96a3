// The one Python of the process: its interpreters, their pools, and how they begin and end.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "python/host.h"
#include "python/interpreter.h"
#include "python/pool.h"
#include "python/service.h"

namespace nwsgi::python {

// Lifetime: from start() to the end of the process; never destroyed, because threads of applications may outlive everything.
class Runtime final : public Host {
 public:
  explicit Runtime(const HostOptions& options) : options_(options) {}
  // False with the reason. Waits until CPython has started.
  bool begin(std::string* error);

  const char* version() const override { return version_.c_str(); }
  void load(uint32_t ticket, const ScriptOptions& script, Ref<Observer> observer) override;
  void submit(Application* application, Ref<Exchange> exchange) override;
  std::chrono::milliseconds stalled() override;
  bool stop(const std::string& reason, std::chrono::milliseconds limit) override;

  // To the newest observer. False when there is none.
  bool log(uint8_t level, const std::string& text);

 private:
  // An interpreter, and the service thread's own state in it.
  struct Home {
    Interpreter interpreter;
    PyThreadState* state = nullptr;
    std::unique_ptr<Pool> pool;
  };
  class Attached;

  // On the service thread.
  bool start_python_here(std::string* error);
  Home* open_interpreter(const std::string& name, std::string* error);
  bool prepare(Home* home, std::string* error);
  bool end(Home* home);
  Clock::time_point tick(Clock::time_point now);
  void finish(const std::string& reason, Clock::time_point deadline);
  void finalise(bool idle);
  // Any thread.
  Home* find(const std::string& name);
  std::vector<Home*> homes();
  void run_load(Home* home, uint32_t ticket, const ScriptOptions& script, const Ref<Observer>& observer);

  const HostOptions options_;
  std::string version_;
  Service service_;

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Home>> homes_;  // by name; entries are only added
  Ref<Observer> newest_;
  bool stopping_ = false;
  bool ended_ = false;          // finish() is over
  bool ended_well_ = false;
  std::condition_variable end_;
  std::atomic<int64_t> waiting_since_{0};  // the service thread waits for a GIL; nanoseconds of Clock, 0: it does not
};

}  // namespace nwsgi::python
