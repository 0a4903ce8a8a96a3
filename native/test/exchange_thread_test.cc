// Requests that a thread serves which may wait, and the taker that gets them before a loop does.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "exchange/exchange.h"
#include "exchange/mailbox.h"

using namespace nwsgi::exchange;
using std::chrono::milliseconds;

namespace {

Chunk chunk_of_size(size_t size) {
  Chunk chunk{static_cast<char*>(std::malloc(size)), size};
  std::memset(chunk.data, 'x', size);
  return chunk;
}

void push(Exchange& exchange, std::string_view bytes) { exchange.push_body_on_server(bytes.data(), bytes.size()); }

// Runs the server's part a moment after the application's has begun to wait.
template <typename Server>
std::thread soon(Server server) {
  return std::thread([server] {
    std::this_thread::sleep_for(milliseconds(20));
    server();
  });
}

// What a read of at most so many bytes gives: the bytes, or the message of an error.
BodyRead wait_body(Exchange& exchange, size_t most) {
  BodyRead read{ReadStatus::kPending, std::string(most, '\0')};
  size_t got = 0;
  std::string error;
  read.status = exchange.wait_body_on_thread(read.bytes.data(), most, &got, &error);
  read.bytes.resize(got);
  if (read.status == ReadStatus::kError) read.bytes = error;
  return read;
}

struct Side final : ThreadSide {
  std::vector<std::pair<Exchange*, AbortReason>> told;
  void on_abort(Exchange* exchange, AbortReason reason) noexcept override { told.emplace_back(exchange, reason); }
};

struct Taker final : RequestTaker {
  bool wants = true;
  size_t closed = 0;
  std::vector<Ref<Exchange>> taken;
  bool take(const Ref<Exchange>& exchange) noexcept override {
    if (!wants || closed != 0) return false;
    taken.push_back(exchange);
    return true;
  }
  size_t in_progress() const noexcept override { return taken.size(); }
  void close(const Failure& failure) noexcept override {
    ++closed;
    for (const Ref<Exchange>& exchange : taken) exchange->fail(failure);
  }
};

struct Threaded {
  Side side;
  Ref<Exchange> exchange;
  explicit Threaded(bool has_body = true) : exchange(Exchange::create("record", has_body)) { exchange->serve_by_thread(&side); }
};

}  // namespace

TEST_CASE("a thread waits for body bytes, and takes what is there without waiting") {
  Threaded t;
  std::thread server = soon([&] { push(*t.exchange, "hello"); });
  BodyRead read = wait_body(*t.exchange, 4);
  CHECK(read.status == ReadStatus::kData);
  CHECK(read.bytes == "hell");
  server.join();
  CHECK(wait_body(*t.exchange, 100).bytes == "o");
  t.exchange->end_body_on_server();
  CHECK(wait_body(*t.exchange, 100).status == ReadStatus::kEnd);
  CHECK(wait_body(*t.exchange, 100).status == ReadStatus::kEnd);
}

TEST_CASE("a thread that waits for a body asks the server for it") {
  Threaded t;
  CHECK_FALSE(t.exchange->body_requested_on_server());
  std::thread server([&] {
    const Work work = t.exchange->wait_on_server(Clock::now() + milliseconds(2000));
    CHECK(work.body_wanted);
    t.exchange->end_body_on_server();
  });
  CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kEnd);
  server.join();
}

TEST_CASE("the end of a body, its failure and the end of the request wake a thread that waits for it") {
  SUBCASE("end") {
    Threaded t;
    std::thread server = soon([&] { t.exchange->end_body_on_server(); });
    CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kEnd);
    server.join();
  }
  SUBCASE("failure") {
    Threaded t;
    std::thread server = soon([&] { t.exchange->fail_body_on_server("too large"); });
    const BodyRead read = wait_body(*t.exchange, 10);
    CHECK(read.status == ReadStatus::kError);
    CHECK(read.bytes == "too large");
    server.join();
  }
  SUBCASE("the client is gone") {
    Threaded t;
    std::thread server = soon([&] { t.exchange->abort_on_server(AbortReason::kClientGone); });
    CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kError);
    server.join();
  }
  SUBCASE("the server has finished") {
    Threaded t;
    std::thread server = soon([&] { t.exchange->finish_on_server(); });
    CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kError);
    server.join();
  }
  SUBCASE("somebody fails the request") {
    Threaded t;
    std::thread other = soon([&] { t.exchange->fail({503, "NWSGI3003", "stopping", false, 0}); });
    CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kError);
    other.join();
  }
}

TEST_CASE("what has arrived can be read although the request is over") {
  Threaded t;
  push(*t.exchange, "rest");
  t.exchange->abort_on_server(AbortReason::kClientGone);
  CHECK(wait_body(*t.exchange, 10).bytes == "rest");
  CHECK(wait_body(*t.exchange, 10).status == ReadStatus::kError);
}

TEST_CASE("a thread waits until the client has taken enough of a slow response") {
  Threaded t(false);
  CHECK(t.exchange->wait_writable_on_thread());
  t.exchange->head_on_loop("200 OK\n");
  size_t queued = 0;
  REQUIRE(t.exchange->write_on_loop(chunk_of_size(kHighWater + 1), &queued) == Exchange::Accept::kOk);
  REQUIRE(queued > kHighWater);
  std::atomic<bool> written{false};
  std::thread server = soon([&] {
    written = true;
    t.exchange->output_written_on_server(kHighWater + 1);
  });
  CHECK(t.exchange->wait_writable_on_thread());
  CHECK(written);
  server.join();
}

TEST_CASE("the end of the request wakes a thread that waits for a slow client") {
  Threaded t(false);
  t.exchange->head_on_loop("200 OK\n");
  size_t queued = 0;
  t.exchange->write_on_loop(chunk_of_size(kHighWater + 1), &queued);
  std::thread server = soon([&] { t.exchange->abort_on_server(AbortReason::kClientGone); });
  CHECK_FALSE(t.exchange->wait_writable_on_thread());
  server.join();
}

TEST_CASE("the side of a thread hears of an abort, once, and of nothing else") {
  Threaded t;
  push(*t.exchange, "body");
  CHECK(t.side.told.empty());
  t.exchange->abort_on_server(AbortReason::kTimeout);
  REQUIRE(t.side.told.size() == 1);
  CHECK(t.side.told[0].first == t.exchange.get());
  CHECK(t.side.told[0].second == AbortReason::kTimeout);
  t.exchange->abort_on_server(AbortReason::kClientGone);
  t.exchange->finish_on_server();
  CHECK(t.side.told.size() == 1);
}

TEST_CASE("a completed request is not aborted any more") {
  Threaded t(false);
  t.exchange->respond_on_loop("200 OK\n", Chunk{});
  t.exchange->wait_on_server(Clock::now() + milliseconds(1000));
  t.exchange->finish_on_server();
  CHECK(t.side.told.empty());
}

TEST_CASE("a request may go from the loop to a thread: the mailbox hears of it no more") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Exchange> exchange = Exchange::create("r", true);
  REQUIRE(mailbox->submit(exchange));
  std::vector<Envelope> batch;
  mailbox->take_on_loop(&batch, 64);
  REQUIRE(batch.size() == 1);
  push(*exchange, "early");
  Side side;
  exchange->serve_by_thread(&side);
  mailbox->release_on_loop(batch[0].handle);
  exchange->end_body_on_server();
  exchange->abort_on_server(AbortReason::kClientGone);
  CHECK(side.told.size() == 1);
  batch.clear();
  CHECK_FALSE(mailbox->take_on_loop(&batch, 64));
  CHECK(mailbox->live() == 0);
  mailbox->drop_all();
}

TEST_CASE("a taker gets requests before the loop, and is counted") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Taker> taker = Ref<Taker>::adopt(new Taker());
  mailbox->set_taker_on_loop(Ref<RequestTaker>::share(taker.get()));
  REQUIRE(mailbox->submit(Exchange::create("python", false)));
  CHECK(taker->taken.size() == 1);
  CHECK_FALSE(mailbox->has_mail_on_loop());
  CHECK(mailbox->live() == 1);
  taker->wants = false;
  REQUIRE(mailbox->submit(Exchange::create("javascript", false)));
  CHECK(taker->taken.size() == 1);
  CHECK(mailbox->has_mail_on_loop());
  CHECK(mailbox->live() == 2);
  mailbox->drop_all();
}

TEST_CASE("a mailbox that closes closes its taker: what that took fails, nothing more gets in") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  const Ref<Taker> taker = Ref<Taker>::adopt(new Taker());
  mailbox->set_taker_on_loop(Ref<RequestTaker>::share(taker.get()));
  const Ref<Exchange> exchange = Exchange::create("python", false);
  REQUIRE(mailbox->submit(exchange));
  CHECK(mailbox->close({503, "NWSGI3003", "stopping", false, 0}).empty());
  CHECK(taker->closed == 1);
  CHECK(exchange->over());
  CHECK(exchange->failure_on_server().status == 503);
  CHECK_FALSE(mailbox->submit(Exchange::create("late", false)));
  mailbox->drop_all();
}

TEST_CASE("a mailbox without an environment lets go of its taker") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  struct Watched final : RequestTaker {
    bool* gone;
    explicit Watched(bool* g) : gone(g) {}
    ~Watched() override { *gone = true; }
    bool take(const Ref<Exchange>&) noexcept override { return false; }
    size_t in_progress() const noexcept override { return 0; }
    void close(const Failure&) noexcept override {}
  };
  bool gone = false;
  mailbox->set_taker_on_loop(Ref<RequestTaker>::adopt(new Watched(&gone)));
  CHECK_FALSE(gone);
  mailbox->drop_all();
  CHECK(gone);
}
