// Runs the application for one request and delivers what it returns (W-01…W-09, W-85…W-98, W-117…W-123).
#include "python/run_request.h"

#include <unistd.h>

#include <cstring>

#include "python/fork_guard.h"
#include "python/log_stream.h"
#include "python/mod_wsgi.h"

namespace nwsgi::python {
namespace {

// A list or tuple up to this size is sent with one call.
constexpr Py_ssize_t kOneCall = 64 * 1024;

// ---- faults ----

// "script /srv/x.py, callable application, GET /x"
std::string where(const Request* request) {
  const LoadedApplication* const application = request->application.get();
  return "script " + application->script + ", callable " + application->callable_name + ", " + request->method + " " + request->uri;
}

// A process that the application forked and that came back here must not run on as a second server (its locks are dead, its
// connections are its parent's). sys.exit() in it means what it says.
[[noreturn]] void leave_forked_child() {
  int status = 70;
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type != nullptr && PyErr_GivenExceptionMatches(type, PyExc_SystemExit) != 0) {
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject* const code = value != nullptr ? PyObject_GetAttrString(value, "code") : nullptr;
    status = code == nullptr || code == Py_None ? 0 : PyLong_Check(code) ? static_cast<int>(PyLong_AsLong(code)) : 1;
    _exit(status);
  }
  static constexpr char kText[] =
      "NWSGI2605 A process that the application forked came back into the server and was ended. A child of os.fork() has to end "
      "with os._exit(), or run another program.\n";
  [[maybe_unused]] const ssize_t written = ::write(2, kText, sizeof kText - 1);
  _exit(status);
}

// For log lines and the page that developers see.
std::vector<std::pair<std::string, std::string>> strings_of(PyObject* environ) {
  std::vector<std::pair<std::string, std::string>> strings;
  if (environ == nullptr) return strings;
  Py_ssize_t at = 0;
  PyObject* key = nullptr;
  PyObject* value = nullptr;
  while (PyDict_Next(environ, &at, &key, &value)) {
    if (!PyUnicode_Check(key) || !PyUnicode_Check(value)) continue;
    Py_ssize_t key_size = 0;
    Py_ssize_t value_size = 0;
    const char* const key_text = PyUnicode_AsUTF8AndSize(key, &key_size);
    const char* const value_text = key_text != nullptr ? PyUnicode_AsUTF8AndSize(value, &value_size) : nullptr;
    if (value_text == nullptr) {
      PyErr_Clear();  // a lone surrogate
      continue;
    }
    strings.emplace_back(std::string(key_text, static_cast<size_t>(key_size)), std::string(value_text, static_cast<size_t>(value_size)));
  }
  return strings;
}

void hand_over(Request* request, Fault fault, PyObject* environ) {
  RequestFault failed;
  failed.fault = std::move(fault);
  failed.exchange = request->exchange;
  failed.script = request->application->script;
  failed.callable = request->application->callable_name;
  failed.head_sent = request->head_sent;
  failed.variables = strings_of(environ);
  const Ref<Observer> observer = request->application->observer;
  const WithoutGil without;
  observer->on_request_fault(std::move(failed));
}

// The Python error that is set ends the request. Nobody waits for the answer of an aborted one; what its application did after that
// is of interest only when it is debugged.
void fail(Request* request, PyObject* environ) {
  stay_in_server();
  flush_logs(request);
  if (wants_events(request->interpreter)) {
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr && value != nullptr) PyException_SetTraceback(value, traceback);
    if (value != nullptr) request_failed(request, value);
    PyErr_Restore(type, value, traceback);
  }
  Fault fault = take_fault(request->interpreter, request->head_sent ? "applicationFailedLate" : "applicationFailed");
  Exchange* const exchange = request->exchange.get();
  request->ended = true;
  if (exchange->abort_reason() == exchange::AbortReason::kNone) return hand_over(request, std::move(fault), environ);
  const char* const problem = fault.problem == "pythonTimeout" ? "pythonTimeout" : "clientGone";
  log_for(request, exchange::kLogInfo,
          std::string(code_of(problem)) + " " + abort_text(exchange) + "; the application ended with " + fault.summary + " (" +
              where(request) + ")");
}

// ---- what the application returned ----

bool is_block(PyObject* block) {
  if (PyBytes_Check(block)) return true;
  raise_problem(PyExc_TypeError, "badChunk", "a block of the response must be bytes, not %s", show(block).c_str());
  return false;
}

Py_ssize_t count_of(PyObject* sequence) { return PyTuple_Check(sequence) ? PyTuple_GET_SIZE(sequence) : PyList_GET_SIZE(sequence); }

PyObject* item_of(PyObject* sequence, Py_ssize_t i) {
  return PyTuple_Check(sequence) ? PyTuple_GET_ITEM(sequence, i) : PyList_GET_ITEM(sequence, i);
}

// The blocks' bytes on end; null with an error set.
PyObject* joined(PyObject* sequence, Py_ssize_t total) {
  PyObject* const all = PyBytes_FromStringAndSize(nullptr, total);
  if (all == nullptr) return nullptr;
  char* at = PyBytes_AS_STRING(all);
  for (Py_ssize_t i = 0; i < count_of(sequence); ++i) {
    PyObject* const block = item_of(sequence, i);
    std::memcpy(at, PyBytes_AS_STRING(block), static_cast<size_t>(PyBytes_GET_SIZE(block)));
    at += PyBytes_GET_SIZE(block);
  }
  return all;
}

// A list may be changed by another thread while a block is sent.
Sent send_each(Request* request, PyObject* sequence) {
  for (Py_ssize_t i = 0; i < count_of(sequence); ++i) {
    const Object block = Object::share(item_of(sequence, i));
    if (!is_block(block.get())) return Sent::kError;
    const Sent sent = send_block(request, PyBytes_AS_STRING(block.get()), PyBytes_GET_SIZE(block.get()));
    if (sent != Sent::kMore) return sent;
  }
  return Sent::kEnough;
}

// A list or tuple is complete: it is checked as a whole before anything is sent, its length is known, and if it is small one
// call does it all.
Sent deliver_sequence(Request* request, PyObject* sequence) {
  const Py_ssize_t count = count_of(sequence);
  Py_ssize_t total = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* const block = item_of(sequence, i);
    if (!is_block(block)) return Sent::kError;
    total += PyBytes_GET_SIZE(block);
  }
  const bool fresh = !request->written && !request->head_sent && !request->head.empty();
  // An empty answer to HEAD says nothing about the length of the answer to GET.
  const bool fits = request->content_length < 0 || request->content_length == total || is_bodiless(request);
  if (fresh && fits && count == 1) {
    const Object block = Object::share(item_of(sequence, 0));
    return send_whole(request, PyBytes_AS_STRING(block.get()), total);
  }
  if (fresh && fits && total <= kOneCall) {
    const Object all = Object::adopt(joined(sequence, total));
    return all ? send_whole(request, PyBytes_AS_STRING(all.get()), total) : Sent::kError;
  }
  if (fresh && request->content_length < 0) request->content_length = total;
  return send_each(request, sequence);
}

// Whether CPython itself says that iter() cannot be: a TypeError that no code of the application's has raised.
bool is_refusal_to_iterate() {
  if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) return false;
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  const bool is_own = traceback == nullptr;
  PyErr_Restore(type, value, traceback);
  return is_own;
}

// Null with an error set.
PyObject* iterator_of(PyObject* result) {
  if (PyUnicode_Check(result) || PyBytes_Check(result) || PyByteArray_Check(result) || PyMemoryView_Check(result)) {
    raise_problem(PyExc_TypeError, "badResult", "the application returned %s; return a list: [body]", show(result).c_str());
    return nullptr;
  }
  PyObject* const iterator = PyObject_GetIter(result);
  if (iterator == nullptr && is_refusal_to_iterate()) {
    PyErr_Clear();
    raise_problem(PyExc_TypeError, "badResult", "the application returned %s, which is not an iterable of blocks", show(result).c_str());
  }
  return iterator;
}

Sent deliver_each(Request* request, PyObject* result) {
  const Object iterator = Object::adopt(iterator_of(result));
  if (!iterator) return Sent::kError;
  for (;;) {
    const Object block = Object::adopt(PyIter_Next(iterator.get()));
    stay_in_server();
    if (!block) return PyErr_Occurred() != nullptr ? Sent::kError : Sent::kEnough;
    if (!is_block(block.get())) return Sent::kError;
    const Sent sent = send_block(request, PyBytes_AS_STRING(block.get()), PyBytes_GET_SIZE(block.get()));
    if (sent != Sent::kMore) return sent;
  }
}

// Also of a class of its own, as long as iterating it gives the items.
bool is_sequence(PyObject* result) {
  return (PyList_Check(result) && Py_TYPE(result)->tp_iter == PyList_Type.tp_iter) ||
         (PyTuple_Check(result) && Py_TYPE(result)->tp_iter == PyTuple_Type.tp_iter);
}

Sent deliver(Request* request, PyObject* result) {
  if (is_sequence(result)) return deliver_sequence(request, result);
  if (!request->written) {
    bool handled = false;
    const Sent sent = send_file(request, result, &handled);
    if (handled) return sent;
  }
  return deliver_each(request, result);
}

// ---- close() ----

// W-91, W-92: once, after the last byte was handed over. W-93: an error of it is logged.
void close_result(Request* request, PyObject* result, PyObject* environ) {
  if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) return;
#if PY_VERSION_HEX >= 0x030D0000
  PyObject* found = nullptr;
  PyObject_GetOptionalAttr(result, request->interpreter->name_of(Name::kClose), &found);
#else
  PyObject* found = nullptr;
  _PyObject_LookupAttr(result, request->interpreter->name_of(Name::kClose), &found);
#endif
  const Object close = Object::adopt(found);
  const Object closed = close ? Object::adopt(PyObject_CallNoArgs(close.get())) : Object();
  stay_in_server();
  if (closed || (!close && PyErr_Occurred() == nullptr)) return;
  flush_logs(request);
  Fault fault = take_fault(request->interpreter, "closeFailed");
  if (fault.problem == "pythonTimeout") {
    log_for(request, exchange::kLogInfo, std::string(code_of("pythonTimeout")) + " close() was interrupted (" + where(request) + ")");
    return;
  }
  fault.problem = "closeFailed";
  hand_over(request, std::move(fault), environ);
}

// ---- the call ----

// Null with a Python error set.
PyObject* call(Request* request, PyObject* environ) {
  const Object start_response = Object::adopt(make_start_response(request));
  if (!start_response) return nullptr;
  PyObject* callable = request->application->callable;
  Object replaced;
  if (wants_events(request->interpreter)) {
    PyObject* const before = callable;
    request_started(request, environ, &callable);
    if (callable != before) replaced = Object::adopt(callable);
  }
  PyObject* arguments[3] = {nullptr, environ, start_response.get()};
  return PyObject_Vectorcall(callable, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

// Null with the request failed.
PyObject* environ_of(Request* request) {
  PyObject* const environ = build_environ(request);
  if (environ != nullptr) return environ;
  if (PyErr_Occurred() == nullptr) {
    raise_problem(PyExc_ValueError, "badRecord", "a length points past the end of the record (%zd bytes)",
                  static_cast<Py_ssize_t>(request->exchange->record().size()));
  }
  fail(request, nullptr);
  return nullptr;
}

void run(Request* request) {
  if (request->application->callable == nullptr) {  // a script that was only imported
    raise_problem(PyExc_LookupError, "callableMissing", "the script has no callable \"%s\"",
                  request->application->callable_name.c_str());
    return fail(request, nullptr);
  }
  const Object environ = Object::adopt(environ_of(request));
  if (!environ) return;
  const Object result = Object::adopt(call(request, environ.get()));
  stay_in_server();
  if (!result) return fail(request, environ.get());
  Sent sent = deliver(request, result.get());
  if (sent == Sent::kEnough) sent = complete(request);
  if (sent == Sent::kError) fail(request, environ.get());
  request->ended = true;
  close_result(request, result.get(), environ.get());
}

}  // namespace

void stay_in_server() {
  if (in_forked_child()) leave_forked_child();
}

void run_request(Request* request) {
  run(request);
  flush_logs(request);
  if (wants_events(request->interpreter)) request_finished(request);
  PyErr_Clear();
  request->finish();
}

}  // namespace nwsgi::python
