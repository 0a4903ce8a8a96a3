#include "python_addon/values.h"

namespace nwsgi::python_addon {

double to_number(const Napi::Value& value) {
  if (value.IsEmpty()) return 0;
  double number = 0;
  return napi_get_value_double(value.Env(), value, &number) == napi_ok ? number : 0;
}

namespace {

bool flag(const Napi::Object& object, const char* name) {
  bool value = false;
  const Napi::Value found = object.Get(name);
  return !found.IsEmpty() && napi_get_value_bool(found.Env(), found, &value) == napi_ok && value;
}

std::vector<std::string> texts(const Napi::Object& object, const char* name) {
  std::vector<std::string> all;
  const Napi::Value value = object.Get(name);
  if (!value.IsArray()) return all;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) all.push_back(to_utf8(array.Get(i)));
  return all;
}

}  // namespace

python::HostOptions to_host_options(const Napi::Object& object) {
  python::HostOptions options;
  options.library = to_utf8(object.Get("library"));
  options.executable = to_utf8(object.Get("executable"));
  options.home = to_utf8(object.Get("home"));
  options.path = texts(object, "path");
  options.warnings = texts(object, "warnings");
  options.hash_seed = to_utf8(object.Get("hashSeed"));
  options.optimize = static_cast<int>(to_number(object.Get("optimize")));
  options.dont_write_bytecode = flag(object, "dontWriteBytecode");
  options.switch_interval = to_number(object.Get("switchInterval"));
  options.restrict_stdin = flag(object, "restrictStdin");
  options.restrict_stdout = flag(object, "restrictStdout");
  options.restrict_signal = flag(object, "restrictSignal");
  options.own_gil = flag(object, "ownGil");
  options.destroy_interpreter = flag(object, "destroyInterpreter");
  options.process_group = to_utf8(object.Get("processGroup"));
  options.version = to_utf8(object.Get("version"));
  options.server_software = to_utf8(object.Get("serverSoftware"));
  if (const double threads = to_number(object.Get("threads")); threads >= 1) options.threads = static_cast<unsigned>(threads);
  if (const double processes = to_number(object.Get("processes")); processes >= 1) {
    options.processes = static_cast<unsigned>(processes);
  }
  options.interrupt_time = std::chrono::milliseconds(static_cast<int64_t>(to_number(object.Get("interruptTime"))));
  return options;
}

python::ScriptOptions to_script_options(const Napi::Object& object) {
  python::ScriptOptions script;
  script.interpreter = to_utf8(object.Get("interpreter"));
  script.application_group = to_utf8(object.Get("applicationGroup"));
  script.path = to_latin1(object.Get("path"));
  script.callable = to_utf8(object.Get("callable"));
  script.environment = to_latin1(object.Get("environment"));
  script.callable_needed = flag(object, "callableNeeded");
  return script;
}

Napi::Value from_utf8(Napi::Env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return Napi::Value(env, value);
}

Napi::Value from_fault(Napi::Env env, const python::Fault& fault) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("problem", from_utf8(env, fault.problem));
  object.Set("summary", from_utf8(env, fault.summary));
  object.Set("traceback", from_utf8(env, fault.traceback));
  object.Set("file", from_utf8(env, fault.file));
  object.Set("line", static_cast<double>(fault.line));
  return object;
}

}  // namespace nwsgi::python_addon
