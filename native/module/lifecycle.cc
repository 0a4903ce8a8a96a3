#include "module/lifecycle.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_main.h>
#include <mpm_common.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "module/application_env.h"
#include "module/config.h"
#include "module/daemon_child.h"
#include "module/daemon_config.h"
#include "module/daemon_process.h"
#include "module/log.h"
#include "module/parking.h"
#include "module/parking_status.h"
#include "module/profile.h"
#include "module/python_settings.h"
#include "module/runtime_loader.h"
#include "module/spare_memory.h"
#include "module/stop_signals.h"
#include "module/storage.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::ApplicationHost;

// Node's threads hold nothing that a leaving child needs; httpd's parent kills a child that takes much longer.
constexpr std::chrono::milliseconds kShutdownLimit{2500};
// How long parked requests outlive the end of the parent's patience.
constexpr std::chrono::seconds kLastWords{1};

// State of this child. Set by start_child(); in the parent, and between configuration passes, it stays empty.
struct Child {
  server_rec* server = nullptr;
  std::mutex start_mutex;  // one thread starts the host, the others wait
  std::atomic<ApplicationHost*> host{nullptr};
  bool start_tried = false;  // with start_mutex
  exchange::Failure start_failure;  // with start_mutex
  std::atomic<bool> stopping{false};
  bool leave_at_once = false;  // main thread
  bool multiprocess = false;
};

// Never destroyed: worker threads and the runtime's threads may outlive static destructors.
Child& child() {
  static Child* const instance = new Child;
  return *instance;
}

void write_log(void* site, uint8_t level, const char* text) {
  log_server_text(static_cast<server_rec*>(site), level, text != nullptr ? text : "");
}

const exchange::ServerServices kServices{write_log};

exchange::HostOptions host_options(server_rec* server, const RuntimeFiles& files) {
  exchange::HostOptions options;
  options.abi = exchange::kHostAbi;
  options.gateway_directory = files.gateway_directory;
  const apr_array_header_t* node_options = server_config(server)->node_options;
  for (int i = 0; i < node_options->nelts; ++i) {
    options.node_options.emplace_back(APR_ARRAY_IDX(node_options, i, const char*));
  }
  options.server_software = ap_get_server_description();
  options.python_json = python_json(*server_config(server)->python, embedded_python_host(folder_of_addons(files)));
  return options;
}

// Before the pool's subpools go: nothing of the runtime may run application code when httpd takes itself apart.
apr_status_t stop_host(void*) noexcept try {
  ApplicationHost* host = child().host.load(std::memory_order_acquire);
  if (host == nullptr) return APR_SUCCESS;
  child().stopping = true;
  if (!host->shutdown(kShutdownLimit)) {
    log_server(child().server, APLOG_WARNING, 0, Code::kRuntimeNotStopped,
               "an application did not end within %d ms; this process leaves without it. Look for endless loops and "
               "for work that goes on after SIGTERM", static_cast<int>(kShutdownLimit.count()));
    child().leave_at_once = true;
  }
  return APR_SUCCESS;
} catch (...) {
  child().leave_at_once = true;
  return APR_SUCCESS;
}

// Before stop_host(): what is parked ends with its application still there.
apr_status_t end_parking(void*) noexcept {
  if (Parking* const parking = Parking::of_child(); parking != nullptr && !parking->shut_down()) {
    child().leave_at_once = true;
  }
  return APR_SUCCESS;
}

// Registered before everything else on the child's pool, so it runs when all other cleanups (buffered logs among them)
// have. Destructors and atexit handlers would pull the ground from under threads that still run.
apr_status_t leave_if_stuck(void*) noexcept {
  if (child().leave_at_once) ::_exit(0);
  return APR_SUCCESS;
}

// True for what this process loads itself; scripts of process groups are loaded by their workers.
bool is_embedded(const PreloadEntry& entry) { return entry.process_group[0] == '\0' && embedded_mode_allowed(); }

bool embedded_preloads(server_rec* main_server) {
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    const apr_array_header_t* preloads = server_config(server)->preloads;
    for (int i = 0; i < preloads->nelts; ++i) {
      if (is_embedded(APR_ARRAY_IDX(preloads, i, PreloadEntry))) return true;
    }
  }
  return false;
}

void preload_all(server_rec* main_server) {
  if (!embedded_preloads(main_server)) return;
  exchange::Failure failure;
  ApplicationHost* host = application_host(&failure);
  if (host == nullptr) return;
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    const apr_array_header_t* preloads = server_config(server)->preloads;
    const DirConfig* settings = default_dir_config(server);
    for (int i = 0; i < preloads->nelts; ++i) {
      const auto& entry = APR_ARRAY_IDX(preloads, i, PreloadEntry);
      if (!is_embedded(entry)) continue;
      exchange::Preload preload;
      preload.application_group = entry.application_group;
      preload.script = entry.script;
      const char* callable = entry.callable != nullptr ? entry.callable : settings->callable;
      preload.callable = callable != nullptr && callable[0] != '%' ? callable : "application";
      const char* type = entry.type != nullptr ? entry.type : settings->type;
      if (type != nullptr) preload.type = type;
      preload.env = application_env(server->lookup_defaults);
      preload.reloading = is_on(settings->script_reloading, true);
      preload.site = server;
      host->preload(preload);
    }
  }
}

void stop_now() noexcept try {
  ApplicationHost* host = child().host.load(std::memory_order_acquire);
  if (host != nullptr) host->begin_stop(false);
  if (Parking* const parking = Parking::of_child()) parking->stop(Parking::Stop::kGraceful, kLastWords);
} catch (...) {
}

// Requests that wait in place go on until they are answered; so do parked ones. httpd's own limit for a graceful stop holds
// for them in a graceful restart as well.
exchange::Clock::duration patience_with_parked() {
  if (ap_graceful_shutdown_timeout <= 0) return Parking::kNoLimit;
  return std::chrono::seconds(ap_graceful_shutdown_timeout);
}

bool applications_configured(server_rec* main_server) {
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    const ServerConfig* config = server_config(server);
    if (config->mounts->count != 0 || config->preloads->nelts != 0) return true;
  }
  return false;
}

}  // namespace

ApplicationHost* application_host(exchange::Failure* failure) {
  ApplicationHost* host = child().host.load(std::memory_order_acquire);
  if (host != nullptr) return host;
  std::lock_guard lock(child().start_mutex);
  host = child().host.load(std::memory_order_relaxed);
  if (host != nullptr) return host;
  if (!child().start_tried && child().server != nullptr) {
    child().start_tried = true;
    const RuntimeFiles files = find_runtime_files();
    host = load_runtime(files, host_options(child().server, files), &kServices, &child().start_failure);
    if (host != nullptr) {
      child().host.store(host, std::memory_order_release);
      return host;
    }
    exchange::Failure& start_failure = child().start_failure;
    log_server_text(child().server, APLOG_CRIT,
                    start_failure.code + ' ' + start_failure.message +
                        ". Requests for applications get 500 from this process; restart the server afterwards");
    start_failure.message = "no application can run in this process; the critical line with this code says why, and "
                            "what to do";
  }
  *failure = child().start_failure;
  return nullptr;
}

bool is_multiprocess() { return child().multiprocess; }

// Runs in the parent, in both passes of the start and in each restart.
int check_configuration(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* server) noexcept try {
  separate_server_configs(pconf, server);
  find_environment_module();
  share_parking_counts();
  if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
  if (const int status = start_process_groups(pconf, server); status != OK) return status;
  if (!applications_configured(server) || !embedded_mode_allowed()) return OK;
  const RuntimeFiles files = find_runtime_files();
  if (files.module_directory.empty()) {
    log_server(server, APLOG_CRIT, 0, Code::kModuleNotLocated,
               "the module cannot tell where its own file is; write an absolute path in LoadModule");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  if (!files.runtime.empty() && !files.gateway_directory.empty()) return OK;
  std::string tried;
  for (const std::string& path : files.tried) tried += (tried.empty() ? "" : ", ") + path;
  const bool runtime_missing = files.runtime.empty();
  log_server(server, APLOG_CRIT, 0, runtime_missing ? Code::kRuntimeMissing : Code::kGatewayMissing,
             "%s is missing: looked for %s. Build nwsgi (npm run build), or install it so that these files lie where "
             "the module expects them",
             runtime_missing ? "nwsgi_runtime.so" : "the gateway (bootstrap.cjs)", tried.c_str());
  return HTTP_INTERNAL_SERVER_ERROR;
} catch (...) {
  return HTTP_INTERNAL_SERVER_ERROR;
}

void start_child(apr_pool_t* pool, server_rec* server) noexcept try {
  child().server = server;
  leave_process_groups();
  int processes = 1;
  ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &processes);
  start_profiling();
  start_stop_signals();
  child().multiprocess = processes > 1;
  apr_pool_cleanup_register(pool, nullptr, leave_if_stuck, apr_pool_cleanup_null);
  apr_pool_pre_cleanup_register(pool, nullptr, stop_host);
  claim_parking_counts();
  prepare_spare_memory(pool);
  start_parking(pool);
  prepare_spare_memory(pool);
  apr_pool_pre_cleanup_register(pool, nullptr, end_parking);
  start_storage(pool);
  start_daemon_child(pool);
  const StopDeferral deferral;
  preload_all(server);
} catch (...) {
  log_server(server, APLOG_CRIT, 0, Code::kInternal, "the module could not start in this process (out of memory)");
}

void stop_child(apr_pool_t*, int graceful) noexcept try {
  child().stopping = true;
  if (Parking* const parking = Parking::of_child()) {
    if (graceful != 0) parking->stop(Parking::Stop::kGraceful, patience_with_parked());
    else parking->stop(Parking::Stop::kNow, {});
  }
  ApplicationHost* host = child().host.load(std::memory_order_acquire);
  if (host == nullptr && daemon_groups()->nelts == 0) return;
  if (host != nullptr) host->begin_stop(graceful != 0);
  if (graceful != 0) call_when_grace_ends([] { stop_now(); });
} catch (...) {
}

}  // namespace nwsgi::httpd_side
