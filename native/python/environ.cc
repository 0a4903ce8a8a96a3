// The environ of a request (W-04, W-10…W-46).
#include "python/environ.h"

#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <vector>

#include "exchange/record.h"
#include "python/pool.h"
#include "python/run_request.h"

namespace nwsgi::python {
namespace {

using Note = EnvironNames::Note;
using Role = EnvironNames::Role;
using Meaning = EnvironNames::Meaning;
using Own = EnvironNames::Own;

constexpr size_t kNotes = static_cast<size_t>(Note::kLocalPort) + 1;

PyObject* latin1(std::string_view text) {
  return PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
}

// ---- the environ of one request ----

class Builder {
 public:
  Builder(Request* request, const EnvironNames* names, PyObject* environ)
      : request_(request), names_(names), environ_(environ) {}

  // False with a Python error set, or with none for a malformed record.
  bool read_record(EnvironNames* names);
  bool add_own();

 private:
  struct Guarded {
    Object key;
    Object value;
  };

  bool add(Meaning* meaning, std::string_view value);
  void note(Note note, std::string_view value, PyObject* object);
  void instruct(Note note, std::string_view value);
  bool add_noted();
  bool add_times();
  bool set(Own key, PyObject* value) { return PyDict_SetItem(environ_, names_->own(key), value) == 0; }
  bool set_new(Own key, PyObject* value) {
    const Object owned = Object::adopt(value);
    return owned && set(key, owned.get());
  }
  // What was noted, or ''. Borrowed: the environ has it.
  PyObject* noted(Note note) const {
    PyObject* const object = noted_[static_cast<size_t>(note)];
    return object != nullptr ? object : names_->own(Own::kEmpty);
  }

  Request* const request_;
  const EnvironNames* const names_;
  PyObject* const environ_;
  PyObject* noted_[kNotes] = {};
  std::vector<Guarded> guarded_;
  bool multiprocess_ = false;
  bool reloading_ = false;
  bool authorization_ = false;
  std::string_view local_port_;
};

bool Builder::read_record(EnvironNames* names) {
  exchange::RecordReader reader(request_->exchange->record());
  std::string_view name;
  std::string_view value;
  while (reader.next(&name, &value)) {
    Meaning* const meaning = names->find(name);
    if (meaning == nullptr || !add(meaning, value)) return false;
  }
  if (!reader.at_end()) return false;
  if (authorization_) {
    for (const Guarded& each : guarded_) {
      if (PyDict_SetItem(environ_, each.key.get(), each.value.get()) < 0) return false;
    }
  }
  return true;
}

bool Builder::add(Meaning* meaning, std::string_view value) {
  if (meaning->role == Role::kInstruction) {
    instruct(meaning->note, value);
    return true;
  }
  if (meaning->role == Role::kIgnored) return true;
  PyObject* const text = EnvironNames::text(meaning, value);
  if (text == nullptr) return false;
  bool done = true;
  if (meaning->role == Role::kGuarded) {
    guarded_.push_back({Object::share(meaning->key), Object::share(text)});
  } else {
    done = PyDict_SetItem(environ_, meaning->key, text) == 0;
    if (meaning->note != Note::kNone) note(meaning->note, value, text);
  }
  Py_DECREF(text);
  return done;
}

void Builder::note(Note note, std::string_view value, PyObject* object) {
  switch (note) {
    case Note::kMethod:
      request_->method = value;
      request_->is_head = value == "HEAD";
      return;
    case Note::kUri:
      request_->uri = value;
      return;
    case Note::kProtocol:
      request_->is_http10 = value == "HTTP/1.0" || value == "HTTP/0.9";
      return;
    case Note::kRequestId:
      request_->id = value;
      break;
    default:
      break;
  }
  noted_[static_cast<size_t>(note)] = object;
}

void Builder::instruct(Note note, std::string_view value) {
  switch (note) {
    case Note::kErrorPage:
      request_->development_page = value.size() == 11 && strncasecmp(value.data(), "development", 11) == 0;
      break;
    case Note::kReloading:
      reloading_ = value == "1";
      break;
    case Note::kMultiprocess:
      multiprocess_ = value == "1";
      break;
    case Note::kAuthorization:
      authorization_ = value == "1";
      break;
    case Note::kLocalPort:
      local_port_ = value;
      break;
    default:
      break;
  }
}

bool Builder::add_noted() {
  return set(Own::kScriptName, noted(Note::kScriptName)) && set(Own::kPathInfo, noted(Note::kPathInfo)) &&
         set(Own::kRequestId, noted(Note::kRequestId));
}

// Microseconds since the epoch, in digits.
bool Builder::add_times() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  request_->began = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  char digits[24];
  const int64_t microseconds = int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000;
  const char* const end = std::to_chars(digits, digits + sizeof digits, microseconds).ptr;
  const Object text = Object::adopt(latin1(std::string_view(digits, static_cast<size_t>(end - digits))));
  if (!text || !set(Own::kApplicationStart, text.get())) return false;
  return noted_[static_cast<size_t>(Note::kRequestStart)] != nullptr || set(Own::kRequestStart, text.get());
}

bool Builder::add_own() {
  return set_new(Own::kInput, make_input(request_)) && set_new(Own::kErrors, make_errors(request_)) &&
         set_new(Own::kEarlyHints, make_early_hints(request_)) && set(Own::kMultiprocess, multiprocess_ ? Py_True : Py_False) &&
         set(Own::kScriptReloading, names_->own(reloading_ ? Own::kOne : Own::kZero)) &&
         set_new(Own::kListenerPort, latin1(local_port_)) && set_new(Own::kThreadId, PyLong_FromUnsignedLong(current_thread_number())) &&
         add_noted() && add_times();
}

}  // namespace

PyObject* build_environ(Request* request) {
  EnvironNames*& names = request->interpreter->environ_names;
  if (names == nullptr) names = EnvironNames::create();
  if (names == nullptr) return nullptr;
  Object environ = Object::adopt(PyDict_Copy(request->application->constants));
  if (!environ) return nullptr;
  Builder builder(request, names, environ.get());
  return builder.read_record(names) && builder.add_own() ? environ.leak() : nullptr;
}

// ---- what is the same for every request ----

namespace {

// "Apache/2.4.57 (Debian)": (2, 4, 57). Null, without an error, for another server.
PyObject* apache_version(std::string_view software) {
  int numbers[3] = {0, 0, 0};
  if (software.substr(0, 7) != "Apache/") return nullptr;
  const char* at = software.data() + 7;
  const char* const end = software.data() + software.size();
  for (int& number : numbers) {
    const auto [rest, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return nullptr;
    at = rest < end && *rest == '.' ? rest + 1 : end;
  }
  return Py_BuildValue("(iii)", numbers[0], numbers[1], numbers[2]);
}

bool put(PyObject* dict, const char* key, PyObject* new_value) {
  const Object value = Object::adopt(new_value);
  const Object name = Object::adopt(PyUnicode_InternFromString(key));
  return value && name && PyDict_SetItem(dict, name.get(), value.get()) == 0;
}

bool put_text(PyObject* dict, const char* key, std::string_view text) { return put(dict, key, latin1(text)); }

bool put_constants(PyObject* dict, const LoadedApplication* application) {
  const HostOptions* const options = application->interpreter->options;
  PyObject* const file_wrapper = reinterpret_cast<PyObject*>(application->interpreter->type(Type::kFileWrapper));
  Py_XINCREF(file_wrapper);
  if (!put(dict, "wsgi.version", Py_BuildValue("(ii)", 1, 0)) ||
      !put(dict, "wsgi.multithread", PyBool_FromLong(options->threads > 1 ? 1 : 0)) ||
      !put(dict, "wsgi.run_once", PyBool_FromLong(0)) || !put(dict, "wsgi.input_terminated", PyBool_FromLong(1)) ||
      !put(dict, "wsgi.file_wrapper", file_wrapper) || !put_text(dict, "nwsgi.version", options->version) ||
      !put(dict, "mod_wsgi.version", Py_BuildValue("(iii)", 5, 0, 0)) ||
      !put_text(dict, "mod_wsgi.process_group", options->process_group) ||
      !put_text(dict, "mod_wsgi.application_group", application->application_group) ||
      !put_text(dict, "mod_wsgi.callable_object", application->callable_name) ||
      !put_text(dict, "mod_wsgi.request_handler", "wsgi-script") || !put_text(dict, "mod_wsgi.handler_script", "") ||
      !put_text(dict, "mod_wsgi.listener_host", "") || !put_text(dict, "mod_wsgi.enable_sendfile", "0") ||
      !put_text(dict, "mod_wsgi.input_chunked", "0") || !put(dict, "mod_wsgi.server_pid", PyLong_FromLong(getpid()))) {
    return false;
  }
  PyObject* const version = apache_version(options->server_software);
  return version == nullptr ? PyErr_Occurred() == nullptr : put(dict, "apache.version", version);
}

// What build_environ() sets in every environ, and what PEP 3333 wants there even if the record should not have it.
bool put_placeholders(PyObject* dict, const EnvironNames* names) {
  PyObject* const empty = names->own(Own::kEmpty);
  for (size_t i = 0; i < static_cast<size_t>(Own::kOne); ++i) {
    if (PyDict_SetItem(dict, names->own(static_cast<Own>(i)), empty) < 0) return false;
  }
  return put_text(dict, "SCRIPT_NAME", "") && put_text(dict, "PATH_INFO", "") && put_text(dict, "QUERY_STRING", "");
}

// A dict grows when it is full, and a copy has the capacity of its original, as long as most entries of that are in use. So it
// is made to grow by keys that are taken out again. (Were that to change, copies would be slower, not wrong.)
bool make_room(PyObject* dict) {
  constexpr Py_ssize_t kGrowsBeyond = 42;  // two thirds of 64: the next one makes it 128
  const Py_ssize_t too_many = kGrowsBeyond + 1 - PyDict_GET_SIZE(dict);
  for (const bool in : {true, false}) {
    for (Py_ssize_t i = 0; i < too_many; ++i) {
      const Object key = Object::adopt(PyUnicode_FromFormat(" %zd", i));
      if (!key || (in ? PyDict_SetItem(dict, key.get(), Py_None) : PyDict_DelItem(dict, key.get())) < 0) return false;
    }
  }
  return true;
}

}  // namespace

PyObject* make_environ_constants(const LoadedApplication* application) {
  EnvironNames*& names = application->interpreter->environ_names;
  if (names == nullptr) names = EnvironNames::create();
  if (names == nullptr) return nullptr;
  Object dict = Object::adopt(PyDict_New());
  if (!dict || !put_constants(dict.get(), application) || !put_placeholders(dict.get(), names) || !make_room(dict.get())) {
    return nullptr;
  }
  return dict.leak();
}

}  // namespace nwsgi::python
