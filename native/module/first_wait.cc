#include "module/first_wait.h"

#include <ap_mpm.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string_view>

#include "module/config.h"
#include "module/parked_connection.h"
#include "module/parking_limits.h"

namespace nwsgi::httpd_side {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Without WSGIParkAfter.
//
// All figures are CPU of the server for one request, hello world, two processors, 32 connections. To take a connection over and
// to end it costs 50 to 60 us more than to leave it to the MPM, which would use its pools again. From then on a request costs
// 13 us instead of 28 (45 on a busy machine); with one connection 20 instead of 120, with 1000 36 instead of 90.
//
// A request that is answered within this time is not worth it: an answer after 2 ms, on a connection of its own, costs 186 us
// in place and 248 parked. Longer waits would not make it cheaper (the thread sleeps and is woken either way), and hold
// threads. With an answer after 20 ms, on connections that stay, in place costs 174, parked 89.
constexpr milliseconds kLongest{3};
// So many requests a connection has had when it is taken over whatever they cost: as much as was lost until then is saved
// by as many again, and more.
constexpr int kReturning = 3;
// Of all connections that the MPM allows a child, so many may be the module's only because that is cheaper: one of this
// many. The MPM closes its idle ones when it runs out of them.
constexpr size_t kShareOfConnections = 2;
// Threads of a child that may wait for answers: one of this many, where nothing is known of the mount or it is slow now and
// then; else all but one of this many.
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

int most_waiting(bool is_fast) {
  static const int threads = [] {
    int most = 0;
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &most);
    return most;
  }();
  const int share = std::max(threads / kShareOfThreads, 1);
  return is_fast ? threads - share : share;
}

// Where the MPM waits in place there is no service.
bool comes_back(const conn_rec* c) {
  const Parking* const parking = Parking::of_child();
  return parking != nullptr && c->keepalives >= kReturning &&
         parking->parked() < most_connections_of_child() / kShareOfConnections;
}

}  // namespace

FirstWait::FirstWait(const request_rec* r, const RequestPlan& plan) : setting_(plan.settings->park_after) {
  // The service's own threads are few.
  if (setting_ == 0 || setting_ == kParkNever || ParkedConnection::owns(r->connection)) return;
  if (setting_ > 0) {
    longest_ = microseconds(setting_);
    return;
  }
  if (comes_back(r->connection)) return;
  place_ = place_of(r, plan);
  const uint32_t slow = slowness[place_].load(std::memory_order_relaxed);
  if (slow > kWhole / 2 && turn.fetch_add(1, std::memory_order_relaxed) % kTrial != 0) return;
  measured_ = true;
  if (waiting.fetch_add(1, std::memory_order_relaxed) < most_waiting(slow < kWhole / 8)) longest_ = kLongest;
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
