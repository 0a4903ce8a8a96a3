// The module _nwsgi: the types that requests are made of, and what the Python part asks of the host. Multi-phase, so that every
// interpreter has its own.
#include "python/environ.h"
#include "python/interpreter.h"
#include "python/mod_wsgi.h"
#include "python/types.h"

namespace nwsgi::python {

namespace {

struct TypeMaker {
  Type type;
  const char* name;  // attribute of the module
  PyTypeObject* (*make)(PyObject* module);
};

constexpr TypeMaker kTypes[] = {
    {Type::kInput, "Input", make_input_type},
    {Type::kErrors, "Errors", make_errors_type},
    {Type::kLogStream, "LogStream", make_log_stream_type},
    {Type::kFileWrapper, "FileWrapper", make_file_wrapper_type},
    {Type::kStartResponse, "StartResponse", make_start_response_type},
    {Type::kWrite, "Write", make_write_type},
    {Type::kEarlyHints, "EarlyHints", make_early_hints_type},
};
static_assert(std::size(kTypes) == static_cast<size_t>(Type::kCount));

constexpr std::pair<Name, const char*> kNames[] = {
    {Name::kClose, "close"}, {Name::kRead, "read"}, {Name::kFileno, "fileno"}, {Name::kTell, "tell"}, {Name::kApplication, "application"},
};
static_assert(std::size(kNames) == static_cast<size_t>(Name::kCount));

// Also when an application imports the module once more: there is one set of types for each interpreter.
int execute(PyObject* module) {
  Interpreter* const interpreter = running_interpreter();
  if (interpreter == nullptr) {
    PyErr_SetString(PyExc_ImportError, "_nwsgi is part of the interpreters that nwsgi makes for WSGI applications");
    return -1;
  }
  for (const TypeMaker& maker : kTypes) {
    PyTypeObject*& type = interpreter->types[static_cast<size_t>(maker.type)];
    if (type == nullptr) type = maker.make(module);
    if (type == nullptr || PyModule_AddObjectRef(module, maker.name, reinterpret_cast<PyObject*>(type)) < 0) return -1;
  }
  return add_functions(module) ? 0 : -1;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_nwsgi", "The part of nwsgi that is written in C++.", 0, nullptr, slots, nullptr, nullptr, nullptr,
};

PyObject* init_module() { return PyModuleDef_Init(&definition); }

}  // namespace

bool register_module() { return PyImport_AppendInittab("_nwsgi", init_module) == 0; }

bool prepare_interpreter(Interpreter* interpreter) {
  for (const auto& [name, text] : kNames) {
    PyObject*& object = interpreter->names[static_cast<size_t>(name)];
    object = PyUnicode_InternFromString(text);
    if (object == nullptr) return false;
  }
  interpreter->environ_names = EnvironNames::create();
  if (interpreter->environ_names == nullptr) return false;
  interpreter->module = PyImport_ImportModule("_nwsgi");
  return interpreter->module != nullptr && prepare_library(interpreter);
}

}  // namespace nwsgi::python
