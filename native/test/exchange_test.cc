#include "exchange/exchange.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "exchange/mailbox.h"

using namespace nwsgi::exchange;
using std::chrono::milliseconds;

namespace {

Chunk chunk_of(std::string_view text) {
  Chunk chunk{static_cast<char*>(std::malloc(text.size() + 1)), text.size()};
  std::memcpy(chunk.data, text.data(), text.size());
  return chunk;
}

Chunk chunk_of_size(size_t size) { return chunk_of(std::string(size, 'x')); }

Work work_within(Exchange& exchange, int ms) { return exchange.wait_on_server(Clock::now() + milliseconds(ms)); }

struct Fixture {
  Ref<Mailbox> mailbox = Mailbox::create();
  Ref<Exchange> exchange;
  explicit Fixture(bool has_body = false) : exchange(Exchange::create("record", has_body)) {
    REQUIRE(mailbox->submit(exchange));
    std::vector<Envelope> batch;
    mailbox->take_on_loop(&batch, 64);
    REQUIRE(batch.size() == 1);
  }
  ~Fixture() { mailbox->drop_all(); }
  uint32_t events() {
    std::vector<Envelope> batch;
    mailbox->take_on_loop(&batch, 64);
    uint32_t all = 0;
    for (const Envelope& envelope : batch) all |= envelope.events;
    return all;
  }
};

}  // namespace

TEST_CASE("a complete response reaches the server as one piece of work") {
  Fixture f;
  CHECK(f.exchange->respond_on_loop("200 OK\n", chunk_of("hello")) == Exchange::Accept::kOk);
  const Work work = work_within(*f.exchange, 1000);
  REQUIRE(work.output.size() == 2);
  CHECK(work.output[0].text == "200 OK\n");
  CHECK(std::string_view(work.output[1].chunk.data, work.output[1].chunk.size) == "hello");
  CHECK(work.end == End::kComplete);
}

TEST_CASE("the first end wins; whatever the loop does afterwards is refused") {
  Fixture f;
  CHECK(f.exchange->head_on_loop("200 OK\n") == Exchange::Accept::kOk);
  CHECK(f.exchange->abort_on_loop() == Exchange::Accept::kOk);
  CHECK(f.exchange->complete_on_loop() == Exchange::Accept::kOver);
  CHECK(f.exchange->write_on_loop(chunk_of("late"), nullptr) == Exchange::Accept::kOver);
  f.exchange->fail({503, "NWSGI0000", "late"});
  CHECK(work_within(*f.exchange, 10).end == End::kAborted);
}

TEST_CASE("a failure before the head is a failure, after the head an abort") {
  Fixture before;
  before.exchange->fail({503, "NWSGI0000", "gone", false, 1});
  CHECK(work_within(*before.exchange, 10).end == End::kFailed);
  CHECK(before.exchange->failure_on_server().status == 503);
  Fixture after;
  after.exchange->head_on_loop("200 OK\n");
  after.exchange->fail({503, "NWSGI0000", "gone", false, 1});
  CHECK(work_within(*after.exchange, 10).end == End::kAborted);
}

TEST_CASE("the loop is told to pause above the high-water mark and to go on below the low one") {
  Fixture f;
  f.exchange->head_on_loop("200 OK\n");
  size_t queued = 0;
  while (queued <= kHighWater) REQUIRE(f.exchange->write_on_loop(chunk_of_size(16 * 1024), &queued) == Exchange::Accept::kOk);
  work_within(*f.exchange, 10);
  CHECK(f.events() == 0);
  f.exchange->output_written_on_server(queued - kLowWater - 1);
  CHECK(f.events() == 0);
  f.exchange->output_written_on_server(1);
  CHECK(f.events() == kWritable);
}

TEST_CASE("body bytes are asked for only when the application reads, and never beyond the window") {
  Fixture f(true);
  CHECK_FALSE(f.exchange->poll_on_server().body_wanted);
  CHECK(f.exchange->read_body_on_loop(1000).status == ReadStatus::kPending);
  CHECK(f.exchange->poll_on_server().body_wanted);
  CHECK(f.exchange->body_room_on_server() == kBodyWindow);
  const std::string block(kBodyWindow, 'b');
  f.exchange->push_body_on_server(block.data(), block.size());
  CHECK(f.events() == kBody);
  CHECK(f.exchange->body_room_on_server() == 0);
  CHECK_FALSE(f.exchange->poll_on_server().body_wanted);
  size_t read = 0;
  while (read < kBodyWindow) read += f.exchange->read_body_on_loop(10000).bytes.size();
  CHECK(f.exchange->poll_on_server().body_wanted);
  f.exchange->end_body_on_server();
  CHECK(f.exchange->read_body_on_loop(1).status == ReadStatus::kEnd);
  CHECK(f.exchange->read_body_on_loop(1).status == ReadStatus::kEnd);
}

TEST_CASE("W-58: bytes that arrived before a body error are delivered, then the error, again and again") {
  Fixture f(true);
  f.exchange->push_body_on_server("abc", 3);
  f.exchange->fail_body_on_server("the client left");
  CHECK(f.exchange->read_body_on_loop(10).bytes == "abc");
  CHECK(f.exchange->read_body_on_loop(10).status == ReadStatus::kError);
  CHECK(f.exchange->read_body_on_loop(10).bytes == "the client left");
}

TEST_CASE("a client that left is reported once and refuses output") {
  Fixture f;
  f.exchange->abort_on_server(AbortReason::kClientGone);
  f.exchange->abort_on_server(AbortReason::kTimeout);
  CHECK(f.events() == kAborted);
  CHECK(f.exchange->abort_reason() == AbortReason::kClientGone);
  CHECK(f.exchange->respond_on_loop("200 OK\n", {}) == Exchange::Accept::kOver);
}

TEST_CASE("new work makes the server's eventfd readable") {
  Fixture f;
  const int fd = ::eventfd(0, EFD_NONBLOCK);
  f.exchange->set_wake_fd_on_server(fd);
  pollfd waiting{fd, POLLIN, 0};
  CHECK(::poll(&waiting, 1, 0) == 0);
  f.exchange->log(kLogError, "line");
  CHECK(::poll(&waiting, 1, 0) == 1);
  f.exchange->finish_on_server();
  ::close(fd);
}

TEST_CASE("a log line is taken as long as the server listens, also after the end") {
  Fixture f;
  CHECK(f.exchange->log(kLogError, "one"));
  f.exchange->respond_on_loop("200 OK\n", {});
  CHECK(f.exchange->log(kLogError, "two"));
  const Work work = f.exchange->poll_on_server();
  REQUIRE(work.output.size() == 3);
  CHECK(work.output[2].text == "two");
  CHECK_FALSE(f.exchange->log(kLogError, "three"));
}

TEST_CASE("lines that nobody takes are given back in their order once they are too many") {
  Fixture f;
  const std::string line(1000, 'x');
  f.exchange->head_on_loop("200 OK\n");
  std::vector<OutputItem> before;
  size_t lines = 0;
  while (f.exchange->log(kLogError, std::to_string(lines) + line, &before)) ++lines;
  CHECK(lines * line.size() <= kMostLogged);
  REQUIRE(before.size() == lines);
  CHECK(before.front().text == "0" + line);
  CHECK(before.back().text == std::to_string(lines - 1) + line);
  CHECK(f.exchange->log(kLogError, "after", &before));
  const Work work = f.exchange->poll_on_server();
  REQUIRE(work.output.size() == 2);
  CHECK(work.output[0].kind == OutputItem::Kind::kHead);
  CHECK(work.output[1].text == "after");
  CHECK(before.size() == lines);
}

TEST_CASE("the application is told of body bytes when all that came together are there") {
  Fixture f(true);
  CHECK(f.exchange->read_body_on_loop(100).status == ReadStatus::kPending);
  f.exchange->add_body_on_server("one ", 4);
  f.exchange->add_body_on_server("two", 3);
  CHECK(f.events() == 0);
  f.exchange->push_body_on_server(nullptr, 0);
  CHECK(f.events() == kBody);
  REQUIRE(f.exchange->body_ready_on_loop() == 7);
  char taken[7];
  f.exchange->take_body_on_loop(taken, 7);
  CHECK(std::string_view(taken, 7) == "one two");
  CHECK(f.exchange->body_ready_on_loop() == 0);
}

TEST_CASE("thousands of exchanges served across threads are all answered, and nothing is left behind") {
  const Ref<Mailbox> mailbox = Mailbox::create();
  std::atomic<bool> stop{false};
  std::thread loop([&] {
    std::vector<Envelope> batch;
    while (!stop.load()) {
      batch.clear();
      mailbox->take_on_loop(&batch, 64);
      for (const Envelope& envelope : batch) {
        if ((envelope.events & kRequest) == 0) continue;
        envelope.exchange->head_on_loop("200 OK\n");
        envelope.exchange->write_on_loop(chunk_of("a"), nullptr);
        std::this_thread::yield();
        envelope.exchange->write_on_loop(chunk_of("b"), nullptr);
        envelope.exchange->complete_on_loop();
        mailbox->release_on_loop(envelope.handle);
      }
    }
  });
  std::atomic<int> answered{0};
  std::vector<std::thread> servers;
  for (int t = 0; t < 4; ++t) {
    servers.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        Ref<Exchange> exchange = Exchange::create("r", false);
        if (!mailbox->submit(exchange)) continue;
        std::string body;
        End end = End::kOpen;
        const bool leaves = (i + t) % 7 == 0;
        while (end == End::kOpen) {
          Work work = exchange->wait_on_server(Clock::now() + milliseconds(2000));
          for (const OutputItem& item : work.output) {
            if (item.kind == OutputItem::Kind::kData) body.append(item.chunk.data, item.chunk.size);
          }
          end = work.end;
          if (leaves) break;
        }
        if (leaves) {
          exchange->abort_on_server(AbortReason::kClientGone);
          ++answered;
        } else if (body == "ab" && end == End::kComplete) {
          ++answered;
        }
        exchange->finish_on_server();
      }
    });
  }
  for (std::thread& server : servers) server.join();
  for (int i = 0; i < 1000 && mailbox->live() != 0; ++i) std::this_thread::sleep_for(milliseconds(1));
  CHECK(mailbox->live() == 0);
  stop = true;
  loop.join();
  CHECK(answered == 8000);
  mailbox->drop_all();
}

TEST_CASE("an upgrade carries bytes and ends, and nothing else of a response") {
  Fixture f;
  CHECK(f.exchange->interim_on_loop("103 Early Hints\n") == Exchange::Accept::kOk);
  CHECK(f.exchange->upgrade_on_loop("101 Switching Protocols\n") == Exchange::Accept::kOk);
  CHECK(f.exchange->upgrade_on_loop("101 Switching Protocols\n") == Exchange::Accept::kOver);
  CHECK(f.exchange->head_on_loop("200 OK\n") == Exchange::Accept::kOver);
  CHECK(f.exchange->respond_on_loop("200 OK\n", chunk_of("x")) == Exchange::Accept::kOver);
  CHECK(f.exchange->trailers_on_loop("A:b\n") == Exchange::Accept::kOver);
  CHECK(f.exchange->write_on_loop(chunk_of("raw"), nullptr) == Exchange::Accept::kOk);
  const Work work = work_within(*f.exchange, 10);
  REQUIRE(work.output.size() == 3);
  CHECK(work.output[1].kind == OutputItem::Kind::kUpgrade);
  CHECK(work.output[2].kind == OutputItem::Kind::kData);
}

TEST_CASE("a response that has begun cannot be upgraded") {
  Fixture f;
  f.exchange->head_on_loop("200 OK\n");
  CHECK(f.exchange->upgrade_on_loop("101 Switching Protocols\n") == Exchange::Accept::kOver);
}

TEST_CASE("reads of an upgraded exchange give the bytes of the tunnel only") {
  Fixture f(true);
  f.exchange->push_body_on_server("body", 4);
  f.exchange->end_body_on_server();
  f.exchange->upgrade_on_loop("101 Switching Protocols\n");
  CHECK(f.exchange->read_body_on_loop(100).status == ReadStatus::kPending);
  CHECK_FALSE(f.exchange->poll_on_server().body_wanted);
  f.exchange->begin_tunnel_on_server();
  CHECK(f.exchange->poll_on_server().body_wanted);
  f.events();
  f.exchange->push_body_on_server("raw", 3);
  CHECK((f.events() & kBody) != 0);
  CHECK(f.exchange->read_body_on_loop(100).bytes == "raw");
  f.exchange->end_body_on_server();
  CHECK(f.exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
}

TEST_CASE("a tunnel can be read after its end, and be aborted or fail after it") {
  Fixture aborted;
  aborted.exchange->upgrade_on_loop("101 Switching Protocols\n");
  aborted.exchange->begin_tunnel_on_server();
  CHECK(aborted.exchange->complete_on_loop() == Exchange::Accept::kOk);
  CHECK(aborted.exchange->write_on_loop(chunk_of("late"), nullptr) == Exchange::Accept::kOver);
  CHECK(aborted.exchange->read_body_on_loop(100).status == ReadStatus::kPending);
  CHECK(aborted.exchange->abort_on_loop() == Exchange::Accept::kOk);
  CHECK(aborted.exchange->poll_on_server().end == End::kAborted);
  Fixture failed;
  failed.exchange->upgrade_on_loop("101 Switching Protocols\n");
  failed.exchange->begin_tunnel_on_server();
  failed.exchange->complete_on_loop();
  failed.exchange->fail({503, "NWSGI0000", "gone", false, 1});
  CHECK(failed.exchange->poll_on_server().end == End::kAborted);
}

TEST_CASE("trailers go behind the body, the request's are there with its end") {
  Fixture f(true);
  f.exchange->head_on_loop("200 OK\n");
  CHECK(f.exchange->trailers_on_loop("A:b\n") == Exchange::Accept::kOk);
  f.exchange->complete_on_loop();
  CHECK(work_within(*f.exchange, 10).output[1].kind == OutputItem::Kind::kTrailers);
  f.exchange->set_trailers_on_server("X:y\n");
  CHECK(f.exchange->request_trailers_on_loop().empty());
  f.exchange->end_body_on_server();
  CHECK(f.exchange->request_trailers_on_loop() == "X:y\n");
}
