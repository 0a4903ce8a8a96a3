#include "exchange/scoreboard.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace nwsgi::exchange {

namespace {
// Somebody that was woken for a place may die before it takes it: nobody sleeps longer than this without a look.
constexpr std::chrono::milliseconds kLongestSleep{500};

// An entry of ScoreboardPool::fronts: process ID (at most 2^22), time in units of 16 µs.
constexpr int kAgeBits = 42;
constexpr uint64_t kAgeMask = (uint64_t{1} << kAgeBits) - 1;

uint64_t age_of(Scoreboard::Clock::time_point since) {
  const auto age = std::chrono::duration_cast<std::chrono::microseconds>(since.time_since_epoch()).count() / 16;
  return static_cast<uint64_t>(age) & kAgeMask;
}

uint32_t bit_of(uint32_t front) { return front < ScoreboardPool::kFronts ? uint32_t{1} << front : UINT32_MAX; }
}  // namespace

bool futex_wait(const std::atomic<uint32_t>* word, uint32_t seen, std::chrono::nanoseconds longest, uint32_t who) {
  // With a set of bits the kernel wants the time at which to end.
  timespec limit{};
  ::clock_gettime(CLOCK_MONOTONIC, &limit);
  const auto until = std::chrono::seconds(limit.tv_sec) + std::chrono::nanoseconds(limit.tv_nsec) + longest;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(until);
  limit.tv_sec = static_cast<time_t>(seconds.count());
  limit.tv_nsec = static_cast<long>((until - seconds).count());
  return ::syscall(SYS_futex, reinterpret_cast<const uint32_t*>(word), FUTEX_WAIT_BITSET, seen, &limit, nullptr, who) == 0 ||
         errno != ETIMEDOUT;
}

int futex_wake(std::atomic<uint32_t>* word, int most, uint32_t who) {
  const long woken =
      ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_BITSET, most, nullptr, nullptr, who);
  return static_cast<int>(std::max(woken, 0L));
}

int Scoreboard::create() {
  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "nwsgi-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd < 0) return -1;
  // Sealed: a worker that made it shorter would take everybody down who has it mapped.
  if (::ftruncate(fd, static_cast<off_t>(size())) != 0 ||
      ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const int problem = errno;
    ::close(fd);
    errno = problem;
    return -1;
  }
  void* const memory = ::mmap(nullptr, sizeof(ScoreboardHeader), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    const int problem = errno;
    ::close(fd);
    errno = problem;
    return -1;
  }
  auto& header = *static_cast<ScoreboardHeader*>(memory);
  header.version = ScoreboardHeader::kVersion;
  header.worker_slots = kWorkerSlots;
  header.pool_slots = kPoolSlots;
  header.magic = ScoreboardHeader::kMagic;
  ::munmap(memory, sizeof(ScoreboardHeader));
  return fd;
}

bool Scoreboard::map(int fd, std::string* error) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size < static_cast<off_t>(sizeof(ScoreboardHeader))) {
    *error = "descriptor " + std::to_string(fd) + " is no scoreboard";
    return false;
  }
  const auto length = static_cast<size_t>(status.st_size);
  void* const memory = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    *error = std::string("the scoreboard cannot be mapped: ") + std::strerror(errno);
    return false;
  }
  if (attach(static_cast<char*>(memory), length)) return true;
  ::munmap(memory, length);
  *error = "descriptor " + std::to_string(fd) + " is no scoreboard of this version of nwsgi";
  return false;
}

bool Scoreboard::attach(char* memory, size_t length) {
  if (memory == nullptr || length < sizeof(ScoreboardHeader)) return false;
  const auto& header = *reinterpret_cast<ScoreboardHeader*>(memory);
  const uint32_t pools = header.pool_slots;
  const uint32_t workers = header.worker_slots;
  if (header.magic != ScoreboardHeader::kMagic || header.version != ScoreboardHeader::kVersion || pools > 0xffff ||
      workers > 0xffff || size(pools, workers) > length) {
    return false;
  }
  base_ = memory;
  mapped_ = length;
  pools_ = pools;
  workers_ = workers;
  workers_at_ = sizeof(ScoreboardHeader) + pools * sizeof(ScoreboardPool);
  return true;
}

void Scoreboard::unmap() {
  if (base_ != nullptr) ::munmap(base_, mapped_);
  *this = Scoreboard();
}

std::string Scoreboard::pool_name(std::string_view application_group) {
  if (application_group.size() <= ScoreboardPool::kNameSize) return std::string(application_group);
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : application_group) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char suffix[18];
  std::snprintf(suffix, sizeof suffix, "#%016llx", static_cast<unsigned long long>(hash));
  return std::string(application_group.substr(0, ScoreboardPool::kNameSize - 17)) + suffix;
}

uint32_t Scoreboard::find_pool(std::string_view application_group) const {
  std::string cut;
  std::string_view name = application_group;
  if (name.size() > ScoreboardPool::kNameSize) name = cut = pool_name(application_group);
  const uint32_t used = std::min(header().used_pools.load(), pools_);
  for (uint32_t i = 0; i < used; ++i) {
    const ScoreboardPool& entry = pool(i);
    if (entry.state.load(std::memory_order_acquire) == PoolState::kFree) continue;
    const size_t length = std::min<size_t>(entry.name_length, ScoreboardPool::kNameSize);
    if (std::string_view(entry.name, length) == name) return i;
  }
  return kNoPool;
}

bool Scoreboard::claim_slot(uint32_t slot, uint32_t pool, uint32_t threads, Claim* claim) const {
  ScoreboardWorker& worker = this->worker(slot);
  uint64_t tenancy = worker.tenancy.load();
  do {
    if (claims_of(tenancy) >= threads) return false;
    // After the load above, so that it is the state of that generation: the word would have changed with it.
    if (worker.state.load() != WorkerState::kServing || worker.pool.load() != pool) return false;
  } while (!worker.tenancy.compare_exchange_weak(tenancy, tenancy + 1));
  *claim = {slot, generation_of(tenancy)};
  return true;
}

ClaimResult Scoreboard::claim(uint32_t pool, Claim* claim) const {
  const uint32_t threads = std::max(this->pool(pool).threads.load(std::memory_order_relaxed), 1u);
  const uint32_t used = std::min(header().used_slots.load(std::memory_order_relaxed), workers_);
  for (;;) {
    bool any = false;
    uint32_t best = 0;
    uint32_t least = UINT32_MAX;
    for (uint32_t slot = 0; slot < used; ++slot) {
      const ScoreboardWorker& worker = this->worker(slot);
      if (worker.state.load() != WorkerState::kServing || worker.pool.load(std::memory_order_relaxed) != pool) continue;
      any = true;
      const uint32_t claims = claims_of(worker.tenancy.load());
      if (claims >= least || claims >= threads) continue;
      best = slot;
      least = claims;
    }
    if (!any) return ClaimResult::kNoneServing;
    if (least == UINT32_MAX) return ClaimResult::kBusy;
    if (claim_slot(best, pool, threads, claim)) return ClaimResult::kClaimed;
  }
}

void Scoreboard::release(const Claim& claim) const {
  ScoreboardWorker& worker = this->worker(claim.slot);
  uint64_t tenancy = worker.tenancy.load();
  do {
    if (generation_of(tenancy) != claim.generation || claims_of(tenancy) == 0) return;
  } while (!worker.tenancy.compare_exchange_weak(tenancy, tenancy - 1));
  const uint32_t pool = worker.pool.load(std::memory_order_relaxed);
  // Sequentially consistent on both sides: either this sees who waits, or who waits sees the place.
  if (pool < pools_ && this->pool(pool).waiting.load() != 0) announce(pool, false);
}

bool Scoreboard::begin_wait(uint32_t pool) const {
  ScoreboardPool& entry = this->pool(pool);
  if (entry.waiting.fetch_add(1) < entry.queue_limit.load(std::memory_order_relaxed)) return true;
  entry.waiting.fetch_sub(1);
  entry.queue_full.fetch_add(1, std::memory_order_relaxed);
  header().refused_full.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void Scoreboard::end_wait(uint32_t pool, Clock::time_point began) const {
  ScoreboardPool& entry = this->pool(pool);
  // The supervisor may have corrected the count meanwhile: never below zero.
  uint32_t waiting = entry.waiting.load();
  while (waiting != 0 && !entry.waiting.compare_exchange_weak(waiting, waiting - 1)) {
  }
  const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  entry.queue_wait_us.fetch_add(static_cast<uint64_t>(waited.count()), std::memory_order_relaxed);
  entry.queue_waits.fetch_add(1, std::memory_order_relaxed);
}

void Scoreboard::wait_for_freed(uint32_t pool, uint32_t seen, Clock::time_point until, uint32_t front) const {
  const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now());
  if (left.count() <= 0) return;
  futex_wait(&this->pool(pool).freed, seen, std::min<std::chrono::nanoseconds>(left, kLongestSleep), bit_of(front));
}

uint32_t Scoreboard::set_front(uint32_t pool, uint32_t front, Clock::time_point since) const {
  auto& fronts = this->pool(pool).fronts;
  const auto own = static_cast<uint64_t>(::getpid());
  const uint64_t value = own << kAgeBits | age_of(since);
  if (front < ScoreboardPool::kFronts) {
    uint64_t before = fronts[front].load();
    // Only its owner changes an entry, unless he is dead.
    if (before >> kAgeBits == own && fronts[front].compare_exchange_strong(before, value)) return front;
  }
  for (uint32_t i = 0; i < ScoreboardPool::kFronts; ++i) {
    uint64_t before = fronts[i].load();
    const auto owner = static_cast<pid_t>(before >> kAgeBits);
    const bool free = before == 0 || (::kill(owner, 0) != 0 && errno == ESRCH);
    if (free && fronts[i].compare_exchange_strong(before, value)) return i;
  }
  return kNoFront;
}

void Scoreboard::clear_front(uint32_t pool, uint32_t front) const {
  if (front >= ScoreboardPool::kFronts) return;
  auto& entry = this->pool(pool).fronts[front];
  uint64_t before = entry.load();
  if (before >> kAgeBits == static_cast<uint64_t>(::getpid())) entry.compare_exchange_strong(before, 0);
}

void Scoreboard::announce(uint32_t pool, bool everybody) const {
  ScoreboardPool& entry = this->pool(pool);
  entry.freed.fetch_add(1);
  uint32_t oldest = kNoFront;
  uint64_t since = 0;
  for (uint32_t i = 0; i < ScoreboardPool::kFronts && !everybody; ++i) {
    const uint64_t front = entry.fronts[i].load();
    if (front == 0) continue;
    const uint64_t age = front & kAgeMask;
    // Ages count up, and around.
    if (oldest != kNoFront && ((since - age) & kAgeMask) > kAgeMask / 2) continue;
    if (oldest != kNoFront && age == since) continue;
    oldest = i;
    since = age;
  }
  if (oldest != kNoFront && futex_wake(&entry.freed, 1, bit_of(oldest)) != 0) return;
  futex_wake(&entry.freed, everybody ? INT_MAX : 1);
}

}  // namespace nwsgi::exchange
