#include "module/first_wait.h"

#include <ap_mpm.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string_view>

#include "module/config.h"
#include "module/parked_connection.h"

namespace nwsgi::httpd_side {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Without WSGIParkAfter. Simple answers come within some 100 µs; those that ask another service take longer than this.
constexpr milliseconds kLongest{3};
// Threads of a child that may be in such a wait: one of this many.
constexpr int kShareOfThreads = 4;
constexpr unsigned kPlaces = 256;
constexpr uint32_t kWhole = 1024;
// One request of so many tries again whether a slow mount is slow still.
constexpr uint32_t kTrial = 32;

// Share of the requests of a mount that were not answered in time (of kWhole), as a moving average. Mounts may share a
// place: then one of them waits too much or too little.
std::atomic<uint32_t> slowness[kPlaces];
std::atomic<uint32_t> turn{0};
std::atomic<int> waiting{0};

unsigned place_of(const request_rec* r, const RequestPlan& plan) {
  const size_t key = plan.mount != nullptr ? std::hash<const void*>()(plan.mount)
                                           : std::hash<std::string_view>()(r->filename != nullptr ? r->filename : "");
  return static_cast<unsigned>((key ^ (key >> 8) ^ (key >> 16)) % kPlaces);
}

int most_waiting() {
  static const int most = [] {
    int threads = 0;
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    return std::max(threads / kShareOfThreads, 1);
  }();
  return most;
}

}  // namespace

FirstWait::FirstWait(const request_rec* r, const RequestPlan& plan) : setting_(plan.settings->park_after) {
  // The service's own threads are few.
  if (setting_ == 0 || setting_ == kParkNever || ParkedConnection::owns(r->connection)) return;
  if (setting_ > 0) {
    longest_ = microseconds(setting_);
    return;
  }
  place_ = place_of(r, plan);
  const bool slow = slowness[place_].load(std::memory_order_relaxed) > kWhole / 2;
  if (slow && turn.fetch_add(1, std::memory_order_relaxed) % kTrial != 0) return;
  measured_ = true;
  if (waiting.fetch_add(1, std::memory_order_relaxed) < most_waiting()) longest_ = kLongest;
}

FirstWait::~FirstWait() {
  if (measured_) waiting.fetch_sub(1, std::memory_order_relaxed);
}

bool FirstWait::for_ever() const { return setting_ == kParkNever; }

void FirstWait::note(bool answered) {
  if (!measured_ || longest_.count() == 0) return;
  const uint32_t before = slowness[place_].load(std::memory_order_relaxed);
  const uint32_t target = answered ? 0 : kWhole;
  slowness[place_].store(before - before / 8 + target / 8, std::memory_order_relaxed);
}

}  // namespace nwsgi::httpd_side
