// The Python host of a process, as its add-on (native/python_addon) sees it: starts CPython once, loads scripts, runs requests
// on threads of its own. Neither Python.h nor Node-API is visible here.
//
// Threads: everything may be called by any thread, and nothing waits for Python unless it says so. Whatever Observer is told
// comes from Python's threads, without the GIL held.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "exchange/exchange.h"

namespace nwsgi::python {

using exchange::Exchange;
using exchange::Ref;
using exchange::RefCounted;

struct HostOptions {
  std::string library;        // folder of the Python part (nwsgi_host/)
  std::string executable;     // sys.executable: of the virtual environment, or the system's interpreter of this version
  std::string home;           // sys.prefix of an installation that is no virtual environment; '' otherwise
  std::vector<std::string> path;  // python-path: each as site.addsitedir() takes it, in front of sys.path
  std::vector<std::string> warnings;
  std::string hash_seed;      // '' for random
  int optimize = 0;
  bool dont_write_bytecode = false;
  double switch_interval = 0;  // seconds; 0: Python's own
  bool restrict_stdin = false;
  bool restrict_stdout = false;
  bool restrict_signal = true;
  bool own_gil = false;        // sub-interpreters have a GIL of their own (Python 3.12 and newer)
  bool destroy_interpreter = true;
  std::string process_group;   // '' when embedded in a server's child
  std::string version;         // of nwsgi
  std::string server_software;
  unsigned threads = 15;       // most requests at a time for each interpreter; 1: wsgi.multithread is false
  unsigned processes = 1;      // mod_wsgi.maximum_processes
  std::chrono::milliseconds interrupt_time{2000};  // until a request that timed out is called stuck
};

// A script to be run.
struct ScriptOptions {
  std::string interpreter;    // application group; '' or, in a process group, any: the main interpreter
  std::string application_group;  // as applications see it
  std::string path;           // bytes of the file system
  std::string callable;       // name of the callable
  std::string environment;    // "NAME=value" joined by NUL: added to os.environ before the script runs
  bool callable_needed = true;  // false: a script that is only imported (WSGIImportScript)
};

// Something that went wrong, for the log and the page for developers. Texts are UTF-8.
struct Fault {
  std::string problem;    // key of Problem in src/errors.ts: scriptFailed, callableMissing, applicationFailed, …
  std::string summary;    // "ValueError: no such thing"; what logText() puts behind the title
  std::string traceback;  // as Python prints it; '' when it would tell nothing
  std::string file;       // of the innermost frame that is the application's, with its line; '' and 0 when unknown
  unsigned line = 0;
};

// A request whose application has failed before its response had ended. Whoever is told has to end it: with a page, as a
// failure, or (head_sent) by abort. Also one whose result could not be closed (closeFailed): its response had ended before.
struct RequestFault {
  Fault fault;
  Ref<Exchange> exchange;
  std::string script;
  std::string callable;
  bool head_sent = false;
  std::vector<std::pair<std::string, std::string>> variables;  // strings of the environ, UTF-8
};

class Application;

// What the gateway of one environment hears. Held by the applications that it has loaded.
class Observer : public RefCounted<Observer> {
 public:
  virtual ~Observer() = default;
  // `application` is null when the script did not load; `fault` says why then.
  virtual void on_loaded(uint32_t ticket, Ref<Application> application, Fault fault) noexcept = 0;
  virtual void on_request_fault(RequestFault fault) noexcept = 0;
  // A line that belongs to no request (any more).
  virtual void on_log(uint8_t level, std::string text) noexcept = 0;
  // A request of this observer's applications is over (also after on_request_fault()).
  virtual void on_request_over() noexcept = 0;
  // A thread has not come back although its request timed out `interrupt_time` ago; `stack` is where it is. Once for each.
  virtual void on_stuck(std::string where, std::string stack) noexcept = 0;
};

// A callable that was loaded. Its Python object is freed, when the last reference is gone, by a thread of the host.
class Application : public RefCounted<Application> {
 public:
  virtual ~Application() = default;
};

class Host {
 public:
  // Starts CPython; later calls return the same host, and the later options count for nothing (a process has one Python).
  // Null with a message when it cannot start. Waits until it has.
  static Host* start(const HostOptions& options, std::string* error);
  // Null when it was not started.
  static Host* running();

  // "3.11.2"
  virtual const char* version() const = 0;
  // Runs the script, on a Python thread; Observer::on_loaded() follows.
  virtual void load(uint32_t ticket, const ScriptOptions& script, Ref<Observer> observer) = 0;
  // Runs the application for the request, which is served by a thread from now on (Exchange::serve_by_thread()).
  virtual void submit(Application* application, Ref<Exchange> exchange) = 0;
  // How long a thread of the host has been waiting for a GIL that C code does not let go; 0: nobody waits.
  virtual std::chrono::milliseconds stalled() = 0;
  // The process ends: the functions given to mod_wsgi.subscribe_shutdown() and atexit run, then the interpreters end.
  // Waits at most so long; false when Python has not ended then. `reason` as in mod_wsgi's process_stopping event. Idempotent.
  virtual bool stop(const std::string& reason, std::chrono::milliseconds limit) = 0;

 protected:
  ~Host() = default;
};

}  // namespace nwsgi::python
