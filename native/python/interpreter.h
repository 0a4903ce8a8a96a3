// One Python interpreter of the process: the main one, or a sub-interpreter of its own for an application group.
//
// Types and helper objects exist once for each interpreter, never as C++ statics: interpreters may have a GIL each.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "python/host.h"
#include "python/python.h"

namespace nwsgi::python {

enum class Type : uint8_t { kInput, kErrors, kFileWrapper, kStartResponse, kWrite, kLogStream, kEarlyHints, kCount };

// Strings that every request needs, interned for this interpreter; keys of environ have their own table (environ.h).
enum class Name : uint8_t { kClose, kRead, kFileno, kTell, kApplication, kCount };

class Request;
class EnvironNames;
class Pool;

// Lifetime: of the process, once it is prepared. Reached by any thread; what it refers to is set before anybody else learns of it.
struct Interpreter {
  std::string name;         // '' for the main one
  bool is_main = true;
  const HostOptions* options = nullptr;
  PyInterpreterState* state = nullptr;
  std::array<PyTypeObject*, static_cast<size_t>(Type::kCount)> types{};
  std::array<PyObject*, static_cast<size_t>(Name::kCount)> names{};
  EnvironNames* environ_names = nullptr;
  PyObject* module = nullptr;   // _nwsgi, the C part
  PyObject* library = nullptr;  // nwsgi_host, the Python part
  Pool* pool = nullptr;         // runs its requests; set once the interpreter is prepared

  PyTypeObject* type(Type which) const { return types[static_cast<size_t>(which)]; }
  PyObject* name_of(Name which) const { return names[static_cast<size_t>(which)]; }
};

// Of the calling thread: set on the host's threads for as long as they run; null on threads of applications.
Interpreter* current_interpreter();
void set_current_interpreter(Interpreter* interpreter);
// The interpreter whose code runs, by its own state: also on threads of applications. The GIL is held. Null for an interpreter
// that the host has not made.
Interpreter* running_interpreter();
// Makes running_interpreter() know it, until it has ended.
void register_interpreter(Interpreter* interpreter);
void forget_interpreter(Interpreter* interpreter);

// Makes the types and names of a new interpreter, imports the Python part and lets it prepare sys and os. The GIL is held; the
// interpreter is the current one. False with a Python error set. (module.cc)
bool prepare_interpreter(Interpreter* interpreter);
// PyImport_AppendInittab() for _nwsgi; before CPython starts. (module.cc)
bool register_module();

}  // namespace nwsgi::python
