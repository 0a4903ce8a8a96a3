// What the configuration says about Python: the WSGIPython… directives, which a process group's options may replace.
#pragma once

#include <httpd.h>

#include <apr_tables.h>

#include <cstdint>
#include <string>

#include "module/config.h"

namespace nwsgi::httpd_side {

// Of the whole server; null, kUnset and 0 where not given.
struct PythonSettings {
  const char* home;                     // of a virtual environment or an installation
  const apr_array_header_t* path;       // const char*: folders
  const char* eggs;
  int64_t optimize;                     // 0 to 2
  Flag dont_write_bytecode;
  const apr_array_header_t* warnings;   // const char*, as python -W takes them
  const char* hash_seed;                // "0" to "4294967295"; null: random
  int64_t switch_interval;              // microseconds
  Flag restrict_stdin;
  Flag restrict_stdout;
  Flag restrict_signal;
  Flag per_interpreter_gil;
  Flag destroy_interpreter;
};

PythonSettings* new_python_settings(apr_pool_t* pool);

// What a process knows about itself.
struct PythonHostFacts {
  std::string addons;                // folder of nwsgi_python_*.node
  int64_t threads = 1;               // requests at a time in one process
  int64_t processes = 1;
  int64_t interrupt_timeout = 2000;  // milliseconds
};

// Of a child of this server.
PythonHostFacts embedded_python_host(const std::string& addons);

// PythonConfig of src/native.ts as JSON text.
std::string python_json(const PythonSettings& settings, const PythonHostFacts& facts);

// Whether the script is Python's: its name ends with .py or .wsgi.
bool is_python_script(const char* path);

}  // namespace nwsgi::httpd_side
