// What an environ is made of: the part that is the same for every request of an application, and the names in records.
//
// Threads: with the GIL of their interpreter held.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "python/application.h"
#include "python/python.h"

namespace nwsgi::python {

// A new dict for LoadedApplication::constants, whose other fields are set; null with a Python error set. It has every key that
// build_environ() always sets, and room for those of a usual request: a copy of it is one memcpy and does not grow.
PyObject* make_environ_constants(const LoadedApplication* application);

// Recognises the names in records by their bytes. Each request has the same forty or so, and many have the same value as last
// time: neither the string of the name, nor its hash, nor that of the value is made again. A lossy table with one name for each
// hash, bounded by its size; one for each interpreter (Interpreter::environ_names).
class EnvironNames {
 public:
  // What is to be done with a value.
  enum class Role : uint8_t { kPlain, kIgnored, kGuarded, kInstruction };
  // Values that build_environ() itself looks at.
  enum class Note : uint8_t {
    kNone,
    kMethod,
    kUri,
    kProtocol,
    kScriptName,
    kPathInfo,
    kRequestId,
    kRequestStart,
    kErrorPage,
    kReloading,
    kMultiprocess,
    kAuthorization,
    kLocalPort,
  };
  struct Meaning {
    Role role = Role::kIgnored;
    Note note = Note::kNone;
    bool keep_value = false;    // its last value is worth keeping
    PyObject* key = nullptr;    // owned by the table; null for instructions and ignored names
    PyObject* value = nullptr;  // the last value, owned by the table
  };

  // Keys that build_environ() sets itself, and values for them.
  enum class Own : uint8_t {
    kInput,
    kErrors,
    kEarlyHints,
    kMultiprocess,
    kScriptName,
    kPathInfo,
    kListenerPort,
    kRequestId,
    kRequestStart,
    kApplicationStart,
    kThreadId,
    kScriptReloading,
    kOne,
    kZero,
    kEmpty,
    kCount,
  };

  // Null with a Python error set.
  static EnvironNames* create();
  // Frees Python objects.
  ~EnvironNames();
  EnvironNames(const EnvironNames&) = delete;
  EnvironNames& operator=(const EnvironNames&) = delete;

  // What a name means. Valid until the next call. Null with a Python error set.
  Meaning* find(std::string_view name);
  // A new reference to the value as a str, latin-1.
  static PyObject* text(Meaning* meaning, std::string_view value);
  // Borrowed.
  PyObject* own(Own which) const { return own_[static_cast<size_t>(which)]; }

 private:
  EnvironNames();
  static constexpr size_t kSlots = 1024;
  static constexpr size_t kLongest = 48;
  struct Slot {
    uint8_t length = 0;
    char name[kLongest];
    Meaning meaning;
  };
  static bool understand(std::string_view name, Meaning* meaning);
  static void forget(Meaning* meaning);

  std::unique_ptr<Slot[]> slots_;
  PyObject* own_[static_cast<size_t>(Own::kCount)] = {};
  Meaning long_name_;  // of the last name that is too long to be kept
};

}  // namespace nwsgi::python
