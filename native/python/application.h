// A script that was run, and its callable.
#pragma once

#include <string>

#include "python/host.h"
#include "python/interpreter.h"

namespace nwsgi::python {

class Pool;

// Lifetime: references of routes, queued and running requests. Python objects in it belong to its interpreter; the last
// reference may be dropped by any thread, without the GIL: the destructor hands them to the pool, which frees them (pool.h).
class LoadedApplication final : public Application {
 public:
  Interpreter* interpreter = nullptr;
  Pool* pool = nullptr;
  Ref<Observer> observer;
  std::string script;
  std::string callable_name;
  std::string application_group;
  PyObject* callable = nullptr;   // null for a script that was only imported
  PyObject* constants = nullptr;  // dict: the part of environ that is the same for every request

  ~LoadedApplication() override;
};

// Runs the script in `interpreter` as a module of its own and finds the callable. The GIL is held. Null, with *fault filled,
// when it does not load; no Python error is left set. (application.cc, by nwsgi_host.loader)
LoadedApplication* load_application(Interpreter* interpreter, Pool* pool, const ScriptOptions& script, Ref<Observer> observer,
                                    Fault* fault);

}  // namespace nwsgi::python
