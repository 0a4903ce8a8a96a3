// Python exceptions as faults, and the exceptions that the host itself raises into applications.
#include <cstdarg>
#include <cstring>
#include <string>
#include <vector>

#include "python/run_request.h"

namespace nwsgi::python {
namespace {

// On an exception, or on its class: the key of its problem.
constexpr const char* kProblemAttribute = "_nwsgi_problem";

struct Code {
  std::string_view problem;
  const char* code;
};

// Those of src/errors.ts that a request can meet here.
constexpr Code kCodes[] = {
    {"scriptMissing", "NWSGI2101"},   {"scriptFailed", "NWSGI2102"},  {"callableMissing", "NWSGI2103"},
    {"applicationFailed", "NWSGI2201"}, {"applicationFailedLate", "NWSGI2202"}, {"notStarted", "NWSGI2203"},
    {"badResult", "NWSGI2204"},       {"badChunk", "NWSGI2205"},      {"badStatus", "NWSGI2206"},
    {"badHeaders", "NWSGI2207"},      {"startedTwice", "NWSGI2208"},  {"tooLate", "NWSGI2209"},
    {"shortBody", "NWSGI2210"},       {"longBody", "NWSGI2211"},      {"closeFailed", "NWSGI2212"},
    {"badRecord", "NWSGI2213"},       {"clientGone", "NWSGI2214"},    {"badFile", "NWSGI2215"},
    {"inputFailed", "NWSGI2301"},     {"pythonExit", "NWSGI2604"},    {"pythonForked", "NWSGI2605"},
    {"pythonTimeout", "NWSGI2606"},   {"pythonStuck", "NWSGI2607"},   {"pythonSignal", "NWSGI2608"},
    {"pythonStdin", "NWSGI2609"},     {"pythonStalled", "NWSGI2610"},
};

// The exception that is set, with its traceback; none is set afterwards.
Object take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  return Object::adopt(PyErr_GetRaisedException());
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return Object();
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr && value != nullptr) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return Object::adopt(value);
#endif
}

Object attribute(PyObject* object, const char* name) {
  PyObject* const value = PyObject_GetAttrString(object, name);
  if (value == nullptr) PyErr_Clear();
  return Object::adopt(value);
}

// UTF-8; lone surrogates and what cannot be told become '?' or escapes. Leaves no error set.
std::string utf8(PyObject* text) {
  if (text == nullptr || !PyUnicode_Check(text)) return {};
  const Object bytes = Object::adopt(PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace"));
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  return std::string(PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get())));
}

std::string text_of(PyObject* object) {
  const Object text = Object::adopt(PyObject_Str(object));
  if (!text) PyErr_Clear();
  return utf8(text.get());
}

// "ValueError: no such thing"
std::string plain_summary(PyObject* exception) {
  std::string summary = Py_TYPE(exception)->tp_name;
  if (const size_t dot = summary.rfind('.'); dot != std::string::npos) summary.erase(0, dot + 1);
  const std::string text = text_of(exception);
  return text.empty() ? summary : summary + ": " + text;
}

// By nwsgi_host.faults.describe(exception) -> (summary, traceback, file, line).
bool describe(const Interpreter* interpreter, PyObject* exception, Fault* fault) {
  if (interpreter->library == nullptr) return false;
  const Object faults = attribute(interpreter->library, "faults");
  if (!faults) return false;
  const Object described = Object::adopt(PyObject_CallMethod(faults.get(), "describe", "O", exception));
  if (!described || !PyTuple_Check(described.get()) || PyTuple_GET_SIZE(described.get()) != 4) {
    PyErr_Clear();
    return false;
  }
  fault->summary = utf8(PyTuple_GET_ITEM(described.get(), 0));
  fault->traceback = utf8(PyTuple_GET_ITEM(described.get(), 1));
  fault->file = utf8(PyTuple_GET_ITEM(described.get(), 2));
  const long line = PyLong_AsLong(PyTuple_GET_ITEM(described.get(), 3));
  if (PyErr_Occurred() != nullptr) PyErr_Clear();
  fault->line = line > 0 ? static_cast<unsigned>(line) : 0;
  return true;
}

// "NWSGI2206 the status …" without the code, which the log line has already.
std::string without_code(std::string text) {
  return text.compare(0, 5, "NWSGI") == 0 && text.size() > 10 ? text.substr(10) : text;
}

}  // namespace

const char* code_of(std::string_view problem) {
  for (const Code& each : kCodes) {
    if (each.problem == problem) return each.code;
  }
  return "NWSGI2201";
}

Fault take_fault(Interpreter* interpreter, const char* problem) {
  Fault fault;
  fault.problem = problem;
  const Object exception = take_exception();
  if (!exception) return fault;
  const Object own = attribute(exception.get(), kProblemAttribute);
  const bool is_own = own && PyUnicode_Check(own.get());
  if (is_own) {
    fault.problem = utf8(own.get());
  } else if (PyErr_GivenExceptionMatches(exception.get(), PyExc_SystemExit) != 0) {
    fault.problem = "pythonExit";
  }
  if (!describe(interpreter, exception.get(), &fault)) fault.summary = plain_summary(exception.get());
  if (is_own) {
    if (std::string text = text_of(exception.get()); text.compare(0, 5, "NWSGI") == 0) fault.summary = without_code(std::move(text));
  }
  PyErr_Clear();
  return fault;
}

void raise_problem(PyObject* type, const char* problem, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const Object message = Object::adopt(PyUnicode_FromFormatV(format, arguments));
  va_end(arguments);
  if (!message) return;
  const Object text = Object::adopt(PyUnicode_FromFormat("%s %U", code_of(problem), message.get()));
  if (!text) return;
  const Object exception = Object::adopt(PyObject_CallOneArg(type, text.get()));
  const Object key = Object::adopt(PyUnicode_FromString(problem));
  if (!exception || !key || PyObject_SetAttrString(exception.get(), kProblemAttribute, key.get()) < 0) return;
  PyErr_SetObject(type, exception.get());
}

std::string show(PyObject* value) {
  if (value == Py_None) return "None";
  PyTypeObject* const type = Py_TYPE(value);
  if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBool_Type) {
    const bool is_long = type == &PyUnicode_Type && PyUnicode_GET_LENGTH(value) > 80;
    const Object part = is_long ? Object::adopt(PyUnicode_Substring(value, 0, 80)) : Object::share(value);
    const Object shown = part ? Object::adopt(PyObject_Repr(part.get())) : Object();
    if (!shown) PyErr_Clear();
    const std::string text = utf8(shown.get());
    return is_long ? text + "…" : text;
  }
  if (PyType_Check(value)) return std::string("the class ") + reinterpret_cast<PyTypeObject*>(value)->tp_name;
  std::string name = type->tp_name;
  if (const size_t dot = name.rfind('.'); dot != std::string::npos) name.erase(0, dot + 1);
  if (type == &PyBytes_Type) return name;
  if (type == &PyTuple_Type) return "a tuple of " + std::to_string(PyTuple_GET_SIZE(value));
  return (std::strchr("aeiouAEIOU", name[0]) != nullptr ? "an " : "a ") + name;
}

void log_for(Request* request, uint8_t level, std::string text) {
  if (request == nullptr) return log_for_site(level, std::move(text));
  const Ref<Exchange> exchange = request->exchange;
  std::vector<exchange::OutputItem> before;
  if (exchange && exchange->log(level, text, &before)) return;
  const Ref<Observer>& observer = request->application->observer;
  const auto log = [&observer](uint8_t severity, std::string line) {
    if (observer) observer->on_log(severity, std::move(line));
    else log_for_site(severity, std::move(line));
  };
  for (exchange::OutputItem& line : before) log(line.level, std::move(line.text));
  log(level, std::move(text));
}

}  // namespace nwsgi::python
