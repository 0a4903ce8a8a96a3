// Names in records, and the keys of environ that they stand for.
#include <cstring>
#include <iterator>
#include <string>

#include "python/environ.h"

namespace nwsgi::python {
namespace {

using Note = EnvironNames::Note;
using Role = EnvironNames::Role;

struct Known {
  std::string_view name;
  Note note;
};

constexpr Known kNoted[] = {
    {"REQUEST_METHOD", Note::kMethod},      {"REQUEST_URI", Note::kUri},
    {"SERVER_PROTOCOL", Note::kProtocol},   {"SCRIPT_NAME", Note::kScriptName},
    {"PATH_INFO", Note::kPathInfo},         {"nwsgi.request_id", Note::kRequestId},
    {"mod_wsgi.request_start", Note::kRequestStart},
};
constexpr Known kInstructions[] = {
    {"nwsgi.x-error-page", Note::kErrorPage},       {"nwsgi.x-reloading", Note::kReloading},
    {"nwsgi.x-multiprocess", Note::kMultiprocess},  {"nwsgi.x-authorization", Note::kAuthorization},
    {"nwsgi.x-local-port", Note::kLocalPort},
};
// What only the host says; of mod_wsgi.* a record may have these alone.
constexpr std::string_view kOwn[] = {
    "wsgi.version",  "wsgi.input",            "wsgi.errors",       "wsgi.multithread", "wsgi.multiprocess",
    "wsgi.run_once", "wsgi.input_terminated", "wsgi.file_wrapper", "wsgi.early_hints", "nwsgi.version",
    "apache.version"};
constexpr std::string_view kFromServer[] = {"mod_wsgi.request_start", "mod_wsgi.connection_id", "mod_wsgi.listener_host",
                                            "mod_wsgi.input_chunked", "mod_wsgi.queue_start"};
// Never met twice, or none of another request's business.
constexpr std::string_view kNotKept[] = {"nwsgi.request_id",     "REMOTE_PORT",     "HTTP_COOKIE",       "mod_wsgi.request_start",
                                         "HTTP_AUTHORIZATION",   "UNIQUE_ID",       "QUERY_STRING",      "mod_wsgi.connection_id",
                                         "mod_wsgi.queue_start", "SSL_SESSION_ID", "SSL_CLIENT_CERT"};
constexpr size_t kLongestKeptValue = 256;

template <size_t N>
bool contains(const std::string_view (&list)[N], std::string_view name) {
  for (const std::string_view each : list) {
    if (each == name) return true;
  }
  return false;
}

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// The variable for a header (RFC 3875, 4.1.18). False for headers that variables cannot tell apart ('_' and '-'), and for
// Proxy: HTTP_PROXY is a variable that HTTP clients of an application believe.
bool variable_of_header(std::string_view name, std::string* variable) {
  variable->assign("HTTP_");
  for (const char c : name) {
    if (c >= 'a' && c <= 'z') {
      *variable += static_cast<char>(c - 0x20);
    } else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      *variable += c;
    } else if (c == '-') {
      *variable += '_';
    } else {
      return false;
    }
  }
  const std::string_view behind = std::string_view(*variable).substr(5);
  if (behind.empty() || behind == "PROXY") return false;
  if (behind == "CONTENT_TYPE" || behind == "CONTENT_LENGTH") variable->erase(0, 5);
  return true;
}

PyObject* latin1(std::string_view text) {
  return PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
}

}  // namespace

EnvironNames::EnvironNames() : slots_(new Slot[kSlots]) {}

EnvironNames* EnvironNames::create() {
  static constexpr const char* kTexts[] = {
      "wsgi.input",           "wsgi.errors",           "wsgi.early_hints",       "wsgi.multiprocess",
      "mod_wsgi.script_name", "mod_wsgi.path_info",    "mod_wsgi.listener_port", "mod_wsgi.request_id",
      "mod_wsgi.request_start", "mod_wsgi.application_start", "mod_wsgi.thread_id", "mod_wsgi.script_reloading",
      "1", "0", ""};
  static_assert(std::size(kTexts) == static_cast<size_t>(Own::kCount));
  std::unique_ptr<EnvironNames> names(new EnvironNames);
  for (size_t i = 0; i < std::size(kTexts); ++i) {
    names->own_[i] = PyUnicode_InternFromString(kTexts[i]);
    if (names->own_[i] == nullptr) return nullptr;
  }
  return names.release();
}

EnvironNames::~EnvironNames() {
  for (PyObject*& each : own_) Py_CLEAR(each);
  for (size_t i = 0; i < kSlots; ++i) forget(&slots_[i].meaning);
  forget(&long_name_);
}

void EnvironNames::forget(Meaning* meaning) {
  Py_CLEAR(meaning->key);
  Py_CLEAR(meaning->value);
}

bool EnvironNames::understand(std::string_view name, Meaning* meaning) {
  forget(meaning);
  *meaning = Meaning();
  if (starts_with(name, "nwsgi.x-")) {
    meaning->role = Role::kInstruction;
    for (const Known& known : kInstructions) {
      if (known.name == name) meaning->note = known.note;
    }
    return true;
  }
  std::string variable(name);
  const bool is_header = !name.empty() && name[0] == ':';
  if (is_header && !variable_of_header(name.substr(1), &variable)) return true;
  if (contains(kOwn, variable) || (starts_with(variable, "mod_wsgi.") && !contains(kFromServer, variable))) return true;
  const bool guarded = is_header && (variable == "HTTP_AUTHORIZATION" || variable == "HTTP_PROXY_AUTHORIZATION");
  meaning->role = guarded ? Role::kGuarded : Role::kPlain;
  meaning->keep_value = !guarded && !contains(kNotKept, variable);
  for (const Known& known : kNoted) {
    if (known.name == variable) meaning->note = known.note;
  }
  meaning->key = latin1(variable);
  if (meaning->key == nullptr) return false;
  // Strings of the application's code, such as the one in environ['PATH_INFO'], are interned: found by their address.
  PyUnicode_InternInPlace(&meaning->key);
  return true;
}

EnvironNames::Meaning* EnvironNames::find(std::string_view name) {
  const size_t length = name.size();
  if (length > kLongest || length < 2) {
    return understand(name, &long_name_) ? &long_name_ : nullptr;
  }
  const auto byte = [&name](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(name[i])); };
  // Factors found by trial (src/names.ts): no two of the usual names share a slot.
  const size_t hash = length * 381 + byte(1) * 874 + byte(length >> 1) * 40 + byte(length - 2) * 460 + byte(length - 1) * 815;
  Slot* const slot = &slots_[hash % kSlots];
  if (slot->length == length && std::memcmp(slot->name, name.data(), length) == 0) return &slot->meaning;
  slot->length = 0;
  if (!understand(name, &slot->meaning)) return nullptr;
  slot->length = static_cast<uint8_t>(length);
  std::memcpy(slot->name, name.data(), length);
  return &slot->meaning;
}

PyObject* EnvironNames::text(Meaning* meaning, std::string_view value) {
  PyObject* const last = meaning->value;
  if (last != nullptr && static_cast<size_t>(PyUnicode_GET_LENGTH(last)) == value.size() &&
      std::memcmp(PyUnicode_1BYTE_DATA(last), value.data(), value.size()) == 0) {
    Py_INCREF(last);
    return last;
  }
  PyObject* const made = latin1(value);
  if (made != nullptr && meaning->keep_value && value.size() <= kLongestKeptValue) {
    Py_INCREF(made);
    meaning->value = made;
    Py_XDECREF(last);
  }
  return made;
}

}  // namespace nwsgi::python
