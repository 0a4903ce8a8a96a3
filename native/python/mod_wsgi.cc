#include "python/mod_wsgi.h"

#include <sys/resource.h>

#include "python/fork_guard.h"
#include "python/log_stream.h"
#include "python/pool.h"
#include "python/run_request.h"

namespace nwsgi::python {

std::atomic<int> detail::listeners{0};

namespace {

// The Python error that is set is put aside, and set again.
class ErrorAside {
 public:
  ErrorAside() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~ErrorAside() { PyErr_Restore(type_, value_, traceback_); }
  ErrorAside(const ErrorAside&) = delete;
  ErrorAside& operator=(const ErrorAside&) = delete;

 private:
  PyObject* type_ = nullptr;
  PyObject* value_ = nullptr;
  PyObject* traceback_ = nullptr;
};

PyObject* data_of(Request* request) {
  if (!request->data) request->data = PyDict_New();
  return request->data;
}

// ---- functions of _nwsgi ----

PyObject* py_log(PyObject*, PyObject* arguments) {
  int level = 0;
  const char* text = nullptr;
  Py_ssize_t size = 0;
  if (!PyArg_ParseTuple(arguments, "is#", &level, &text, &size)) return nullptr;
  log_for(in_forked_child() ? nullptr : current_request(), static_cast<uint8_t>(level), std::string(text, static_cast<size_t>(size)));
  Py_RETURN_NONE;
}

// The dict of the request that the calling thread runs; None outside of one.
PyObject* py_request_data(PyObject*, PyObject*) {
  Request* request = current_request();
  if (!request || request->over()) Py_RETURN_NONE;
  PyObject* data = data_of(request);
  Py_XINCREF(data);
  return data;
}

// {request's id: its dict}
PyObject* py_active_requests(PyObject*, PyObject*) {
  Object all = Object::adopt(PyDict_New());
  const Interpreter* interpreter = running_interpreter();
  if (!all || !interpreter || !interpreter->pool) return all.leak();
  interpreter->pool->each_active([&all](Request* request, unsigned) {
    if (!all || request->over()) return;
    PyObject* data = data_of(request);
    if (!data || PyDict_SetItemString(all.get(), request->id.c_str(), data) < 0) all.reset();
  });
  return all.leak();
}

PyObject* py_listen(PyObject*, PyObject*) {
  detail::listeners.fetch_add(1, std::memory_order_relaxed);
  Py_RETURN_NONE;
}

// (user, system): seconds of the processor that the calling thread has used.
PyObject* py_thread_times(PyObject*, PyObject*) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const struct timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return Py_BuildValue("dd", seconds(usage.ru_utime), seconds(usage.ru_stime));
}

PyMethodDef functions[] = {
    {"log", py_log, METH_VARARGS, "log(level, text): writes to the error log, for the request of the calling thread."},
    {"log_level", py_log_level, METH_O, "log_level(level): of what the calling thread writes to sys.stdout and the like; 0: the stream's. Returns the former one."},
    {"request_data", py_request_data, METH_NOARGS, nullptr},
    {"active_requests", py_active_requests, METH_NOARGS, nullptr},
    {"listen", py_listen, METH_NOARGS, "Events are wanted from now on."},
    {"thread_times", py_thread_times, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// ---- the Python part ----

// Paths, and names that may be made of paths.
Object text_of(const std::string& text) {
  return Object::adopt(PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

Object list_of(const std::vector<std::string>& texts) {
  Object list = Object::adopt(PyList_New(0));
  for (const std::string& text : texts) {
    Object item = text_of(text);
    if (!list || !item || PyList_Append(list.get(), item.get()) < 0) return {};
  }
  return list;
}

Object options_of(const Interpreter* interpreter) {
  const HostOptions& options = *interpreter->options;
  Object path = list_of(options.path);
  Object name = text_of(interpreter->name);
  Object group = text_of(options.process_group);
  if (!path || !name || !group) return {};
  const auto flag = [](bool value) { return value ? Py_True : Py_False; };
  return Object::adopt(Py_BuildValue("{s:O,s:O,s:O,s:O,s:O,s:O,s:O,s:s,s:I,s:I}", "path", path.get(), "interpreter", name.get(),
                                     "process_group", group.get(), "is_main", flag(interpreter->is_main), "restrict_stdin", flag(options.restrict_stdin),
                                     "restrict_stdout", flag(options.restrict_stdout), "restrict_signal", flag(options.restrict_signal),
                                     "server_software", options.server_software.c_str(), "processes", options.processes, "threads",
                                     options.threads));
}

Object import_library(const std::string& folder) {
  PyObject* path = PySys_GetObject("path");
  Object entry = text_of(folder);
  if (!path || !entry || PyList_Insert(path, 0, entry.get()) < 0) return {};
  Object library = Object::adopt(PyImport_ImportModule("nwsgi_host"));
  const ErrorAside aside;
  const Py_ssize_t at = PySequence_Index(path, entry.get());
  if (at >= 0) PySequence_DelItem(path, at);
  PyErr_Clear();
  return library;
}

// nwsgi_host.events.NAME(…); a failure is logged. A new reference, or null.
PyObject* tell(const Interpreter* interpreter, const char* event, PyObject* arguments) {
  Object owned = Object::adopt(arguments);
  Object events = Object::adopt(owned ? PyObject_GetAttrString(interpreter->library, "events") : nullptr);
  Object function = Object::adopt(events ? PyObject_GetAttrString(events.get(), event) : nullptr);
  PyObject* result = function ? PyObject_CallObject(function.get(), owned.get()) : nullptr;
  if (!result) PyErr_WriteUnraisable(function.get());
  return result;
}

PyObject* key_of(Request* request) { return PyLong_FromVoidPtr(request); }

}  // namespace

bool add_functions(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

bool prepare_library(Interpreter* interpreter) {
  Object library = import_library(interpreter->options->library);
  Object options = library ? options_of(interpreter) : Object();
  if (!options) return false;
  Object prepared = Object::adopt(PyObject_CallMethod(library.get(), "prepare", "O", options.get()));
  if (!prepared) return false;
  interpreter->library = library.leak();
  return true;
}

void end_library(Interpreter* interpreter, const char* reason) {
  if (!interpreter->library) return;
  Object ended = Object::adopt(PyObject_CallMethod(interpreter->library, "finish", "s", reason));
  if (!ended) PyErr_WriteUnraisable(interpreter->library);
}

void request_started(Request* request, PyObject* environ, PyObject** callable) {
  const ErrorAside aside;
  PyObject* result = tell(request->interpreter, "request_started",
                          Py_BuildValue("NsOOOsI", key_of(request), request->id.c_str(), data_of(request), environ, *callable,
                                        request->application->callable_name.c_str(), current_thread_number()));
  if (result == *callable) {
    Py_DECREF(result);
  } else if (result) {
    *callable = result;
  }
}

void response_started(Request* request, PyObject* status, PyObject* headers, PyObject* exc_info) {
  const ErrorAside aside;
  Py_XDECREF(tell(request->interpreter, "response_started",
                  Py_BuildValue("NOOO", key_of(request), status, headers, exc_info ? exc_info : Py_None)));
}

void request_finished(Request* request) {
  const ErrorAside aside;
  Py_XDECREF(tell(request->interpreter, "request_finished",
                  Py_BuildValue("NiIKIL", key_of(request), request->status, request->input_reads,
                                static_cast<unsigned long long>(request->input_length), request->output_writes,
                                static_cast<long long>(request->sent))));
}

void request_failed(Request* request, PyObject* exception) {
  const ErrorAside aside;
  Py_XDECREF(tell(request->interpreter, "request_failed", Py_BuildValue("NO", key_of(request), exception)));
}

}  // namespace nwsgi::python
