#include "exchange/scoreboard.h"
#include "fastcgi/slot.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <vector>

using namespace nwsgi::exchange;

namespace {

struct Table {
  Scoreboard board;
  Table() {
    const int fd = Scoreboard::create();
    REQUIRE(fd >= 0);
    std::string error;
    REQUIRE(board.map(fd, &error));
    ::close(fd);
  }
  ~Table() { board.unmap(); }

  uint32_t add_pool(const char* name, uint32_t threads, uint32_t queue_limit) {
    const uint32_t index = board.header().used_pools;
    ScoreboardPool& pool = board.pool(index);
    std::memcpy(pool.name, name, std::strlen(name));
    pool.name_length = static_cast<uint32_t>(std::strlen(name));
    pool.threads = threads;
    pool.queue_limit = queue_limit;
    pool.state = PoolState::kUsed;
    board.header().used_pools = index + 1;
    return index;
  }
  void add_worker(uint32_t slot, uint32_t pool, uint32_t generation = 1) {
    ScoreboardWorker& worker = board.worker(slot);
    worker.tenancy = uint64_t{generation} << 32;
    worker.pool = pool;
    worker.state = WorkerState::kServing;
    if (board.header().used_slots <= slot) board.header().used_slots = slot + 1;
  }
  uint32_t claims(uint32_t slot) { return Scoreboard::claims_of(board.worker(slot).tenancy); }
};

Scoreboard::Clock::time_point in(int milliseconds) {
  return Scoreboard::Clock::now() + std::chrono::milliseconds(milliseconds);
}

}  // namespace

TEST_CASE("a table is known by its header, anything else is refused") {
  Scoreboard board;
  std::string error;
  CHECK_FALSE(board.map(-1, &error));
  CHECK(error == "descriptor -1 is no scoreboard");
  FILE* const file = std::tmpfile();
  REQUIRE(::ftruncate(fileno(file), 100000) == 0);
  CHECK_FALSE(board.map(fileno(file), &error));
  CHECK(error.find("no scoreboard of this version") != std::string::npos);
  std::fclose(file);
  CHECK_FALSE(board);
  Table table;
  CHECK(table.board.pools() == 64);
  CHECK(table.board.workers() == 256);
  CHECK(table.board.mapped_size() == Scoreboard::size());
}

TEST_CASE("nobody can change the size of a table") {
  const int fd = Scoreboard::create();
  REQUIRE(fd >= 0);
  CHECK(::ftruncate(fd, 0) == -1);
  CHECK(::ftruncate(fd, 1 << 20) == -1);
  ::close(fd);
}

TEST_CASE("pools are found by name, free entries are not") {
  Table table;
  const uint32_t first = table.add_pool("one", 1, 1);
  const uint32_t second = table.add_pool("two", 1, 1);
  CHECK(table.board.find_pool("one") == first);
  CHECK(table.board.find_pool("two") == second);
  CHECK(table.board.find_pool("tw") == Scoreboard::kNoPool);
  CHECK(table.board.find_pool("") == Scoreboard::kNoPool);
  table.board.pool(first).state = PoolState::kFree;
  CHECK(table.board.find_pool("one") == Scoreboard::kNoPool);
}

TEST_CASE("long names are told apart; test/unit/supervisor-scoreboard.test.ts knows the same ones") {
  const std::string base(250, 'a');
  CHECK(Scoreboard::pool_name(base + "abcdef") == base + "abcdef");
  CHECK(Scoreboard::pool_name(base + "abcdefg") == std::string(239, 'a') + "#ce5c1b2265c278ed");
  CHECK(Scoreboard::pool_name(base + "abcdefg") != Scoreboard::pool_name(base + "abcdefh"));
  Table table;
  const uint32_t pool = table.add_pool(Scoreboard::pool_name(base + "abcdefg").c_str(), 1, 1);
  CHECK(table.board.find_pool(base + "abcdefg") == pool);
  CHECK(table.board.find_pool(base + "abcdefh") == Scoreboard::kNoPool);
}

TEST_CASE("a claim goes to the serving worker of the pool with the least claims") {
  Table table;
  const uint32_t other = table.add_pool("other", 2, 0);
  const uint32_t pool = table.add_pool("pool", 2, 0);
  Claim claim;
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kNoneServing);
  table.add_worker(0, other);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kNoneServing);
  table.add_worker(1, pool, 7);
  table.add_worker(3, pool, 9);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kClaimed);
  CHECK(claim.slot == 1);
  CHECK(claim.generation == 7);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kClaimed);
  CHECK(claim.slot == 3);
  CHECK(claim.generation == 9);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kClaimed);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kClaimed);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kBusy);
  table.board.release({1, 7});
  CHECK(table.claims(1) == 1);
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kClaimed);
  CHECK(claim.slot == 1);
  table.board.worker(3).state = WorkerState::kDraining;
  table.board.release({3, 9});
  CHECK(table.board.claim(pool, &claim) == ClaimResult::kBusy);
}

TEST_CASE("a claim of a worker that is gone is not given back to its successor") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 4, 0);
  table.add_worker(0, pool, 1);
  Claim old;
  REQUIRE(table.board.claim(pool, &old) == ClaimResult::kClaimed);
  table.add_worker(0, pool, 2);
  Claim fresh;
  REQUIRE(table.board.claim(pool, &fresh) == ClaimResult::kClaimed);
  table.board.release(old);
  CHECK(table.claims(0) == 1);
  table.board.release(fresh);
  table.board.release(fresh);
  CHECK(table.claims(0) == 0);
}

TEST_CASE("the queue has a limit, and what is refused is counted") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 1, 2);
  CHECK(table.board.begin_wait(pool));
  CHECK(table.board.begin_wait(pool));
  CHECK_FALSE(table.board.begin_wait(pool));
  CHECK(table.board.pool(pool).queue_full == 1);
  CHECK(table.board.header().refused_full == 1);
  table.board.end_wait(pool, Scoreboard::Clock::now());
  CHECK(table.board.begin_wait(pool));
  for (int i = 0; i < 3; ++i) table.board.end_wait(pool, Scoreboard::Clock::now());
  CHECK(table.board.pool(pool).waiting == 0);
}

TEST_CASE("of several who wait, the one whose request has waited longest is woken") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 1, 10);
  const auto now = Scoreboard::Clock::now();
  constexpr int kProcesses = 3;
  const int ages[kProcesses] = {20, 60, 40};
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  for (int i = 0; i < kProcesses; ++i) {
    if (::fork() != 0) continue;
    const uint32_t front = table.board.set_front(pool, Scoreboard::kNoFront, now - std::chrono::milliseconds(ages[i]));
    // The same entry as long as it is this process's.
    if (table.board.set_front(pool, front, now - std::chrono::milliseconds(ages[i])) != front) ::_exit(1);
    table.board.wait_for_freed(pool, table.board.freed(pool), in(10000), front);
    table.board.clear_front(pool, front);
    if (::write(ends[1], &ages[i], sizeof ages[i]) != sizeof ages[i]) ::_exit(1);
    ::_exit(0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  for (const int expected : {60, 40, 20}) {
    table.board.announce(pool, false);
    int age = 0;
    REQUIRE(::read(ends[0], &age, sizeof age) == sizeof age);
    CHECK(age == expected);
  }
  for (int i = 0; i < kProcesses; ++i) ::wait(nullptr);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("what a dead process has left does not keep others from being woken") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 1, 10);
  const auto now = Scoreboard::Clock::now();
  const pid_t gone = ::fork();
  if (gone == 0) {
    table.board.set_front(pool, Scoreboard::kNoFront, now - std::chrono::milliseconds(1000));
    ::_exit(0);
  }
  ::waitpid(gone, nullptr, 0);
  std::thread waiting([&] {
    const uint32_t front = table.board.set_front(pool, Scoreboard::kNoFront, now);
    CHECK(front == 0);  // the dead one's
    table.board.wait_for_freed(pool, table.board.freed(pool), in(10000), 1);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto began = Scoreboard::Clock::now();
  table.board.announce(pool, false);
  waiting.join();
  CHECK(Scoreboard::Clock::now() - began < std::chrono::milliseconds(300));
}

TEST_CASE("waiting ends at its time, and at once when something has changed before") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 1, 1);
  const uint32_t seen = table.board.freed(pool);
  const auto began = Scoreboard::Clock::now();
  table.board.wait_for_freed(pool, seen, in(30));
  CHECK(Scoreboard::Clock::now() - began >= std::chrono::milliseconds(25));
  table.board.announce(pool, true);
  const auto again = Scoreboard::Clock::now();
  table.board.wait_for_freed(pool, seen, in(5000));
  CHECK(Scoreboard::Clock::now() - again < std::chrono::milliseconds(400));
}

TEST_CASE("many processes share few places: nobody is left behind, nothing is over-claimed") {
  Table table;
  const uint32_t pool = table.add_pool("pool", 2, 1000);
  table.add_worker(0, pool, 1);
  table.add_worker(1, pool, 1);
  constexpr int kProcesses = 4;
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  const auto work = [&table, pool] {
    for (int round = 0; round < kRounds; ++round) {
      Claim claim;
      if (table.board.claim(pool, &claim) != ClaimResult::kClaimed) {
        const auto began = Scoreboard::Clock::now();
        if (!table.board.begin_wait(pool)) ::_exit(2);
        for (;;) {
          const uint32_t seen = table.board.freed(pool);
          if (table.board.claim(pool, &claim) == ClaimResult::kClaimed) break;
          table.board.wait_for_freed(pool, seen, in(10000));
          if (Scoreboard::Clock::now() - began > std::chrono::seconds(20)) ::_exit(3);
        }
        table.board.end_wait(pool, began);
      }
      if (table.claims(claim.slot) > 2) ::_exit(4);
      if (round % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      table.board.release(claim);
    }
  };
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::vector<std::thread> threads;
      for (int k = 0; k < kThreads; ++k) threads.emplace_back(work);
      for (std::thread& thread : threads) thread.join();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  CHECK(table.claims(0) == 0);
  CHECK(table.claims(1) == 0);
  CHECK(table.board.pool(pool).waiting == 0);
}

TEST_CASE("a worker gives back the claims of its requests, and in time those of whoever died before it could send one") {
  const int fd = Scoreboard::create();
  REQUIRE(fd >= 0);
  Scoreboard board;
  nwsgi::fastcgi::Slot slot;
  std::string error;
  REQUIRE(board.map(fd, &error));
  CHECK_FALSE(slot.open(fd, 256, 1, &error));
  REQUIRE(slot.open(fd, 2, 7, &error));
  ::close(fd);
  ScoreboardWorker& worker = board.worker(2);
  const auto claims = [&worker] { return Scoreboard::claims_of(worker.tenancy); };
  worker.tenancy = uint64_t{7} << 32 | 5;
  for (int i = 0; i < 4; ++i) slot.begun(true);
  CHECK(worker.active == 4);
  CHECK(worker.begun == 4);
  slot.finished(true);
  slot.upgraded(true);
  CHECK(claims() == 3);
  CHECK(worker.active == 2);
  CHECK(worker.upgraded == 1);
  CHECK(worker.finished == 2);
  slot.upgrade_over();
  CHECK(worker.upgraded == 0);
  // One claim too many. What comes and goes within a minute is no surplus.
  for (uint32_t i = 0; i < nwsgi::fastcgi::Slot::kReconcileTicks; ++i) {
    if (i == 30) worker.tenancy = uint64_t{7} << 32 | 2;
    if (i == 31) worker.tenancy = uint64_t{7} << 32 | 3;
    slot.reconcile();
  }
  CHECK(claims() == 3);
  for (uint32_t i = 0; i < nwsgi::fastcgi::Slot::kReconcileTicks; ++i) slot.reconcile();
  CHECK(claims() == 2);
  for (uint32_t i = 0; i < 3 * nwsgi::fastcgi::Slot::kReconcileTicks; ++i) slot.reconcile();
  CHECK(claims() == 2);
  // The slot is somebody else's.
  worker.tenancy = uint64_t{8} << 32 | 5;
  for (uint32_t i = 0; i < 3 * nwsgi::fastcgi::Slot::kReconcileTicks; ++i) slot.reconcile();
  slot.finished(true);
  CHECK(claims() == 5);
  board.unmap();
}
