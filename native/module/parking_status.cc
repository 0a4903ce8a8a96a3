#include "module/parking_status.h"

#include <httpd.h>

#include <ap_mpm.h>
#include <apr_optional_hooks.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <new>

namespace nwsgi::httpd_side {
namespace {

// The numbers of two children are not on one line of the processor's cache.
struct alignas(64) Entry {
  std::atomic<pid_t> owner{0};
  ParkingCounts counts;
};

// The module is never unloaded: these outlive restarts.
Entry* entries = nullptr;
size_t entry_count = 0;
ParkingCounts unshared;
ParkingCounts* own = &unshared;

bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

int show(request_rec* r, int flags) noexcept {
  uint64_t connections = 0;
  uint64_t requests = 0;
  for (size_t i = 0; i < entry_count; ++i) {
    const pid_t owner = entries[i].owner.load(std::memory_order_relaxed);
    if (owner == 0 || is_gone(owner)) continue;
    connections += entries[i].counts.connections.load(std::memory_order_relaxed);
    requests += entries[i].counts.requests.load(std::memory_order_relaxed);
  }
  if ((flags & AP_STATUS_SHORT) != 0) {
    ap_rprintf(r, "ConnsParked: %" APR_UINT64_T_FMT "\nRequestsParked: %" APR_UINT64_T_FMT "\n", connections, requests);
  } else {
    ap_rprintf(r,
               "<hr>\n<h2>nwsgi</h2>\n<p>%" APR_UINT64_T_FMT " requests are parked and hold no thread; %" APR_UINT64_T_FMT
               " connections are served by the module.</p>\n",
               requests, connections);
  }
  return OK;
}

}  // namespace

ParkingCounts& parking_counts() { return *own; }

void share_parking_counts() {
  int children = 0;
  if (entries != nullptr || ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children) != APR_SUCCESS || children <= 0) return;
  // Children that are about to end hold theirs while their successors start.
  const size_t count = static_cast<size_t>(children) * 2;
  void* const memory = ::mmap(nullptr, count * sizeof(Entry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  entries = new (memory) Entry[count];
  entry_count = count;
}

void claim_parking_counts() {
  const pid_t self = ::getpid();
  for (size_t i = 0; i < entry_count; ++i) {
    pid_t owner = entries[i].owner.load(std::memory_order_relaxed);
    if (owner != 0 && !is_gone(owner)) continue;
    if (!entries[i].owner.compare_exchange_strong(owner, self)) continue;
    own = &entries[i].counts;
    own->connections = 0;
    own->requests = 0;
    return;
  }
}

void register_parking_status() {
  APR_OPTIONAL_HOOK(ap, status_hook, show, nullptr, nullptr, APR_HOOK_MIDDLE);
}

}  // namespace nwsgi::httpd_side
