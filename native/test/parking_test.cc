// The parking service by itself, with real sockets and threads. What it needs of the server is at the end of this file.
#include <ap_mpm.h>
#include <apr_general.h>
#include <apr_pools.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "module/parking.h"
#include "module/spare_memory.h"

using nwsgi::exchange::Clock;
using nwsgi::httpd_side::Parked;
using nwsgi::httpd_side::Parking;
using std::chrono::milliseconds;

namespace {

constexpr int kThreads = 4;

// A service of its own for each test. What it leaves is never freed, as in a child.
class Service {
 public:
  Service() {
    static const bool ready = apr_initialize() == APR_SUCCESS;
    REQUIRE(ready);
    apr_pool_create(&pool_, nullptr);
    nwsgi::httpd_side::start_parking(pool_);
    parking_ = Parking::of_child();
    static auto& all = *new std::vector<Parking*>;  // reachable for ever
    all.push_back(parking_);
  }
  ~Service() {
    if (!ended_) CHECK(parking_->shut_down());
    apr_pool_destroy(pool_);
  }
  bool shut_down() {
    ended_ = true;
    return parking_->shut_down();
  }
  Parking* operator->() const { return parking_; }
  Parking* get() const { return parking_; }

 private:
  apr_pool_t* pool_ = nullptr;
  Parking* parking_ = nullptr;
  bool ended_ = false;
};

// Both ends do not block.
struct Pair {
  Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0); }
  ~Pair() {
    close_peer();
    ::close(fds[0]);
  }
  void close_peer() {
    if (fds[1] >= 0) ::close(fds[1]);
    fds[1] = -1;
  }
  int own() const { return fds[0]; }
  int peer() const { return fds[1]; }
  void send(const char* text) const { REQUIRE(::write(peer(), text, strlen(text)) == static_cast<ssize_t>(strlen(text))); }
  std::array<int, 2> fds{-1, -1};
};

// What the test sees of an object after the service has deleted it.
struct Seen {
  std::atomic<int> runs{0};
  std::atomic<uint32_t> why{0};      // of all runs
  std::atomic<uint32_t> events{0};
  std::atomic<bool> inside{false};
  std::atomic<bool> twice{false};    // two threads were in it
  std::atomic<int> deleted{0};

  bool wait_for(const std::function<bool()>& what, milliseconds longest = milliseconds(5000)) const {
    const Clock::time_point until = Clock::now() + longest;
    while (!what()) {
      if (Clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  bool runs_are(int count) const {
    return wait_for([&] { return runs >= count; });
  }
};

class Object final : public Parked {
 public:
  using Step = std::function<Wants(Object*, uint32_t why, uint32_t events)>;
  Object(Parking* service, std::shared_ptr<Seen> seen, Step step)
      : Parked(service), seen_(std::move(seen)), step_(std::move(step)) {}
  ~Object() override { ++seen_->deleted; }
  void forget() { forget_input(); }
  void unwatch() { unwatch_client(); }

 private:
  Wants run(uint32_t why, uint32_t events, apr_thread_t* thread) noexcept override {
    if (seen_->inside.exchange(true) || thread == nullptr) seen_->twice = true;
    seen_->why |= why;
    seen_->events |= events;
    const auto seen = seen_;
    Wants wants = step_(this, why, events);
    if (wants.over) unwatch_client();
    seen->inside = false;
    ++seen->runs;
    return wants;
  }

  const std::shared_ptr<Seen> seen_;
  const Step step_;
};

Parked::Wants over() { return {.over = true}; }

// Ends when it is told to stop, besides what `step` does.
Object* make(const Service& service, const std::shared_ptr<Seen>& seen, Object::Step step) {
  return new Object(service.get(), seen, [step = std::move(step)](Object* object, uint32_t why, uint32_t events) {
    return (why & Parked::kStop) != 0 ? over() : step(object, why, events);
  });
}

// Hands it to the service, waiting for `first`.
Object* park(const Service& service, Object* object, const Parked::Wants& first = {}) {
  REQUIRE(service->add(object));
  service->arm(object, first);
  service->release(object);
  return object;
}

}  // namespace

TEST_CASE("parking: an object runs when it is woken, and is told why") {
  Service service;
  const auto seen = std::make_shared<Seen>();
  Object* const object = park(service, make(service, seen, [](Object*, uint32_t, uint32_t) { return Parked::Wants{}; }));
  CHECK(service->parked() == 1);
  object->wake(Parked::kNews);
  CHECK(seen->runs_are(1));
  CHECK(seen->why == Parked::kNews);
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(seen->runs == 1);
}

TEST_CASE("parking: what wakes an object before it is released makes it run afterwards") {
  Service service;
  const auto seen = std::make_shared<Seen>();
  Object* const object = make(service, seen, [](Object*, uint32_t, uint32_t) { return over(); });
  REQUIRE(service->add(object));
  service->arm(object, {});
  object->wake(Parked::kNews);
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(seen->runs == 0);
  service->release(object);
  CHECK(seen->wait_for([&] { return seen->deleted == 1; }));
  CHECK(seen->runs == 1);
  CHECK(service->parked() == 0);
}

TEST_CASE("parking: no wake-up is lost, and one thread at a time runs an object") {
  Service service;
  constexpr int kObjects = 8;
  constexpr int kTimes = 4000;
  struct Count {
    std::atomic<int> given{0};
    std::atomic<int> found{0};
  };
  std::vector<std::shared_ptr<Seen>> seen;
  std::vector<Count> counts(kObjects);
  std::vector<Object*> objects;
  for (int i = 0; i < kObjects; ++i) {
    seen.push_back(std::make_shared<Seen>());
    Count* const count = &counts[i];
    objects.push_back(park(service, make(service, seen[i], [count](Object*, uint32_t, uint32_t) {
      count->found = count->given.load();
      return Parked::Wants{};
    })));
  }
  std::vector<std::thread> wakers;
  for (int w = 0; w < 4; ++w) {
    wakers.emplace_back([&, w] {
      for (int i = 0; i < kTimes; ++i) {
        const int which = (i * 7 + w) % kObjects;
        ++counts[which].given;
        objects[which]->wake(Parked::kNews);
        if (i % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
    });
  }
  for (std::thread& waker : wakers) waker.join();
  for (int i = 0; i < kObjects; ++i) {
    CHECK(seen[i]->wait_for([&] { return counts[i].found == counts[i].given; }));
    CHECK_FALSE(seen[i]->twice);
  }
}

TEST_CASE("parking: the clock wakes an object when its time has come, and not before a deadline that has moved") {
  Service service;
  const auto seen = std::make_shared<Seen>();
  const Clock::time_point begin = Clock::now();
  std::atomic<int64_t> passed{0};
  Object* const object = park(service, make(service, seen, [&](Object*, uint32_t why, uint32_t) -> Parked::Wants {
                                // Each piece of news moves the deadline on.
                                if ((why & Parked::kTime) == 0) return {.until = Clock::now() + milliseconds(60)};
                                passed = std::chrono::duration_cast<milliseconds>(Clock::now() - begin).count();
                                return {};
                              }),
                              {.until = begin + milliseconds(60)});
  for (int i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(milliseconds(25));
    object->wake(Parked::kNews);
  }
  CHECK(seen->wait_for([&] { return passed != 0; }));
  CHECK(passed >= 150);
}

TEST_CASE("parking: a deadline that has moved to an earlier time is kept") {
  Service service;
  const auto seen = std::make_shared<Seen>();
  Object* const object = park(service, make(service, seen, [](Object*, uint32_t why, uint32_t) -> Parked::Wants {
                                if ((why & Parked::kTime) != 0) return {};
                                return {.until = Clock::now() + milliseconds(30)};
                              }),
                              {.until = Clock::now() + std::chrono::seconds(60)});
  object->wake(Parked::kNews);
  CHECK(seen->wait_for([&] { return (seen->why & Parked::kTime) != 0; }));
}

TEST_CASE("parking: sockets wake who waits for what has come, and nobody else") {
  Service service;
  Pair client;
  Pair leg;
  const auto seen = std::make_shared<Seen>();
  std::atomic<bool> wants_input{false};
  Object* const object = park(service, make(service, seen, [&](Object*, uint32_t why, uint32_t events) -> Parked::Wants {
                                char bytes[100];
                                if ((why & Parked::kLeg) != 0) CHECK(::read(leg.own(), bytes, sizeof bytes) > 0);
                                if ((events & EPOLLIN) != 0) CHECK(::read(client.own(), bytes, sizeof bytes) >= 0);
                                return {.client_fd = client.own(),
                                        .client_events = wants_input ? uint32_t{EPOLLIN} : 0u,
                                        .leg_fd = leg.own(),
                                        .leg_events = EPOLLIN};
                              }),
                              {.client_fd = client.own(), .client_events = 0, .leg_fd = leg.own(), .leg_events = EPOLLIN});
  client.send("not asked for");
  std::this_thread::sleep_for(milliseconds(20));
  CHECK(seen->runs == 0);
  leg.send("x");
  CHECK(seen->runs_are(1));
  CHECK(seen->why == Parked::kLeg);
  leg.send("x");
  CHECK(seen->runs_are(2));
  // What has been there for long counts when it is asked for.
  wants_input = true;
  object->wake(Parked::kNews);
  CHECK(seen->wait_for([&] { return (seen->events & EPOLLIN) != 0; }));
  client.close_peer();
  CHECK(seen->wait_for([&] { return (seen->events & EPOLLHUP) != 0; }));
  // The hang-up stays for ever.
  CHECK(service.shut_down());
  CHECK(seen->deleted == 1);
}

TEST_CASE("parking: every byte of a client is found, whether it is read to the end or not") {
  Service service;
  Pair client;
  const auto seen = std::make_shared<Seen>();
  std::atomic<size_t> received{0};
  constexpr size_t kAll = 200000;
  const auto step = [&](Object* object, uint32_t, uint32_t events) -> Parked::Wants {
    bool drained = false;
    if ((events & EPOLLIN) != 0) {
      // Once in three times the socket is not read to its end.
      const int most = received % 3 == 0 ? 1 : 1000;
      for (int i = 0; i < most && !drained; ++i) {
        char bytes[64];
        object->forget();
        const ssize_t size = ::read(client.own(), bytes, sizeof bytes);
        if (size > 0) received += static_cast<size_t>(size);
        else drained = true;
      }
    }
    return {.client_fd = client.own(), .client_events = EPOLLIN, .input_is_drained = drained};
  };
  park(service, make(service, seen, step), {.client_fd = client.own(), .client_events = EPOLLIN});
  size_t sent = 0;
  while (sent < kAll) {
    char bytes[300] = {};
    const ssize_t size = ::write(client.peer(), bytes, std::min(1 + sent % 300, kAll - sent));
    if (size > 0) sent += static_cast<size_t>(size);
    if (size < 0 || sent % 7 == 0) std::this_thread::yield();
  }
  CHECK(seen->wait_for([&] { return received == kAll; }));
  CHECK_FALSE(seen->twice);
  CHECK(service.shut_down());
}

TEST_CASE("parking: objects that end while their events come are deleted once") {
  Service service;
  constexpr int kObjects = 200;
  std::vector<std::shared_ptr<Seen>> seen;
  std::vector<std::unique_ptr<Pair>> clients;
  std::vector<std::unique_ptr<Pair>> legs;
  for (int i = 0; i < kObjects; ++i) {
    seen.push_back(std::make_shared<Seen>());
    clients.push_back(std::make_unique<Pair>());
    legs.push_back(std::make_unique<Pair>());
    const Parked::Wants wants{.client_fd = clients[i]->own(), .client_events = EPOLLIN, .leg_fd = legs[i]->own(), .leg_events = EPOLLIN,
                              .until = Clock::now() + milliseconds(5 + i % 20)};
    park(service, make(service, seen[i], [](Object*, uint32_t, uint32_t) { return over(); }), wants);
  }
  std::thread other([&] {
    for (int i = kObjects - 1; i >= 0; --i) legs[i]->send("x");
  });
  for (int i = 0; i < kObjects; ++i) clients[i]->send("x");
  other.join();
  for (const auto& one : seen) CHECK(one->wait_for([&] { return one->deleted == 1; }));
  CHECK(service->parked() == 0);
  CHECK(service.shut_down());
  for (const auto& one : seen) CHECK(one->runs == 1);
}

TEST_CASE("parking: a step that blocks holds nobody else up, as long as there are threads") {
  Service service;
  std::atomic<bool> goes_on{false};
  std::vector<std::shared_ptr<Seen>> blocked;
  const auto block = [&](Object*, uint32_t, uint32_t) -> Parked::Wants {
    while (!goes_on) std::this_thread::sleep_for(milliseconds(1));
    return {};
  };
  for (int i = 0; i < kThreads - 1; ++i) {
    blocked.push_back(std::make_shared<Seen>());
    park(service, make(service, blocked.back(), block))->wake(Parked::kNews);
  }
  const auto seen = std::make_shared<Seen>();
  Object* const object = park(service, make(service, seen, [](Object*, uint32_t, uint32_t) { return Parked::Wants{}; }));
  for (int i = 1; i <= 20; ++i) {
    object->wake(Parked::kNews);
    CHECK(seen->runs_are(i));
  }
  for (const auto& one : blocked) CHECK(one->runs == 0);
  goes_on = true;
  for (const auto& one : blocked) CHECK(one->runs_are(1));
}

TEST_CASE("parking: a stop reaches everybody, and nothing is taken any more") {
  Service service;
  std::vector<std::shared_ptr<Seen>> seen;
  for (int i = 0; i < 50; ++i) {
    seen.push_back(std::make_shared<Seen>());
    // Some of them go on after a graceful stop.
    const bool stays = i % 5 == 0;
    park(service, new Object(service.get(), seen[i], [&service, stays](Object*, uint32_t why, uint32_t) {
      const bool ends = (why & Parked::kStop) != 0 && (!stays || service->stop_state() == Parking::Stop::kNow);
      return ends ? over() : Parked::Wants{};
    }));
  }
  service->stop(Parking::Stop::kGraceful, milliseconds(10000));
  CHECK(service->stop_deadline() > Clock::now());
  for (size_t i = 0; i < seen.size(); ++i) {
    CHECK(seen[i]->wait_for([&] { return (seen[i]->why & Parked::kStop) != 0; }));
    if (i % 5 != 0) CHECK(seen[i]->wait_for([&] { return seen[i]->deleted == 1; }));
  }
  CHECK(service->parked() == 10);
  const auto late = std::make_shared<Seen>();
  const auto object = std::make_unique<Object>(service.get(), late, [](Object*, uint32_t, uint32_t) { return over(); });
  CHECK_FALSE(service->add(object.get()));
  CHECK(service.shut_down());
  for (const auto& one : seen) CHECK(one->deleted == 1);
}

// ---- what the service calls of the module and of the server ----

// Of connections, of which there are none here.
void nwsgi::httpd_side::prepare_spare_memory(apr_pool_t*) {}

extern "C" {
apr_size_t ap_thread_stacksize = 0;
}

extern "C" apr_status_t ap_mpm_query(int query, int* result) {
  *result = query == AP_MPMQ_MAX_THREADS ? kThreads : 1;
  return APR_SUCCESS;
}

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 122)
extern "C" apr_status_t ap_thread_create(apr_thread_t** thread, apr_threadattr_t* attributes, apr_thread_start_t main, void* data, apr_pool_t* pool) {
  return apr_thread_create(thread, attributes, main, data, pool);
}
#endif
