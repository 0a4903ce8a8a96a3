#include "module/supervisor_config.h"

#include <http_core.h>
#include <http_log.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "exchange/json.h"
#include "module/application_env.h"
#include "module/config.h"
#include "module/log.h"
#include "module/python_settings.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::json_array;
using exchange::json_string;
using exchange::JsonObject;
using exchange::JsonText;

std::string preload_of(server_rec* server, const PreloadEntry& entry, const Identity& identity) {
  const DirConfig* settings = default_dir_config(server);
  const char* callable = entry.callable != nullptr ? entry.callable : settings->callable;
  const char* type = entry.type != nullptr ? entry.type : settings->type;
  JsonObject preload;
  preload.add("applicationGroup", entry.application_group);
  preload.add("script", identity.inside(entry.script));
  preload.add("callable", callable != nullptr && callable[0] != '%' ? callable : "application");
  preload.add("type", type != nullptr ? type : "auto");
  preload.add("reloading", is_on(settings->script_reloading, true));
  preload.add("environment", application_env(server->lookup_defaults), JsonText::kLatin1);
  return preload.text();
}

// Copied virtual hosts name the same script several times.
std::vector<std::string> preloads_of(server_rec* main_server, const DaemonGroup& group, const Identity& identity) {
  std::vector<std::string> preloads;
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    const apr_array_header_t* entries = server_config(server)->preloads;
    for (int i = 0; i < entries->nelts; ++i) {
      const auto& entry = APR_ARRAY_IDX(entries, i, PreloadEntry);
      if (std::strcmp(entry.process_group, group.name) != 0) continue;
      std::string preload = preload_of(server, entry, identity);
      if (std::find(preloads.begin(), preloads.end(), preload) == preloads.end()) {
        preloads.push_back(std::move(preload));
      }
    }
  }
  return preloads;
}

std::string node_options_of(const DaemonOptions& options) {
  std::vector<std::string> list;
  for (int i = 0; options.node_options != nullptr && i < options.node_options->nelts; ++i) {
    list.push_back(json_string(APR_ARRAY_IDX(options.node_options, i, const char*)));
  }
  return json_array(list);
}

// Of two values for one name the later wins, as JSON.parse has it.
std::string variables_of(const DaemonOptions& options) {
  JsonObject variables;
  for (int i = 0; options.env != nullptr && i < options.env->nelts; ++i) {
    const std::string_view assignment(APR_ARRAY_IDX(options.env, i, const char*));
    const size_t equals = assignment.find('=');
    variables.add(assignment.substr(0, equals), assignment.substr(equals + 1));
  }
  return variables.text();
}

std::string display_name_of(const DaemonGroup& group) {
  if (group.options.display_name == nullptr) return {};
  const std::string_view name(group.options.display_name);
  return name == "%{GROUP}" ? "(wsgi:" + std::string(group.name) + ')' : std::string(name);
}

// Options of the group win over the directives.
std::string python_of(PythonSettings settings, const DaemonOptions& options, const DaemonFiles& files) {
  if (options.python_home != nullptr) settings.home = options.python_home;
  if (options.python_path != nullptr) settings.path = options.python_path;
  if (options.python_eggs != nullptr) settings.eggs = options.python_eggs;
  if (options.switch_interval != 0) settings.switch_interval = options.switch_interval;
  PythonHostFacts facts;
  facts.addons = files.bridge.substr(0, files.bridge.rfind('/'));
  facts.threads = options.threads != 0 ? options.threads : kPythonThreads;
  facts.processes = options.max_processes;
  facts.interrupt_timeout = options.interrupt_timeout;
  return python_json(settings, facts);
}

void add_limits(const DaemonOptions& options, JsonObject* config) {
  config->add("processes", options.processes);
  config->add("minProcesses", options.min_processes);
  config->add("maxProcesses", options.max_processes);
  config->add("threads", options.threads != 0 ? options.threads : kJavaScriptThreads);
  config->add("maximumRequests", options.maximum_requests);
  config->add("maximumRequestsJitter", options.maximum_requests_jitter);
  config->add("restartInterval", options.restart_interval);
  config->add("cpuTimeLimit", options.cpu_time_limit);
  config->add("inactivityTimeout", options.inactivity_timeout);
  config->add("requestTimeout", options.request_timeout);
  config->add("interruptTimeout", options.interrupt_timeout);
  config->add("deadlockTimeout", options.deadlock_timeout);
  config->add("startupTimeout", options.startup_timeout);
  config->add("gracefulTimeout", options.graceful_timeout);
  config->add("evictionTimeout", options.eviction_timeout);
  config->add("shutdownTimeout", options.shutdown_timeout);
  config->add("queueTimeout", options.queue_timeout);
  config->add("queueLimit", options.queue_limit);
  config->add("connectTimeout", options.connect_timeout);
  config->add("memorySoftLimit", options.memory_soft_limit);
  config->add("memoryLimit", options.memory_limit);
  config->add("heapLimit", options.heap_limit);
  config->add("cpuPriority", options.cpu_priority);
}

}  // namespace

std::string supervisor_config(server_rec* main_server, const DaemonGroup& group, const Identity& identity,
                              const DaemonFiles& files) {
  const DaemonOptions& options = group.options;
  JsonObject config;
  config.add("name", group.name);
  config.add("serverSoftware", ap_get_server_description());
  config.add("gatewayDirectory", files.gateway_directory);
  config.add("bridge", files.bridge);
  config.add("serverPid", int64_t{::getpid()});
  config.add("helloFd", int64_t{kHelloDescriptor});
  config.add("scoreboardFd", int64_t{kScoreboardDescriptor});
  config.add("lifelineFd", int64_t{kLifelineDescriptor});
  config.add("controlFd", int64_t{kControlDescriptor});
  config.add("node", files.node);
  config.add_json("nodeOptions", node_options_of(options));
  config.add_json("env", variables_of(options));
  config.add("home", identity.directory);
  config.add("displayName", display_name_of(group));
  add_limits(options, &config);
  const int64_t timeout = main_server->timeout / 1000;
  config.add("socketTimeout", options.socket_timeout != 0 ? options.socket_timeout : timeout);
  config.add("logLevel", int64_t{ap_get_server_module_loglevel(main_server, APLOG_MODULE_INDEX)});
  config.add("reloading", true);
  config.add_json("python", python_of(*server_config(main_server)->python, options, files));
  config.add_json("preload", json_array(preloads_of(main_server, group, identity)));
  return config.text();
}

}  // namespace nwsgi::httpd_side
