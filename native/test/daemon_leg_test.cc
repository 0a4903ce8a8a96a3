#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "exchange/fastcgi.h"
#include "exchange/record.h"
#include "module/daemon_connections.h"
#include "module/daemon_leg.h"

namespace fastcgi = nwsgi::exchange::fastcgi;
using fastcgi::Header;
using fastcgi::Type;
using nwsgi::exchange::AbortReason;
using nwsgi::exchange::Claim;
using nwsgi::exchange::Clock;
using nwsgi::exchange::End;
using nwsgi::exchange::OutputItem;
using nwsgi::exchange::Work;
using nwsgi::httpd_side::DaemonConnection;
using nwsgi::httpd_side::DaemonConnections;
using nwsgi::httpd_side::DaemonLeg;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Of 100 bytes, and nobody else's.
int a_file() {
  const int fd = ::memfd_create("test", MFD_CLOEXEC);
  REQUIRE(::ftruncate(fd, 100) == 0);
  return fd;
}

struct Record {
  Header header;
  std::string content;
};

// The worker's end of a connection.
class Worker {
 public:
  std::unique_ptr<DaemonConnection> connect(Claim claim = {0, 1}) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    fd_ = ends[1];
    const timeval wait{0, 50000};
    ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return std::make_unique<DaemonConnection>(ends[0], claim);
  }
  ~Worker() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void stop_sending() { ::shutdown(fd_, SHUT_WR); }
  void send(const std::string& bytes) { REQUIRE(::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())); }
  void send_file(uint16_t id, int file) {
    char record[fastcgi::kFileRecordSize];
    fastcgi::put_file(record, id, 1, 2);
    iovec part{record, sizeof record};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
    REQUIRE(::sendmsg(fd_, &message, 0) == static_cast<ssize_t>(sizeof record));
  }
  bool ended() {
    char byte;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
  }
  // Everything that has arrived.
  std::vector<Record> records() {
    char bytes[65536];
    for (ssize_t size; (size = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) rest_.append(bytes, static_cast<size_t>(size));
    std::vector<Record> found;
    Header header;
    while (rest_.size() >= fastcgi::kHeaderSize && fastcgi::get_header(rest_.data(), &header) && rest_.size() >= header.size()) {
      found.push_back({header, rest_.substr(fastcgi::kHeaderSize, header.length)});
      rest_.erase(0, header.size());
    }
    return found;
  }

 private:
  int fd_ = -1;
  std::string rest_;
};

std::string joined(const std::vector<Record>& records, Type type) {
  std::string all;
  for (const Record& record : records) {
    if (record.header.type == type) all += record.content;
  }
  return all;
}

int count(const std::vector<Record>& records, Type type) {
  int number = 0;
  for (const Record& record : records) number += record.header.type == type ? 1 : 0;
  return number;
}

std::string answer(uint16_t id, std::string_view body = "hello") {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, id, "200 OK\n");
  fastcgi::append_stream(&bytes, Type::kStdout, id, body);
  fastcgi::append_end(&bytes, id, fastcgi::kEndComplete);
  return bytes;
}

Work wait(DaemonLeg* leg) { return leg->wait_on_server(Clock::now() + seconds(2)); }

struct Setting {
  DaemonConnections pool;
  Worker worker;
  DaemonLeg leg;
  explicit Setting(bool has_body = false, std::string record = "record") : leg(std::move(record), has_body, &pool, {}) {}
};

}  // namespace

TEST_CASE("a request without a body leaves as a whole, and its connection is used again") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  const auto records = s.worker.records();
  REQUIRE(records.size() == 4);
  CHECK(records[0].header.type == Type::kBeginRequest);
  CHECK(records[0].content[2] == static_cast<char>(fastcgi::kExtended | fastcgi::kKeepConnection));
  CHECK(records[1].content == "record");
  CHECK(records[2].header.type == Type::kParams);
  CHECK(records[2].content.empty());
  CHECK(records[3].header.type == Type::kStdin);
  s.worker.send(answer(1));
  const Work work = wait(&s.leg);
  CHECK(work.output.size() == 2);
  CHECK(work.end == End::kComplete);
  CHECK(s.pool.idle(0) == 1);
  s.leg.finish_on_server();
  CHECK_FALSE(s.worker.ended());

  DaemonLeg next("second", false, &s.pool, {});
  REQUIRE(next.submit(s.pool.take({0, 1})));
  CHECK(s.worker.records()[0].header.id == 2);
}

TEST_CASE("a record of any length arrives") {
  Setting s(false, std::string(200000, 'r'));
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string params;
  for (int i = 0; i < 100 && params.size() < 200000; ++i) {
    params += joined(s.worker.records(), Type::kParams);
    s.leg.poll_on_server();
  }
  CHECK(params == std::string(200000, 'r'));
}

TEST_CASE("a small body goes with the request, more of it when it is asked for") {
  Setting s(true);
  CHECK(s.leg.body_room_on_server() == fastcgi::kInitialCredit);
  s.leg.push_body_on_server("first", 5);
  REQUIRE(s.leg.submit(s.worker.connect()));
  CHECK(joined(s.worker.records(), Type::kStdin) == "first");
  CHECK_FALSE(s.leg.poll_on_server().body_wanted);
  CHECK_FALSE(s.leg.body_requested_on_server());
  std::string ask;
  fastcgi::append_want_body(&ask, 1, 10);
  s.worker.send(ask);
  CHECK(wait(&s.leg).body_wanted);
  CHECK(s.leg.body_requested_on_server());
  CHECK(s.leg.body_room_on_server() == fastcgi::kInitialCredit - 5 + 10);
  s.leg.push_body_on_server("second", 6);
  s.leg.set_trailers_on_server("a:b\n");
  s.leg.end_body_on_server();
  const auto records = s.worker.records();
  CHECK(joined(records, Type::kStdin) == "second");
  CHECK(joined(records, Type::kRequestTrailers) == "a:b\n");
  CHECK(records.back().header.type == Type::kStdin);
  CHECK(records.back().content.empty());
  CHECK_FALSE(s.leg.poll_on_server().body_wanted);
}

TEST_CASE("the body stops at the credit") {
  Setting s(true);
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string ask;
  fastcgi::append_want_body(&ask, 1, 0);
  s.worker.send(ask);
  CHECK(wait(&s.leg).body_wanted);
  const std::string all(s.leg.body_room_on_server(), 'b');
  CHECK(all.size() == fastcgi::kInitialCredit);
  s.leg.push_body_on_server(all.data(), all.size());
  CHECK_FALSE(s.leg.poll_on_server().body_wanted);
  CHECK(s.leg.body_room_on_server() == 0);
  CHECK(joined(s.worker.records(), Type::kStdin) == all);
}

TEST_CASE("a body that fails is reported") {
  Setting s(true);
  REQUIRE(s.leg.submit(s.worker.connect()));
  s.leg.fail_body_on_server("the request body broke off");
  CHECK(joined(s.worker.records(), Type::kBodyError) == "the request body broke off");
  CHECK_FALSE(s.leg.poll_on_server().body_wanted);
}

TEST_CASE("a client that does not read makes the leg stop reading") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, 1, "200 OK\n");
  s.worker.send(bytes);
  bytes.clear();
  fastcgi::append_stream(&bytes, Type::kStdout, 1, std::string(32000, 'x'));
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) s.worker.send(bytes);
  });
  size_t got = 0;
  for (int i = 0; i < 200; ++i) {
    for (const OutputItem& item : s.leg.poll_on_server().output) got += item.weight();
    std::this_thread::sleep_for(milliseconds(1));
  }
  CHECK(got >= nwsgi::exchange::kHighWater);
  CHECK(got < 3 * nwsgi::exchange::kHighWater);
  DaemonLeg::Awaited awaited;
  CHECK(s.leg.awaits_on_server(&awaited));
  CHECK(awaited.fd == -1);
  size_t written = got;
  while (written < 3200000) {
    s.leg.output_written_on_server(got);
    got = 0;
    for (const OutputItem& item : s.leg.poll_on_server().output) got += item.weight();
    written += got;
  }
  writer.join();
  CHECK(written == 3200000);
}

TEST_CASE("a descriptor arrives with its file") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, 1, "200 OK\n");
  s.worker.send(bytes);
  const int file = a_file();
  s.worker.send_file(1, file);
  s.worker.send_file(1, file);
  ::close(file);
  bytes.clear();
  fastcgi::append_end(&bytes, 1, fastcgi::kEndComplete);
  s.worker.send(bytes);
  int files = 0;
  End end = End::kOpen;
  while (end == End::kOpen) {
    const Work work = wait(&s.leg);
    REQUIRE(work.any());
    for (const OutputItem& item : work.output) {
      if (item.kind != OutputItem::Kind::kFile) continue;
      ++files;
      CHECK(::fcntl(item.fd, F_GETFD) == FD_CLOEXEC);
    }
    end = work.end;
  }
  CHECK(files == 2);
  CHECK(s.pool.idle(0) == 1);
}

TEST_CASE("how a connection ends says whether the request has begun") {
  Setting s(true);
  s.leg.push_body_on_server("body", 4);
  s.leg.end_body_on_server();

  SUBCASE("closed before the request was sent") {
    auto connection = s.worker.connect();
    s.worker.close();
    CHECK_FALSE(s.leg.submit(std::move(connection)));
    CHECK(s.leg.loss() == DaemonLeg::Loss::kNotBegun);
  }
  SUBCASE("closed with the request unread") {
    REQUIRE(s.leg.submit(s.worker.connect()));
    s.worker.close();
    CHECK(wait(&s.leg).end == End::kFailed);
    CHECK(s.leg.loss() == DaemonLeg::Loss::kNotBegun);
  }
  SUBCASE("a worker that drains, with the request unread") {
    auto connection = s.worker.connect();
    s.worker.stop_sending();
    REQUIRE(s.leg.submit(std::move(connection)));
    CHECK(wait(&s.leg).end == End::kFailed);
    CHECK(s.leg.loss() == DaemonLeg::Loss::kNotBegun);
  }
  SUBCASE("closed after the request was read") {
    REQUIRE(s.leg.submit(s.worker.connect()));
    s.worker.records();
    s.worker.close();
    CHECK(wait(&s.leg).end == End::kFailed);
    CHECK(s.leg.loss() == DaemonLeg::Loss::kInFlight);
    CHECK(s.leg.failure_on_server().status == 502);
  }
  SUBCASE("closed after something of the answer") {
    REQUIRE(s.leg.submit(s.worker.connect()));
    std::string bytes;
    fastcgi::append_log(&bytes, 1, 4, "hm");
    s.worker.send(bytes);
    CHECK(wait(&s.leg).output.size() == 1);
    s.worker.close();
    CHECK(wait(&s.leg).end == End::kFailed);
    CHECK(s.leg.loss() == DaemonLeg::Loss::kInFlight);
  }
  SUBCASE("closed within the body") {
    REQUIRE(s.leg.submit(s.worker.connect()));
    s.worker.send(answer(1).substr(0, 25));
    CHECK(wait(&s.leg).end == End::kOpen);
    s.worker.close();
    CHECK(wait(&s.leg).end == End::kAborted);
  }
  CHECK(s.pool.idle(0) == 0);
}

TEST_CASE("a request that had not begun is sent again with its body") {
  Setting s(true);
  s.leg.push_body_on_server("body", 4);
  s.leg.end_body_on_server();
  REQUIRE(s.leg.submit(s.worker.connect()));
  s.worker.close();
  CHECK(wait(&s.leg).end == End::kFailed);
  Worker second;
  REQUIRE(s.leg.submit(second.connect({1, 1})));
  const auto records = second.records();
  CHECK(joined(records, Type::kParams) == "record");
  CHECK(joined(records, Type::kStdin) == "body");
  CHECK(count(records, Type::kStdin) == 2);
  second.send(answer(1));
  CHECK(wait(&s.leg).end == End::kComplete);
  CHECK(s.pool.idle(1) == 1);
}

TEST_CASE("an aborted request closes its connection") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  s.worker.records();
  s.leg.abort_on_server(AbortReason::kTimeout);
  s.leg.finish_on_server();
  const auto records = s.worker.records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].header.type == Type::kAbortRequest);
  CHECK(fastcgi::get_abort(records[0].content) == AbortReason::kTimeout);
  CHECK(s.worker.ended());
  CHECK(s.pool.idle(0) == 0);
}

TEST_CASE("a malformed answer is no answer") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  s.worker.send("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(wait(&s.leg).end == End::kFailed);
  CHECK(s.leg.failure_on_server().code == "NWSGI4106");
  CHECK(s.leg.failure_on_server().status == 502);
  CHECK(s.leg.loss() == DaemonLeg::Loss::kNone);
}

TEST_CASE("a malformed rest of an answer breaks it off, and none of the rest is handed out") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, 1, "200 OK\n");
  SUBCASE("after the head was handed out") {
    s.worker.send(bytes);
    CHECK(wait(&s.leg).output.size() == 1);
    s.worker.send("rubbish!");
    const Work work = wait(&s.leg);
    CHECK(work.output.empty());
    CHECK(work.end == End::kAborted);
  }
  SUBCASE("together with the head") {
    s.worker.send(bytes + "rubbish!");
    const Work work = wait(&s.leg);
    CHECK(work.output.empty());
    CHECK(work.end == End::kFailed);
  }
}

TEST_CASE("a tunnel carries bytes both ways, and each side closes by itself") {
  Setting s;
  REQUIRE(s.leg.submit(s.worker.connect()));
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kUpgrade, 1, "101 Switching Protocols\n");
  fastcgi::append_stream(&bytes, Type::kStdout, 1, "hi");
  s.worker.send(bytes);
  CHECK(wait(&s.leg).output.size() == 2);
  s.leg.begin_tunnel_on_server();
  s.worker.records();
  bytes.clear();
  fastcgi::append_want_body(&bytes, 1, 0);
  fastcgi::append_record(&bytes, Type::kStdout, 1, {});
  s.worker.send(bytes);
  const Work work = wait(&s.leg);
  CHECK(work.body_wanted);
  CHECK(work.end == End::kComplete);
  CHECK_FALSE(s.worker.ended());
  s.leg.push_body_on_server("raw", 3);
  s.leg.poll_on_server();
  CHECK(joined(s.worker.records(), Type::kStdin) == "raw");
  s.leg.end_body_on_server();
  bytes.clear();
  fastcgi::append_end(&bytes, 1, fastcgi::kEndComplete);
  s.worker.send(bytes);
  CHECK(wait(&s.leg).end == End::kComplete);
  s.leg.finish_on_server();
  CHECK(s.pool.idle(0) == 0);
}

TEST_CASE("connections of an earlier generation are not used") {
  DaemonConnections pool;
  Worker first;
  Worker second;
  pool.give_back(first.connect({3, 1}));
  CHECK(pool.idle(3) == 1);
  CHECK(pool.take({3, 2}) == nullptr);
  CHECK(pool.idle(3) == 0);
  CHECK(first.ended());
  pool.give_back(second.connect({3, 1}));
  CHECK(second.ended());
  CHECK(pool.idle(3) == 0);
}

TEST_CASE("connections to a worker that has gone are closed") {
  DaemonConnections pool;
  Worker first;
  Worker second;
  pool.give_back(first.connect({3, 1}));
  pool.give_back(second.connect({4, 1}));
  pool.forget({3, 1});
  CHECK(first.ended());
  CHECK_FALSE(second.ended());
  pool.forget({4, 2});
  CHECK_FALSE(second.ended());
}
