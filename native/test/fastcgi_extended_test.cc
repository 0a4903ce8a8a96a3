// The server as mod_nwsgi meets it.
#include "fastcgi_peer.h"

#include <random>

using namespace nwsgi::test;
using wire::Type;

namespace {

const std::string kRecord = encode({{"nwsgi.x-target", "wsgi\napplication\n/a.js"}, {"REQUEST_METHOD", "GET"}});

uint32_t app_status(const Received& record) {
  wire::EndRequest end;
  REQUIRE(record.header.type == Type::kEndRequest);
  REQUIRE(wire::get_end(record.content, &end));
  return end.app_status;
}

std::vector<int> kinds(std::initializer_list<Type> list) {
  std::vector<int> found;
  for (const Type type : list) found.push_back(static_cast<int>(type));
  return found;
}

}  // namespace

TEST_CASE("a request comes as its record, a complete answer leaves in one piece") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  CHECK(exchange->record() == kRecord);
  CHECK_FALSE(exchange->has_body());
  CHECK(loop.server->slot().active() == 1);
  REQUIRE(exchange->respond_on_loop("200 OK\nA:b\n", chunk_of("hello")) == Exchange::Accept::kOk);
  const auto records = peer.receive();
  REQUIRE(types(records) == kinds({Type::kHead, Type::kStdout, Type::kEndRequest}));
  CHECK(records[0].content == "200 OK\nA:b\n");
  CHECK(records[1].content == "hello");
  CHECK(records[1].header.id == 1);
  CHECK(app_status(records[2]) == wire::kEndComplete);
  CHECK(loop.server->slot().active() == 0);
  CHECK(loop.server->pending() == 0);
}

TEST_CASE("requests follow each other on a connection") {
  Loop loop;
  Peer peer(&loop);
  for (uint16_t id = 1; id < 50; ++id) {
    peer.send(extended_request(id, kRecord));
    const Ref<Exchange> exchange = loop.request();
    exchange->respond_on_loop("200 OK\n", chunk_of(std::to_string(id)));
    const auto records = peer.receive();
    CHECK(contents(records, Type::kStdout) == std::to_string(id));
    loop.mailbox->release_on_loop(exchange->handle());
  }
  CHECK(loop.server->connections() == 1);
}

TEST_CASE("a request that was cut at any byte is the same") {
  const std::string bytes = extended_request(7, kRecord + encode({{"BIG", std::string(700, 'b')}}), "body", true);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    Loop loop;
    Peer peer(&loop);
    peer.send(bytes.substr(0, cut));
    auto first = loop.turn();
    peer.send(bytes.substr(cut));
    auto second = loop.turn();
    first.insert(first.end(), second.begin(), second.end());
    REQUIRE(!first.empty());
    const Ref<Exchange> exchange = first[0].exchange;
    CHECK(value_of(exchange->record(), "BIG").size() == 700);
    CHECK(exchange->read_body_on_loop(100).bytes == "body");
    CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
  }
}

TEST_CASE("a request that comes byte by byte, with padding, is the same") {
  std::string bytes;
  wire::append_begin(&bytes, 3, wire::kKeepConnection | wire::kExtended | wire::kHasBody);
  const auto padded = [&bytes](Type type, std::string_view content) {
    const size_t at = bytes.size();
    wire::append_record(&bytes, type, 3, content);
    bytes[at + 6] = 5;
    bytes.append("XXXXX");
  };
  padded(Type::kParams, kRecord);
  padded(Type::kParams, {});
  padded(Type::kStdin, "abc");
  padded(Type::kRequestTrailers, "T:1\n");
  padded(Type::kStdin, {});
  Loop loop;
  Peer peer(&loop);
  Ref<Exchange> exchange;
  for (const char byte : bytes) {
    peer.send({&byte, 1});
    for (Envelope& envelope : loop.turn()) exchange = envelope.exchange;
  }
  REQUIRE(exchange);
  CHECK(exchange->record() == kRecord);
  CHECK(exchange->read_body_on_loop(100).bytes == "abc");
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
  CHECK(exchange->request_trailers_on_loop() == "T:1\n");
}

TEST_CASE("the body comes by credit, never more than the window") {
  Loop loop;
  Peer peer(&loop);
  std::string first(wire::kInitialCredit, 'x');
  peer.send(extended_request(1, kRecord, first, true, false));
  const Ref<Exchange> exchange = loop.request();
  CHECK(peer.receive().empty());  // nobody has read
  uint64_t sent = first.size();
  uint64_t read = 0;
  uint64_t credit = 0;
  bool ended = false;
  constexpr uint64_t kTotal = 1024 * 1024 + 17;
  while (true) {
    const BodyRead piece = exchange->read_body_on_loop(50000);
    if (piece.status == ReadStatus::kEnd) break;
    if (piece.status == ReadStatus::kData) {
      read += piece.bytes.size();
      CHECK(sent - read <= kBodyWindow);
    }
    for (const Received& record : peer.receive()) {
      REQUIRE(record.header.type == Type::kWantBody);
      uint32_t more = 0;
      REQUIRE(wire::get_want_body(record.content, &more));
      credit += more;
    }
    CHECK(sent - read + credit <= kBodyWindow);
    if (credit != 0 && sent < kTotal) {
      const uint64_t size = std::min({credit, kTotal - sent, uint64_t{40000}});
      std::string bytes;
      wire::append_stream(&bytes, Type::kStdin, 1, std::string(size, 'y'));
      peer.send(bytes);
      sent += size;
      credit -= size;
    }
    if (sent == kTotal && !std::exchange(ended, true)) {
      std::string end;
      wire::append_record(&end, Type::kStdin, 1, {});
      peer.send(end);
    }
    loop.turn();
  }
  CHECK(read == kTotal);
}

TEST_CASE("the first read that finds nothing asks for the body, whatever the credit") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord, {}, true, false));
  const Ref<Exchange> exchange = loop.request();
  CHECK(exchange->read_body_on_loop(10).status == ReadStatus::kPending);
  const auto records = peer.receive();
  REQUIRE(types(records) == kinds({Type::kWantBody}));
  std::string error;
  wire::append_text(&error, Type::kBodyError, 1, "the client left");
  peer.send(error);
  CHECK((loop.events() & kBody) != 0);
  const BodyRead read = exchange->read_body_on_loop(10);
  CHECK(read.status == ReadStatus::kError);
  CHECK(read.bytes == "the client left");
}

TEST_CASE("a peer that sends more than its credit is shut out") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord, std::string(wire::kInitialCredit + 1, 'x'), true, false));
  const auto envelopes = loop.turn();
  REQUIRE(!envelopes.empty());
  CHECK(envelopes[0].exchange->abort_reason() == AbortReason::kServerFault);
  CHECK(loop.server->connections() == 0);
}

TEST_CASE("output that the peer does not take pauses the application, and all of it arrives") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  exchange->head_on_loop("200 OK\n");
  std::mt19937 random(3);
  std::string all;
  size_t queued = 0;
  while (queued <= kHighWater) {
    std::string piece(random() % 70000, static_cast<char>('a' + random() % 26));
    all += piece;
    REQUIRE(exchange->write_on_loop(chunk_of(piece), &queued) == Exchange::Accept::kOk);
    CHECK((loop.events() & kWritable) == 0);
  }
  std::string body;
  const auto take = [&peer, &body] {
    for (const Received& record : peer.receive()) {
      if (record.header.type == Type::kStdout) body += record.content;
    }
  };
  CHECK(loop.server->pending() == 1);
  // receive() takes the envelopes as well: the event is looked for by itself.
  char buffer[1000];
  size_t drained = 0;
  uint32_t seen = 0;
  std::string raw;
  while ((seen & kWritable) == 0) {
    const ssize_t size = ::read(peer.fd(), buffer, sizeof buffer);
    if (size > 0) {
      raw.append(buffer, static_cast<size_t>(size));
      drained += static_cast<size_t>(size);
    }
    seen |= loop.events();
    REQUIRE(drained < all.size() + 100000);
  }
  exchange->complete_on_loop();
  for (int i = 0; i < 100000 && loop.server->pending() != 0; ++i) {
    loop.turn();
    ssize_t size;
    while ((size = ::read(peer.fd(), buffer, sizeof buffer)) > 0) raw.append(buffer, static_cast<size_t>(size));
  }
  (void)take;
  nwsgi::fastcgi::RecordParser parser;
  int last = 0;
  CHECK(parser.feed(raw, [&body, &last](const wire::Header& header, std::string_view piece, bool) {
    if (header.type == Type::kStdout) body += piece;
    last = static_cast<int>(header.type);
    return true;
  }));
  CHECK(last == static_cast<int>(Type::kEndRequest));
  CHECK(body == all);
}

TEST_CASE("a large block is sent in records from where it lies") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  std::string all(5 * 1024 * 1024 + 3, '\0');
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 31 >> 3);
  exchange->respond_on_loop("200 OK\n", chunk_of(all));
  const auto records = peer.receive();
  CHECK(contents(records, Type::kStdout) == all);
  CHECK(records.back().header.type == Type::kEndRequest);
}

TEST_CASE("files travel as descriptors, in their order") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  exchange->head_on_loop("200 OK\n");
  for (int i = 0; i < 3; ++i) {
    FILE* const file = std::tmpfile();
    std::fprintf(file, "file %d", i);
    std::fflush(file);
    exchange->write_on_loop(chunk_of("-"), nullptr);
    exchange->send_file_on_loop(::dup(fileno(file)), 1, 5);
    std::fclose(file);
  }
  exchange->complete_on_loop();
  const auto records = peer.receive();
  CHECK(types(records) == kinds({Type::kHead, Type::kStdout, Type::kFile, Type::kStdout, Type::kFile, Type::kStdout,
                                 Type::kFile, Type::kEndRequest}));
  REQUIRE(peer.descriptors.size() == 3);
  for (int i = 0; i < 3; ++i) {
    char text[16] = {};
    CHECK(::pread(peer.descriptors[static_cast<size_t>(i)], text, sizeof text, 0) == 6);
    CHECK(text[5] == '0' + i);
  }
}

TEST_CASE("interim heads, logs and trailers; a head longer than a record") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  const std::string head = "200 OK\nX:" + std::string(150000, 'h') + "\n";
  exchange->interim_on_loop("103 Early Hints\nLink:a\n");
  exchange->log(kLogWarning, "a line");
  exchange->head_on_loop(head);
  exchange->trailers_on_loop("T:1\n");
  exchange->complete_on_loop();
  const auto records = peer.receive();
  CHECK(contents(records, Type::kInterim) == "103 Early Hints\nLink:a\n");
  CHECK(contents(records, Type::kLog) == std::string(1, kLogWarning) + "a line");
  CHECK(contents(records, Type::kHead) == head);
  CHECK(contents(records, Type::kTrailers) == "T:1\n");
  CHECK(app_status(records.back()) == wire::kEndComplete);
}

TEST_CASE("failures and aborts say so") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  Ref<Exchange> exchange = loop.request();
  Failure failure;
  failure.status = 503;
  failure.code = "NWSGI4999";
  failure.message = "why";
  exchange->fail(failure);
  auto records = peer.receive();
  REQUIRE(types(records) == kinds({Type::kFailure, Type::kEndRequest}));
  Failure received;
  REQUIRE(wire::get_failure(records[0].content, &received));
  CHECK(received.message == "why");
  CHECK(app_status(records[1]) == wire::kEndFailed);

  peer.send(extended_request(2, kRecord));
  exchange = loop.request();
  exchange->head_on_loop("200 OK\n");
  exchange->abort_on_loop();
  records = peer.receive();
  CHECK(app_status(records.back()) == wire::kEndAborted);

  peer.send(extended_request(3, kRecord));
  exchange = loop.request();
  exchange->respond_on_loop("200 OK\n", Chunk{});
  CHECK(app_status(peer.receive().back()) == wire::kEndComplete);
}

TEST_CASE("an aborted request is told to the application, and what comes late for it is dropped") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord, "some", true, false));
  const Ref<Exchange> exchange = loop.request();
  std::string bytes;
  wire::append_abort(&bytes, 1, AbortReason::kTimeout);
  wire::append_stream(&bytes, Type::kStdin, 1, "late");
  wire::append_record(&bytes, Type::kStdin, 1, {});
  wire::append_abort(&bytes, 1, AbortReason::kTimeout);
  peer.send(bytes);
  CHECK((loop.events() & kAborted) != 0);
  CHECK(exchange->abort_reason() == AbortReason::kTimeout);
  CHECK(app_status(peer.receive().back()) == wire::kEndAborted);
  CHECK(exchange->respond_on_loop("200 OK\n", Chunk{}) == Exchange::Accept::kOver);
  peer.send(extended_request(2, kRecord));
  loop.request()->respond_on_loop("200 OK\n", chunk_of("next"));
  CHECK(contents(peer.receive(), Type::kStdout) == "next");
}

TEST_CASE("an unread body does not disturb the next request") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord, std::string(1000, 'x'), true, false));
  loop.request()->respond_on_loop("200 OK\n", Chunk{});
  peer.receive();
  peer.send(extended_request(2, kRecord));
  loop.request()->respond_on_loop("200 OK\n", chunk_of("second"));
  CHECK(contents(peer.receive(), Type::kStdout) == "second");
}

TEST_CASE("a peer that is gone aborts its request, at every byte of it") {
  const std::string bytes = extended_request(1, kRecord, "body", true, false);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    Loop loop;
    Peer peer(&loop);
    peer.send(bytes.substr(0, cut));
    auto envelopes = loop.turn();
    peer.hang_up();
    const uint32_t events = loop.events();
    if (!envelopes.empty()) {
      CHECK((events & kAborted) != 0);
      CHECK(envelopes[0].exchange->abort_reason() == AbortReason::kClientGone);
    }
    CHECK(loop.server->connections() == 0);
    CHECK(loop.server->slot().active() == 0);
  }
}

TEST_CASE("a peer that is gone while output waits") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  exchange->head_on_loop("200 OK\n");
  exchange->write_on_loop(chunk_of(std::string(3000000, 'x')), nullptr);
  loop.turn();
  CHECK(loop.server->pending() == 1);
  peer.hang_up();
  CHECK((loop.events() & kAborted) != 0);
  CHECK(loop.server->connections() == 0);
}

TEST_CASE("a tunnel carries bytes both ways until both sides have closed") {
  Loop loop;
  Peer peer(&loop);
  peer.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  exchange->upgrade_on_loop("101 Switching Protocols\nUpgrade:echo\n");
  exchange->write_on_loop(chunk_of("hello"), nullptr);
  auto records = peer.receive();
  CHECK(types(records) == kinds({Type::kUpgrade, Type::kStdout}));
  CHECK(loop.server->slot().active() == 0);
  CHECK(loop.server->slot().upgrades() == 1);
  std::string bytes;
  wire::append_record(&bytes, Type::kTunnel, 1, {});
  wire::append_stream(&bytes, Type::kStdin, 1, "from the client");
  peer.send(bytes);
  loop.turn();
  CHECK(exchange->read_body_on_loop(100).bytes == "from the client");
  exchange->complete_on_loop();
  records = peer.receive();
  REQUIRE(types(records) == kinds({Type::kStdout}));
  CHECK(records[0].content.empty());
  // The client may go on, and is asked to.
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kPending);
  CHECK(types(peer.receive()) == kinds({Type::kWantBody}));
  bytes.clear();
  wire::append_stream(&bytes, Type::kStdin, 1, "more");
  wire::append_record(&bytes, Type::kStdin, 1, {});
  peer.send(bytes);
  records = peer.receive();
  REQUIRE(types(records) == kinds({Type::kEndRequest}));
  CHECK(app_status(records[0]) == wire::kEndComplete);
  CHECK(exchange->read_body_on_loop(100).bytes == "more");
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
  CHECK(peer.ended);
  CHECK(loop.server->slot().upgrades() == 0);
}

TEST_CASE("a tunnel that is aborted by either side") {
  for (const bool by_application : {true, false}) {
    Loop loop;
    Peer peer(&loop);
    peer.send(extended_request(1, kRecord));
    const Ref<Exchange> exchange = loop.request();
    exchange->upgrade_on_loop("101 Switching Protocols\nUpgrade:echo\n");
    peer.receive();
    std::string bytes;
    wire::append_record(&bytes, Type::kTunnel, 1, {});
    peer.send(bytes);
    loop.turn();
    if (by_application) {
      exchange->complete_on_loop();
      peer.receive();
      exchange->abort_on_loop();
      CHECK(app_status(peer.receive().back()) == wire::kEndAborted);
    } else {
      peer.hang_up();
      CHECK((loop.events() & kAborted) != 0);
    }
    CHECK(loop.server->slot().upgrades() == 0);
    loop.turn();
    CHECK(loop.server->connections() == 0);
  }
}

TEST_CASE("a draining server finishes what it has begun and begins nothing more") {
  Loop loop;
  Peer idle(&loop);
  Peer busy(&loop);
  busy.send(extended_request(1, kRecord));
  const Ref<Exchange> exchange = loop.request();
  loop.server->drain();
  idle.receive();
  CHECK(idle.ended);
  idle.send(extended_request(1, kRecord));
  CHECK(loop.turn().empty());
  busy.receive();
  CHECK_FALSE(busy.ended);
  exchange->respond_on_loop("200 OK\n", chunk_of("done"));
  CHECK(contents(busy.receive(), Type::kStdout) == "done");
  CHECK(busy.ended);
  CHECK(loop.server->pending() == 0);
  Peer late(&loop);
  late.receive();
  CHECK(late.ended);
  // The request that came too late was not read: that is how its sender knows.
  loop.server->close_all();
  idle.take_some();
  CHECK(idle.reset);
}

TEST_CASE("what is no FastCGI closes the connection") {
  const std::string begin = [] {
    std::string bytes;
    wire::append_begin(&bytes, 1, wire::kExtended);
    return bytes;
  }();
  std::string twice = begin;
  wire::append_begin(&twice, 2, wire::kExtended);
  std::string short_begin;
  wire::append_record(&short_begin, Type::kBeginRequest, 1, "abc");
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), twice, short_begin}) {
    Loop loop;
    Peer peer(&loop);
    peer.send(bytes);
    peer.receive();
    CHECK((peer.ended || peer.reset));
    CHECK(loop.server->connections() == 0);
  }
}

TEST_CASE("random records never make the server go astray") {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    Loop loop({-1, 0, 0, {}, 0, 0});
    Peer peer(&loop, round % 2 == 0);
    std::string bytes;
    if (round % 3 != 0) bytes = extended_request(1, kRecord, "body", true, random() % 2 == 0);
    const int count = static_cast<int>(random() % 12);
    for (int i = 0; i < count; ++i) {
      const int type = random() % 4 == 0 ? static_cast<int>(random() % 256)
                                         : static_cast<int>(random() % 2 == 0 ? random() % 12 : 64 + random() % 11);
      std::string content(random() % 40, '\0');
      for (char& c : content) c = static_cast<char>(random());
      wire::append_record(&bytes, static_cast<Type>(type), static_cast<uint16_t>(random() % 3), content,
                          static_cast<uint8_t>(random() % 2));
      if (random() % 8 == 0) bytes += static_cast<char>(random());
    }
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = std::min<size_t>(1 + random() % 60, bytes.size() - at);
      if (::send(peer.fd(), bytes.data() + at, size, MSG_NOSIGNAL) < 0) break;
      at += size;
      for (const Envelope& envelope : loop.turn()) {
        switch (random() % 5) {
          case 0: envelope.exchange->respond_on_loop("200 OK\n", chunk_of("x")); break;
          case 1: envelope.exchange->head_on_loop("200 OK\n"); break;
          case 2: envelope.exchange->upgrade_on_loop("101 S\n"); break;
          case 3: envelope.exchange->read_body_on_loop(10); break;
          default: envelope.exchange->abort_on_loop();
        }
      }
    }
    peer.receive();
    peer.hang_up();
    loop.turn();
    CHECK(loop.server->connections() == 0);
    CHECK(loop.server->slot().active() == 0);
    CHECK(loop.server->slot().upgrades() == 0);
  }
}
