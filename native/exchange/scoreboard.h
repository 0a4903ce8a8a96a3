// What the children of httpd, the supervisor and the workers of one process group know of each other: a table in shared
// memory (a memfd), mapped by all of them. src/supervisor/scoreboard.ts mirrors the layout.
//
// Threads and processes: every field is read and written by any process, atomically; nobody takes a lock. Who writes a
// field is said beside it. Host byte order, all fields naturally aligned.
// Claims: a worker takes at most Pool::threads requests at a time. A child claims a place in a slot before it sends a
// request there; the worker gives the claim back when the request is over, the child when it could not send. A claim
// belongs to one generation of the slot: giving back one of a worker that is gone does nothing, because claims and
// generation are one 64-bit word that is compared as a whole.
// Lifetime: the memory lives as long as anybody maps it. A process may die at any point: a claim or a waiting count that
// it leaves behind is only a number; workers take back claims that nobody uses (fastcgi/slot.h).
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nwsgi::exchange {

struct ScoreboardHeader {
  static constexpr uint32_t kMagic = 0x4E575342;
  static constexpr uint32_t kVersion = 1;

  std::atomic<uint32_t> magic;  // set last by whoever makes the table
  std::atomic<uint32_t> version;
  std::atomic<uint32_t> worker_slots;
  std::atomic<uint32_t> pool_slots;
  std::atomic<uint32_t> used_slots;  // highest slot ever used + 1; supervisor
  std::atomic<uint32_t> used_pools;  // supervisor
  std::atomic<int32_t> supervisor_pid;
  uint32_t reserved;
  std::atomic<uint64_t> refused_full;     // requests refused because too many waited; children
  std::atomic<uint64_t> refused_timeout;  // requests refused because they waited too long; children
  std::atomic<uint64_t> retried;          // requests sent to another worker after the first one had left; children
  std::atomic<uint64_t> supervisor_due_ms;  // since 1970: no supervisor starts before that; 0: one is there; parent
  char unused[256 - 64];
};

enum class PoolState : uint32_t { kFree, kUsed, kUnavailable };

// The workers of one application group.
struct ScoreboardPool {
  static constexpr size_t kNameSize = 256;
  static constexpr size_t kFronts = 24;

  std::atomic<PoolState> state;         // supervisor; written after name and limits
  std::atomic<uint32_t> name_length;    // see Scoreboard::pool_name()
  std::atomic<uint32_t> threads;        // most requests at a time in one worker; supervisor
  std::atomic<uint32_t> queue_limit;    // most requests that wait for a free worker; supervisor
  std::atomic<uint32_t> waiting;        // requests that wait for a free worker; children
  std::atomic<uint32_t> freed;          // futex word: see Scoreboard::announce()
  std::atomic<uint32_t> serving;        // number of serving workers; supervisor
  uint32_t reserved;
  std::atomic<uint64_t> queue_full;     // children
  std::atomic<uint64_t> queue_timeouts; // children
  std::atomic<uint64_t> queue_wait_us;  // sum; children
  std::atomic<uint64_t> queue_waits;    // requests that had to wait; children
  char name[kNameSize];                 // supervisor
  std::atomic<uint64_t> fronts[kFronts];  // see Scoreboard::set_front(); children
};

enum class WorkerState : uint32_t { kFree, kStarting, kServing, kDraining, kEnded };

// The first cache line is what children look at when they choose a worker; the second one is the worker's own.
struct ScoreboardWorker {
  static constexpr size_t kExitTextSize = 256;

  std::atomic<WorkerState> state;     // supervisor
  std::atomic<uint32_t> pool;         // supervisor
  std::atomic<int32_t> pid;           // supervisor
  std::atomic<uint32_t> timed_out;    // +1 by a child whose request ran into request-timeout
  std::atomic<uint64_t> tenancy;      // low half: claims, children and worker; high half: generation, supervisor
  std::atomic<uint32_t> interrupt;    // futex word: +1 by the supervisor, the worker's watchdog interrupts JavaScript
  uint32_t reserved;
  char unused_first[64 - 32];

  std::atomic<uint32_t> active;       // requests begun and not over; worker (so are all to finished)
  std::atomic<uint32_t> upgraded;     // connections with another protocol; no longer counted in active and claims
  std::atomic<uint32_t> elu;          // event loop utilisation of the last second, per mille
  std::atomic<uint32_t> loop_beat;    // +1 each 500 ms by a timer of the loop
  std::atomic<uint32_t> heap_mib;
  std::atomic<uint32_t> rss_mib;
  std::atomic<uint64_t> begun;
  std::atomic<uint64_t> finished;
  std::atomic<uint64_t> started_ms;   // since 1970; supervisor
  char unused_second[64 - 48];

  std::atomic<uint32_t> exit_generation;   // set last: the generation whose end is described; supervisor (so are all below)
  std::atomic<uint32_t> exit_http_status;  // 502, 503 or 504
  std::atomic<uint32_t> exit_code_length;  // of the "NWSGInnnn" at the begin of exit_text
  char exit_text[kExitTextSize];           // "NWSGI4xxx what happened", ended by a NUL
  char unused_last[512 - 128 - 12 - kExitTextSize];
};

// src/supervisor/scoreboard.ts has these numbers. The halves of tenancy by themselves, for JavaScript:
constexpr size_t kClaimsOffset = std::endian::native == std::endian::little ? 16 : 20;
constexpr size_t kGenerationOffset = std::endian::native == std::endian::little ? 20 : 16;

static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);
static_assert(sizeof(ScoreboardHeader) == 256);
static_assert(offsetof(ScoreboardHeader, version) == 4);
static_assert(offsetof(ScoreboardHeader, worker_slots) == 8);
static_assert(offsetof(ScoreboardHeader, pool_slots) == 12);
static_assert(offsetof(ScoreboardHeader, used_slots) == 16);
static_assert(offsetof(ScoreboardHeader, used_pools) == 20);
static_assert(offsetof(ScoreboardHeader, supervisor_pid) == 24);
static_assert(offsetof(ScoreboardHeader, refused_full) == 32);
static_assert(offsetof(ScoreboardHeader, refused_timeout) == 40);
static_assert(offsetof(ScoreboardHeader, retried) == 48);
static_assert(offsetof(ScoreboardHeader, supervisor_due_ms) == 56);

static_assert(sizeof(ScoreboardPool) == 512);
static_assert(offsetof(ScoreboardPool, state) == 0);
static_assert(offsetof(ScoreboardPool, name_length) == 4);
static_assert(offsetof(ScoreboardPool, threads) == 8);
static_assert(offsetof(ScoreboardPool, queue_limit) == 12);
static_assert(offsetof(ScoreboardPool, waiting) == 16);
static_assert(offsetof(ScoreboardPool, freed) == 20);
static_assert(offsetof(ScoreboardPool, serving) == 24);
static_assert(offsetof(ScoreboardPool, queue_full) == 32);
static_assert(offsetof(ScoreboardPool, queue_timeouts) == 40);
static_assert(offsetof(ScoreboardPool, queue_wait_us) == 48);
static_assert(offsetof(ScoreboardPool, queue_waits) == 56);
static_assert(offsetof(ScoreboardPool, name) == 64);
static_assert(offsetof(ScoreboardPool, fronts) == 320);

static_assert(sizeof(ScoreboardWorker) == 512);
static_assert(offsetof(ScoreboardWorker, state) == 0);
static_assert(offsetof(ScoreboardWorker, pool) == 4);
static_assert(offsetof(ScoreboardWorker, pid) == 8);
static_assert(offsetof(ScoreboardWorker, timed_out) == 12);
static_assert(offsetof(ScoreboardWorker, tenancy) == 16);
static_assert(offsetof(ScoreboardWorker, interrupt) == 24);
static_assert(offsetof(ScoreboardWorker, active) == 64);
static_assert(offsetof(ScoreboardWorker, upgraded) == 68);
static_assert(offsetof(ScoreboardWorker, elu) == 72);
static_assert(offsetof(ScoreboardWorker, loop_beat) == 76);
static_assert(offsetof(ScoreboardWorker, heap_mib) == 80);
static_assert(offsetof(ScoreboardWorker, rss_mib) == 84);
static_assert(offsetof(ScoreboardWorker, begun) == 88);
static_assert(offsetof(ScoreboardWorker, finished) == 96);
static_assert(offsetof(ScoreboardWorker, started_ms) == 104);
static_assert(offsetof(ScoreboardWorker, exit_generation) == 128);
static_assert(offsetof(ScoreboardWorker, exit_http_status) == 132);
static_assert(offsetof(ScoreboardWorker, exit_code_length) == 136);
static_assert(offsetof(ScoreboardWorker, exit_text) == 140);

// A place in a worker that was claimed for one request.
struct Claim {
  uint32_t slot = 0;
  uint32_t generation = 0;
};

enum class ClaimResult : uint8_t {
  kClaimed,
  kBusy,         // workers serve, all of them are full
  kNoneServing,  // no worker of the pool serves
};

// Pointers into a mapped table. Copied freely; unmap() is for the owner of the mapping.
class Scoreboard {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kWorkerSlots = 256;
  static constexpr uint32_t kPoolSlots = 64;
  static constexpr uint32_t kNoPool = UINT32_MAX;
  static constexpr uint32_t kNoFront = UINT32_MAX;

  // Makes an empty table of the usual size; the descriptor has CLOEXEC. -1 and errno on failure.
  static int create();
  static constexpr size_t size(uint32_t pools = kPoolSlots, uint32_t workers = kWorkerSlots) {
    return sizeof(ScoreboardHeader) + pools * sizeof(ScoreboardPool) + workers * sizeof(ScoreboardWorker);
  }

  Scoreboard() = default;
  // Maps the table of a descriptor, which may be closed afterwards. False with a message when it is none.
  bool map(int fd, std::string* error);
  void unmap();
  // Over memory that somebody else has mapped (base() and mapped_size()). False when it holds no table.
  bool attach(char* memory, size_t length);

  explicit operator bool() const { return base_ != nullptr; }
  char* base() const { return base_; }
  size_t mapped_size() const { return mapped_; }
  ScoreboardHeader& header() const { return *reinterpret_cast<ScoreboardHeader*>(base_); }
  ScoreboardPool& pool(uint32_t index) const {
    return *reinterpret_cast<ScoreboardPool*>(base_ + sizeof(ScoreboardHeader) + index * sizeof(ScoreboardPool));
  }
  ScoreboardWorker& worker(uint32_t slot) const {
    return *reinterpret_cast<ScoreboardWorker*>(base_ + workers_at_ + slot * sizeof(ScoreboardWorker));
  }
  uint32_t pools() const { return pools_; }
  uint32_t workers() const { return workers_; }

  // The name under which an application group has its entry: a long one is cut and told apart from others by its hash
  // (FNV-1a, 64 bits, 16 hexadecimal digits behind a '#').
  static std::string pool_name(std::string_view application_group);
  // The pool's index, or kNoPool. Indexes never change their meaning while the table lives; a pool that is found may be
  // remembered.
  uint32_t find_pool(std::string_view application_group) const;

  // Claims a place in the serving worker of the pool that has the least claims. Never waits.
  ClaimResult claim(uint32_t pool, Claim* claim) const;
  // Gives a claim back and wakes one who waits for it. Nothing happens when the worker of that generation is gone.
  void release(const Claim& claim) const;

  // Waiting for a free worker. begin_wait() is false when the pool's queue is full (counted); every other begin_wait()
  // is followed by one end_wait().
  bool begin_wait(uint32_t pool) const;
  void end_wait(uint32_t pool, Clock::time_point began) const;
  // Between the two: take freed() first, then try to claim; when that fails wait_for_freed() returns when something may
  // have changed since, or at `until`. Spurious returns are allowed.
  uint32_t freed(uint32_t pool) const { return this->pool(pool).freed.load(); }
  void wait_for_freed(uint32_t pool, uint32_t seen, Clock::time_point until, uint32_t front = kNoFront) const;
  // A process whose requests stand in a line of its own says since when the first of them has waited, before it waits itself:
  // of several processes, the one whose request has waited longest is woken. `front`: what the last call returned, which is
  // kNoFront where there is no room for it (then it is woken in turn).
  uint32_t set_front(uint32_t pool, uint32_t front, Clock::time_point since) const;
  void clear_front(uint32_t pool, uint32_t front) const;
  // Says that something that children wait for may have changed: a claim was given back, a worker serves, a state changed.
  void announce(uint32_t pool, bool everybody) const;

  static uint32_t claims_of(uint64_t tenancy) { return static_cast<uint32_t>(tenancy); }
  static uint32_t generation_of(uint64_t tenancy) { return static_cast<uint32_t>(tenancy >> 32); }

 private:
  bool claim_slot(uint32_t slot, uint32_t pool, uint32_t threads, Claim* claim) const;

  char* base_ = nullptr;
  size_t mapped_ = 0;
  size_t workers_at_ = 0;
  uint32_t pools_ = 0;
  uint32_t workers_ = 0;
};

// FUTEX_WAIT and FUTEX_WAKE between processes. wait: false on time-out; true when woken, interrupted or *word != seen. wake:
// how many were woken, of those that share a bit of `who`.
bool futex_wait(const std::atomic<uint32_t>* word, uint32_t seen, std::chrono::nanoseconds longest, uint32_t who = UINT32_MAX);
int futex_wake(std::atomic<uint32_t>* word, int most, uint32_t who = UINT32_MAX);

}  // namespace nwsgi::exchange
