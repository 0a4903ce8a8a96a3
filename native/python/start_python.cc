#include "python/start_python.h"

#include <dlfcn.h>

namespace nwsgi::python {

namespace {

// Extension modules refer to libpython's functions without being linked with it; an add-on's libraries are not global.
void make_library_global() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&Py_Initialize), &info) != 0 && info.dli_fname != nullptr) {
    dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
  }
}

// The text encoding is that of the locale, and UTF-8 where there is none ("C"), as for python3 at a terminal.
PyStatus preinitialize() {
  PyPreConfig config;
  PyPreConfig_InitIsolatedConfig(&config);
  config.configure_locale = 1;
  config.utf8_mode = -1;
  return Py_PreInitialize(&config);
}

PyStatus set_bytes(PyConfig* config, wchar_t** field, const std::string& value) {
  return value.empty() ? PyStatus_Ok() : PyConfig_SetBytesString(config, field, value.c_str());
}

PyStatus add_warnings(PyConfig* config, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    wchar_t* const decoded = Py_DecodeLocale(warning.c_str(), nullptr);
    if (decoded == nullptr) return PyStatus_NoMemory();
    const PyStatus status = PyWideStringList_Append(&config->warnoptions, decoded);
    PyMem_RawFree(decoded);
    if (PyStatus_Exception(status)) return status;
  }
  return PyStatus_Ok();
}

PyStatus fill(PyConfig* config, const HostOptions& options) {
  config->install_signal_handlers = 0;
  config->parse_argv = 0;
  config->user_site_directory = 0;
  config->pathconfig_warnings = 0;
  config->write_bytecode = options.dont_write_bytecode ? 0 : 1;
  config->optimization_level = options.optimize;
  if (!options.hash_seed.empty()) {
    config->use_hash_seed = 1;
    config->hash_seed = std::strtoul(options.hash_seed.c_str(), nullptr, 10);
  }
  char name[] = "mod_wsgi";
  char* arguments[] = {name};
  PyStatus status = PyConfig_SetBytesArgv(config, 1, arguments);
  // A virtual environment is found by the pyvenv.cfg beside its bin/python.
  if (!PyStatus_Exception(status)) status = set_bytes(config, &config->program_name, options.executable);
  if (!PyStatus_Exception(status)) status = set_bytes(config, &config->executable, options.executable);
  if (!PyStatus_Exception(status)) status = set_bytes(config, &config->home, options.home);
  if (!PyStatus_Exception(status)) status = add_warnings(config, options.warnings);
  return status;
}

std::string text_of(const PyStatus& status) {
  if (status.err_msg == nullptr) return "exit status " + std::to_string(status.exitcode);
  return status.func == nullptr ? status.err_msg : std::string(status.func) + ": " + status.err_msg;
}

bool set_switch_interval(double seconds) {
  if (seconds <= 0) return true;
  PyObject* const function = PySys_GetObject("setswitchinterval");
  if (function == nullptr) return true;
  return static_cast<bool>(Object::adopt(PyObject_CallFunction(function, "d", seconds)));
}

}  // namespace

bool start_python(const HostOptions& options, std::string* error) {
  make_library_global();
  PyStatus status = preinitialize();
  if (!PyStatus_Exception(status)) {
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    status = fill(&config, options);
    if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
  }
  if (PyStatus_Exception(status)) {
    *error = text_of(status);
    return false;
  }
  if (!set_switch_interval(options.switch_interval)) PyErr_Clear();
  return true;
}

PyThreadState* new_interpreter([[maybe_unused]] bool own_gil, std::string* error) {
  PyThreadState* const before = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030C0000
  PyInterpreterConfig config{};
  config.use_main_obmalloc = own_gil ? 0 : 1;
  config.allow_fork = 1;
  config.allow_exec = 1;
  config.allow_threads = 1;
  config.allow_daemon_threads = 1;
  config.check_multi_interp_extensions = own_gil ? 1 : 0;
  config.gil = own_gil ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL;
  PyThreadState* state = nullptr;
  const PyStatus status = Py_NewInterpreterFromConfig(&state, &config);
  if (PyStatus_Exception(status)) *error = text_of(status);
#else
  PyThreadState* const state = Py_NewInterpreter();
  if (state == nullptr) *error = "Py_NewInterpreter: the interpreter was not made";
#endif
  if (state == nullptr) PyThreadState_Swap(before);
  return state;
}

bool end_interpreter(PyThreadState* state) {
  // Py_EndInterpreter() ends the process when other threads are left.
  if (PyInterpreterState_ThreadHead(PyThreadState_GetInterpreter(state)) != state || PyThreadState_Next(state) != nullptr) return false;
  Py_EndInterpreter(state);
  return true;
}

std::string take_error_text() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  std::string text = type == nullptr ? "unknown error" : reinterpret_cast<PyTypeObject*>(type)->tp_name;
  if (const Object message = Object::adopt(value == nullptr ? nullptr : PyObject_Str(value)); message) {
    if (const char* const bytes = PyUnicode_AsUTF8(message.get()); bytes != nullptr) text += std::string(": ") + bytes;
  }
  PyErr_Clear();
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  return text;
}

}  // namespace nwsgi::python
