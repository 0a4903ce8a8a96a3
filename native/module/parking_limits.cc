#include "module/parking_limits.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_core.h>
#include <sys/resource.h>

#include <atomic>
#include <climits>
#include <cstdlib>

#include "module/config.h"
#include "module/daemon_config.h"
#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

// What a child should be able to have in flight.
constexpr long kWantedConnections = 10000;
// httpd's own default of AsyncRequestWorkerFactor.
constexpr double kDefaultFactor = 2;
// Descriptors of a child that are not clients'.
constexpr rlim_t kOtherFiles = 200;

double configured_factor() {
  double factor = kDefaultFactor;
  for (const ap_directive_t* line = ap_conftree; line != nullptr; line = line->next) {
    if (strcasecmp(line->directive, "AsyncRequestWorkerFactor") == 0) factor = std::atof(line->args);
  }
  return factor;
}

// The factor with which a child of so many threads takes the connections that are wanted. The listener that was stopped goes
// on below threads + (threads - 1) * factor only; 0: never.
long factor_for_wanted(int threads) {
  if (threads < 2) return 0;
  const long others = threads - 1;
  return (kWantedConnections - threads + others - 1) / others;
}

std::atomic<long> most_connections{LONG_MAX};

bool has_mounts(server_rec* main_server) {
  for (server_rec* server = main_server; server != nullptr; server = server->next) {
    if (server_config(server)->mounts->count != 0) return true;
  }
  return false;
}

}  // namespace

size_t most_connections_of_child() { return static_cast<size_t>(most_connections.load(std::memory_order_relaxed)); }

int report_parking_limits(apr_pool_t*, apr_pool_t*, apr_pool_t*, server_rec* server) noexcept try {
  int async = 0;
  int threads = 0;
  if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG || !has_mounts(server)) return OK;
  if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) != APR_SUCCESS || async <= 0) return OK;
  if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads <= 0) return OK;
  // event's connections_above_limit(), while all threads are idle because the requests are parked.
  const auto most = static_cast<long>(threads + threads * configured_factor());
  most_connections.store(most, std::memory_order_relaxed);
  const long factor = factor_for_wanted(threads);
  if (factor == 0) {
    log_server(server, APLOG_NOTICE, 0, Code::kParkingLimited,
               "a child process of one thread takes at most %ld connections at a time, those whose requests are parked "
               "included; for more of them raise ThreadsPerChild", most);
  } else if (configured_factor() < static_cast<double>(factor)) {
    log_server(server, APLOG_NOTICE, 0, Code::kParkingLimited,
               "a child process takes at most %ld connections at a time, those whose requests are parked included "
               "(ThreadsPerChild and AsyncRequestWorkerFactor); for %ld of them add \"AsyncRequestWorkerFactor %ld\"",
               most, kWantedConnections, factor);
  }
  rlimit files{};
  // Behind each request there may be a connection to a worker.
  const rlim_t needed = static_cast<rlim_t>(most) * (daemon_groups()->nelts != 0 ? 2 : 1) + kOtherFiles;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && files.rlim_cur < needed) {
    log_server(server, APLOG_WARNING, 0, Code::kParkingFiles,
               "a child process may open %lu files and take %ld connections; raise the former (ulimit -n, LimitNOFILE= of "
               "its systemd unit) to at least %lu",
               static_cast<unsigned long>(files.rlim_cur), most, static_cast<unsigned long>(needed));
  }
  return OK;
} catch (...) {
  return OK;
}

}  // namespace nwsgi::httpd_side
