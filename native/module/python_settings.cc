#include "module/python_settings.h"

#include <ap_mpm.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "exchange/json.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::json_array;
using exchange::json_string;
using exchange::JsonObject;

std::string list_of(const apr_array_header_t* texts) {
  std::vector<std::string> list;
  for (int i = 0; texts != nullptr && i < texts->nelts; ++i) {
    list.push_back(json_string(APR_ARRAY_IDX(texts, i, const char*)));
  }
  return json_array(list);
}

std::string seconds(int64_t microseconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%06lld", static_cast<long long>(microseconds / 1'000'000),
                static_cast<long long>(microseconds % 1'000'000));
  return text;
}

const char* text_or_empty(const char* text) { return text != nullptr ? text : ""; }

}  // namespace

PythonSettings* new_python_settings(apr_pool_t* pool) {
  auto* settings = static_cast<PythonSettings*>(apr_pcalloc(pool, sizeof(PythonSettings)));
  settings->dont_write_bytecode = Flag::kUnset;
  settings->restrict_stdin = Flag::kUnset;
  settings->restrict_stdout = Flag::kUnset;
  settings->restrict_signal = Flag::kUnset;
  settings->per_interpreter_gil = Flag::kUnset;
  settings->destroy_interpreter = Flag::kUnset;
  return settings;
}

PythonHostFacts embedded_python_host(const std::string& addons) {
  PythonHostFacts facts;
  facts.addons = addons;
  int number = 0;
  // 0 where processes have one thread (prefork).
  if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &number) == APR_SUCCESS) facts.threads = std::max(number, 1);
  if (ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &number) == APR_SUCCESS) facts.processes = std::max(number, 1);
  return facts;
}

std::string python_json(const PythonSettings& settings, const PythonHostFacts& facts) {
  JsonObject json;
  json.add("addons", facts.addons);
  json.add("home", text_or_empty(settings.home));
  json.add_json("path", list_of(settings.path));
  json.add("eggs", text_or_empty(settings.eggs));
  json.add("optimize", settings.optimize);
  json.add("dontWriteBytecode", is_on(settings.dont_write_bytecode, false));
  json.add_json("warnings", list_of(settings.warnings));
  json.add("hashSeed", text_or_empty(settings.hash_seed));
  json.add_json("switchInterval", seconds(settings.switch_interval));
  json.add("restrictStdin", is_on(settings.restrict_stdin, false));
  json.add("restrictStdout", is_on(settings.restrict_stdout, false));
  json.add("restrictSignal", is_on(settings.restrict_signal, true));
  json.add("perInterpreterGil", is_on(settings.per_interpreter_gil, false));
  json.add("destroyInterpreter", is_on(settings.destroy_interpreter, true));
  json.add("threads", facts.threads);
  json.add("processes", facts.processes);
  json.add("interruptTimeout", facts.interrupt_timeout);
  return json.text();
}

bool is_python_script(const char* path) {
  if (path == nullptr) return false;
  const std::string_view name(path);
  return name.ends_with(".py") || name.ends_with(".wsgi");
}

}  // namespace nwsgi::httpd_side
