#include "python/application.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "python/environ.h"
#include "python/pool.h"
#include "python/run_request.h"

namespace nwsgi::python {

LoadedApplication::~LoadedApplication() {
  if (callable || constants) pool->free_later(callable, constants);
}

namespace {

// What a script that is not there needs no Python for; the gateway has looked, too, but some time ago.
bool readable(const std::string& path, Fault* fault) {
  if (access(path.c_str(), R_OK) == 0) return true;
  *fault = Fault{};
  fault->problem = "scriptMissing";
  fault->summary = path + (errno == ENOENT ? " is not there" : std::string(" cannot be read (") + strerror(errno) + ")");
  return false;
}

// nwsgi_host.loader.load(): the callable, or None for a script that is only imported.
Object run_script(Interpreter* interpreter, const ScriptOptions& script) {
  Object loader = Object::adopt(PyObject_GetAttrString(interpreter->library, "loader"));
  if (!loader) return {};
  const auto size = [](const std::string& text) { return static_cast<Py_ssize_t>(text.size()); };
  return Object::adopt(PyObject_CallMethod(loader.get(), "load", "y#y#y#Oy#", script.path.data(), size(script.path), script.environment.data(),
                                           size(script.environment), script.callable.data(), size(script.callable),
                                           script.callable_needed ? Py_True : Py_False, script.application_group.data(),
                                           size(script.application_group)));
}

}  // namespace

LoadedApplication* load_application(Interpreter* interpreter, Pool* pool, const ScriptOptions& script, Ref<Observer> observer,
                                    Fault* fault) {
  if (!readable(script.path, fault)) return nullptr;
  Object callable = run_script(interpreter, script);
  stay_in_server();
  if (!callable) {
    *fault = take_fault(interpreter, "scriptFailed");
    if (fault->file.empty()) fault->file = script.path;
    return nullptr;
  }
  Ref<LoadedApplication> application = Ref<LoadedApplication>::adopt(new LoadedApplication);
  application->interpreter = interpreter;
  application->pool = pool;
  application->observer = std::move(observer);
  application->script = script.path;
  application->callable_name = script.callable;
  application->application_group = script.application_group;
  application->constants = make_environ_constants(application.get());
  if (!application->constants) {
    *fault = take_fault(interpreter, "scriptFailed");
    return nullptr;
  }
  if (callable.get() != Py_None) application->callable = callable.leak();
  return application.leak();
}

}  // namespace nwsgi::python
