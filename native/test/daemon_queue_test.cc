#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "exchange/scoreboard.h"
#include "module/daemon_queue.h"

using namespace nwsgi::exchange;
using nwsgi::httpd_side::DaemonQueues;
using State = DaemonQueues::Place::State;

namespace {

// A pool with one worker.
struct Group {
  Scoreboard board;
  std::unique_ptr<DaemonQueues> queues;
  uint32_t pool = 0;

  explicit Group(uint32_t threads, uint32_t queue_limit) {
    const int fd = Scoreboard::create();
    REQUIRE(fd >= 0);
    std::string error;
    REQUIRE(board.map(fd, &error));
    ::close(fd);
    ScoreboardPool& entry = board.pool(pool);
    std::memcpy(entry.name, "pool", 4);
    entry.name_length = 4;
    entry.threads = threads;
    entry.queue_limit = queue_limit;
    entry.state = PoolState::kUsed;
    board.header().used_pools = 1;
    ScoreboardWorker& worker = board.worker(0);
    worker.pool = pool;
    worker.tenancy = uint64_t{1} << 32;
    worker.state = WorkerState::kServing;
    board.header().used_slots = 1;
    queues = std::make_unique<DaemonQueues>(board);
  }
  ~Group() {
    queues->stop();
    board.unmap();
  }

  Claim claim() {
    Claim claim;
    REQUIRE(board.claim(pool, &claim) == ClaimResult::kClaimed);
    return claim;
  }
};

struct Bell final : Sink, Wakeup {
  std::atomic<int> rung{0};
  std::atomic<int> woken{0};
  Told on_news(Exchange*) noexcept override {
    ++rung;
    return {this};
  }
  void wake() noexcept override { ++woken; }
};

bool within_seconds(const auto& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

bool readable(int fd) {
  pollfd descriptor{fd, POLLIN, 0};
  return ::poll(&descriptor, 1, 0) == 1;
}

}  // namespace

TEST_CASE("the queue gives what becomes free to who came first, and tells him alone") {
  Bell bells[3];
  Group group(1, 10);
  const Claim busy = group.claim();
  DaemonQueues::Place places[3];
  for (int i = 0; i < 3; ++i) {
    places[i].set_sink(&bells[i]);
    REQUIRE(group.queues->enter(group.pool, &places[i]));
    CHECK(places[i].state() == State::kWaiting);
  }
  CHECK(group.queues->anybody(group.pool));
  CHECK(group.board.pool(group.pool).waiting == 3);
  Claim claim = busy;
  for (int i = 0; i < 3; ++i) {
    group.board.release(claim);
    REQUIRE(within_seconds([&] { return bells[i].rung != 0 && bells[i].woken != 0; }));
    REQUIRE(places[i].state() == State::kClaimed);
    for (int later = i + 1; later < 3; ++later) CHECK(places[later].state() == State::kWaiting);
    claim = places[i].take_claim();
    CHECK(claim.generation == 1);
  }
  for (const Bell& bell : bells) CHECK(bell.rung == 1);
  CHECK_FALSE(group.queues->anybody(group.pool));
  CHECK(group.board.pool(group.pool).waiting == 0);
  group.board.release(claim);
  CHECK(Scoreboard::claims_of(group.board.worker(0).tenancy) == 0);
}

TEST_CASE("who leaves the queue gives up its place, or the claim that it has got meanwhile") {
  Group group(1, 2);
  const Claim busy = group.claim();
  DaemonQueues::Place second;
  {
    DaemonQueues::Place first;
    REQUIRE(group.queues->enter(group.pool, &first));
    REQUIRE(group.queues->enter(group.pool, &second));
    DaemonQueues::Place third;
    CHECK_FALSE(group.queues->enter(group.pool, &third));
    CHECK(third.state() == State::kOutside);
    group.board.release(busy);
    REQUIRE(within_seconds([&] { return first.state() == State::kClaimed; }));
    CHECK(second.state() == State::kWaiting);
  }
  REQUIRE(within_seconds([&] { return second.state() == State::kClaimed; }));
  second.leave();
  CHECK(second.state() == State::kOutside);
  CHECK(Scoreboard::claims_of(group.board.worker(0).tenancy) == 0);
}

TEST_CASE("who waits in place is told by a descriptor, at whatever moment it asks for it") {
  Group group(1, 10);
  const Claim busy = group.claim();
  DaemonQueues::Place place;
  REQUIRE(group.queues->enter(group.pool, &place));
  const int fd = place.wake_fd();
  REQUIRE(fd >= 0);
  CHECK_FALSE(readable(fd));
  group.board.release(busy);
  REQUIRE(within_seconds([fd] { return readable(fd); }));
  group.board.release(place.take_claim());
  const Claim again = group.claim();
  REQUIRE(group.queues->enter(group.pool, &place));
  group.board.release(again);
  REQUIRE(within_seconds([&] { return place.state() == State::kClaimed; }));
  CHECK(readable(place.wake_fd()));
  // A sink that comes late is told at once.
  Bell bell;
  place.set_sink(&bell);
  CHECK((bell.rung == 1 && bell.woken == 1));
}

TEST_CASE("all who wait are told when nobody serves any more") {
  Group group(1, 10);
  group.claim();
  DaemonQueues::Place places[2];
  for (DaemonQueues::Place& place : places) REQUIRE(group.queues->enter(group.pool, &place));
  group.board.worker(0).state = WorkerState::kEnded;
  group.board.announce(group.pool, true);
  for (DaemonQueues::Place& place : places) {
    REQUIRE(within_seconds([&] { return place.state() == State::kNobodyServes; }));
  }
}

TEST_CASE("many threads that queue, leave and are served lose no place of the worker") {
  Bell bells[8];  // whoever is woken lives as long as the queue
  Group group(3, 1000);
  constexpr int kThreads = 8;
  constexpr int kRounds = 400;
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&group, &served, &bell = bells[i], i] {
      for (int round = 0; round < kRounds; ++round) {
        DaemonQueues::Place place;
        if (round % 2 == 0) place.set_sink(&bell);
        if (!group.queues->enter(group.pool, &place)) continue;
        if ((round + i) % 7 == 0) continue;  // leaves
        if (round % 2 == 0) {
          within_seconds([&] { return place.state() != State::kWaiting; });
        } else {
          pollfd descriptor{place.wake_fd(), POLLIN, 0};
          while (place.state() == State::kWaiting) ::poll(&descriptor, 1, 1000);
        }
        if (place.state() != State::kClaimed) continue;
        ++served;
        group.board.release(place.take_claim());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(served > kThreads * kRounds * 5 / 7);
  CHECK(group.board.pool(group.pool).waiting == 0);
  CHECK(Scoreboard::claims_of(group.board.worker(0).tenancy) == 0);
}
