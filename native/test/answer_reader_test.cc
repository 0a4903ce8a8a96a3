#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "exchange/fastcgi.h"
#include "module/answer_reader.h"

namespace fastcgi = nwsgi::exchange::fastcgi;
using fastcgi::Type;
using nwsgi::exchange::End;
using nwsgi::exchange::Failure;
using nwsgi::exchange::OutputItem;
using nwsgi::httpd_side::AnswerReader;
using Kind = OutputItem::Kind;

namespace {

// Of 100 bytes, and nobody else's.
int a_file() {
  const int fd = ::memfd_create("test", MFD_CLOEXEC);
  REQUIRE(::ftruncate(fd, 100) == 0);
  return fd;
}

constexpr uint16_t kId = 7;

// Hands bytes over as a socket would, at most `portion` at a time.
void feed(AnswerReader* reader, std::string_view bytes, size_t portion = SIZE_MAX) {
  while (!bytes.empty()) {
    iovec places[2];
    const int count = reader->places(places);
    size_t left = std::min(portion, bytes.size());
    size_t given = 0;
    for (int i = 0; i < count && left != 0; ++i) {
      const size_t here = std::min(left, places[i].iov_len);
      std::memcpy(places[i].iov_base, bytes.data() + given, here);
      given += here;
      left -= here;
    }
    bytes.remove_prefix(given);
    reader->received(given);
  }
}

std::string simple_answer(std::string_view body) {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\nContent-Type:text/plain\n");
  fastcgi::append_stream(&bytes, Type::kStdout, kId, body);
  fastcgi::append_end(&bytes, kId, fastcgi::kEndComplete);
  return bytes;
}

std::string data_of(const std::vector<OutputItem>& output) {
  std::string data;
  for (const OutputItem& item : output) {
    if (item.kind == Kind::kData) data.append(item.chunk.data, item.chunk.size);
  }
  return data;
}

}  // namespace

TEST_CASE("an answer that comes as a whole is read at once") {
  AnswerReader reader(kId, 0);
  feed(&reader, simple_answer("hello"));
  const auto output = reader.take_output();
  REQUIRE(output.size() == 2);
  CHECK(output[0].kind == Kind::kHead);
  CHECK(output[0].text == "200 OK\nContent-Type:text/plain\n");
  CHECK(data_of(output) == "hello");
  CHECK(reader.end() == End::kComplete);
  CHECK(reader.over());
  CHECK(reader.at_rest());
}

TEST_CASE("an answer may come in portions of any size") {
  std::string body(150000, 'x');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 26);
  const std::string answer = simple_answer(body);
  for (const size_t portion : {size_t{1}, size_t{7}, size_t{8}, size_t{4093}, size_t{70000}, SIZE_MAX}) {
    AnswerReader reader(kId, 0);
    feed(&reader, answer, portion);
    const auto output = reader.take_output();
    CHECK(data_of(output) == body);
    CHECK(reader.end() == End::kComplete);
    CHECK(reader.at_rest());
    CHECK(reader.broken() == nullptr);
  }
}

TEST_CASE("padding and late records of another request are skipped") {
  std::string bytes;
  fastcgi::append_stream(&bytes, Type::kStdout, kId - 1, std::string(70000, 'o'));
  fastcgi::append_end(&bytes, kId - 1, fastcgi::kEndComplete);
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
  std::string padded;
  fastcgi::append_record(&padded, Type::kStdout, kId, "abc");
  padded[6] = 5;
  bytes += padded + "\1\2\3\4\5";
  fastcgi::append_end(&bytes, kId, fastcgi::kEndComplete);
  for (const size_t portion : {size_t{3}, SIZE_MAX}) {
    AnswerReader reader(kId, 0);
    feed(&reader, bytes, portion);
    CHECK(data_of(reader.take_output()) == "abc");
    CHECK(reader.end() == End::kComplete);
  }
}

TEST_CASE("a text in several pieces is one") {
  const std::string head = "200 OK\nX-Long:" + std::string(200000, 'v') + "\n";
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, kId, head);
  AnswerReader reader(kId, 0);
  feed(&reader, bytes, 1000);
  const auto output = reader.take_output();
  REQUIRE(output.size() == 1);
  CHECK(output[0].text == head);
  CHECK(reader.end() == End::kOpen);
  CHECK(reader.head_seen());
}

TEST_CASE("a head with a line above the limit breaks the answer") {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\nX-Long:" + std::string(100, 'v') + "\n");
  AnswerReader reader(kId, 100);
  feed(&reader, bytes);
  CHECK(reader.line_too_long());
  CHECK(reader.broken() != nullptr);
  AnswerReader patient(kId, 200);
  feed(&patient, bytes);
  CHECK(patient.broken() == nullptr);
}

TEST_CASE("a failure brings status, code and message; what is no code is not taken for one") {
  Failure failure;
  failure.status = 503;
  failure.code = "NWSGI3006";
  failure.message = "the loop was blocked";
  failure.retry_after = 5;
  failure.logged = true;
  for (const bool odd : {false, true}) {
    if (odd) failure.code = "evil\ncode";
    std::string bytes;
    fastcgi::append_failure(&bytes, kId, failure);
    fastcgi::append_end(&bytes, kId, fastcgi::kEndFailed);
    AnswerReader reader(kId, 0);
    feed(&reader, bytes, 5);
    CHECK(reader.end() == End::kFailed);
    CHECK(reader.failure().status == 503);
    CHECK(reader.failure().code == (odd ? "NWSGI1215" : "NWSGI3006"));
    CHECK(reader.failure().message == "the loop was blocked");
    CHECK(reader.failure().retry_after == 5);
    CHECK(reader.failure().logged);
  }
}

TEST_CASE("a failure after the head is an abort") {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
  fastcgi::append_end(&bytes, kId, fastcgi::kEndFailed);
  AnswerReader reader(kId, 0);
  feed(&reader, bytes);
  CHECK(reader.end() == End::kAborted);
}

TEST_CASE("a refused request has not begun") {
  std::string bytes;
  fastcgi::append_end(&bytes, kId, 0, fastcgi::kOverloaded);
  AnswerReader reader(kId, 0);
  feed(&reader, bytes);
  CHECK(reader.refused());
  CHECK(reader.end() == End::kFailed);
}

TEST_CASE("files take their descriptors in order") {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
  AnswerReader reader(kId, 0);
  feed(&reader, bytes);
  const int first = a_file();
  const int second = a_file();
  reader.received_descriptor(first);
  reader.received_descriptor(second);
  char record[fastcgi::kFileRecordSize];
  fastcgi::put_file(record, kId, 10, 20);
  feed(&reader, {record, sizeof record}, 3);
  fastcgi::put_file(record, kId, 30, 40);
  feed(&reader, {record, sizeof record});
  const auto output = reader.take_output();
  REQUIRE(output.size() == 3);
  CHECK(output[1].fd == first);
  CHECK(output[1].offset == 10);
  CHECK(output[2].fd == second);
  CHECK(output[2].length == 40);
  fastcgi::put_file(record, kId, 0, 1);
  feed(&reader, {record, sizeof record});
  CHECK(reader.broken() != nullptr);
}

TEST_CASE("a descriptor that is no file, or a shorter one, is not sent") {
  const auto broken = [](int fd, int64_t offset, int64_t length) {
    std::string bytes;
    fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
    AnswerReader reader(kId, 0);
    feed(&reader, bytes);
    reader.received_descriptor(fd);
    char record[fastcgi::kFileRecordSize];
    fastcgi::put_file(record, kId, offset, length);
    feed(&reader, {record, sizeof record});
    return reader.broken() != nullptr;
  };
  CHECK_FALSE(broken(a_file(), 0, 100));
  CHECK_FALSE(broken(a_file(), 100, 0));
  CHECK(broken(a_file(), 1, 100));
  CHECK(broken(a_file(), 101, 0));
  CHECK(broken(::open("/dev/null", O_RDONLY | O_CLOEXEC), 0, 0));
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  CHECK(broken(ends[0], 0, 0));
  ::close(ends[1]);
}

TEST_CASE("an answer with descriptors without end is broken") {
  AnswerReader reader(kId, 0);
  for (int i = 0; i < 64; ++i) reader.received_descriptor(a_file());
  CHECK(reader.broken() == nullptr);
  reader.received_descriptor(a_file());
  CHECK(reader.broken() != nullptr);
}

TEST_CASE("a descriptor that no record names is closed and spoils the connection") {
  int fd;
  {
    AnswerReader reader(kId, 0);
    fd = a_file();
    reader.received_descriptor(fd);
    feed(&reader, simple_answer("x"));
    CHECK(reader.end() == End::kComplete);
    CHECK_FALSE(reader.at_rest());
  }
  CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("what makes no sense breaks the answer") {
  const auto broken = [](const std::string& bytes) {
    AnswerReader reader(kId, 0);
    feed(&reader, bytes);
    CHECK(reader.end() != End::kComplete);
    return reader.broken() != nullptr;
  };
  std::string bytes;
  CHECK(broken("HTTP/1.1 200 OK\r\n\r\n"));
  fastcgi::append_stream(&bytes, Type::kStdout, kId, "no head");
  CHECK(broken(bytes));
  bytes.clear();
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
  fastcgi::append_text(&bytes, Type::kHead, kId, "200 OK\n");
  CHECK(broken(bytes));
  bytes.clear();
  fastcgi::append_record(&bytes, static_cast<Type>(99), kId, "?");
  CHECK(broken(bytes));
  bytes.clear();
  fastcgi::append_record(&bytes, Type::kHead, kId, "200", fastcgi::kMore);
  fastcgi::append_record(&bytes, Type::kTrailers, kId, "a:b\n");
  CHECK(broken(bytes));
  bytes.clear();
  fastcgi::append_record(&bytes, Type::kHead, kId, "200", fastcgi::kMore);
  fastcgi::append_end(&bytes, kId, fastcgi::kEndComplete);
  CHECK(broken(bytes));
  bytes.clear();
  fastcgi::append_record(&bytes, Type::kEndRequest, kId, "short");
  CHECK(broken(bytes));
}

TEST_CASE("an empty STDOUT ends one direction of a tunnel only") {
  std::string bytes;
  fastcgi::append_text(&bytes, Type::kUpgrade, kId, "101 Switching Protocols\n");
  fastcgi::append_stream(&bytes, Type::kStdout, kId, "raw");
  fastcgi::append_record(&bytes, Type::kStdout, kId, {});
  fastcgi::append_want_body(&bytes, kId, 100);
  AnswerReader reader(kId, 0);
  feed(&reader, bytes);
  CHECK(reader.end() == End::kComplete);
  CHECK_FALSE(reader.over());
  CHECK(reader.take_body_asked());
  CHECK(reader.take_credit() == 100);
  bytes.clear();
  fastcgi::append_end(&bytes, kId, fastcgi::kEndAborted);
  feed(&reader, bytes);
  CHECK(reader.end() == End::kAborted);
  CHECK(reader.over());
}

TEST_CASE("nothing after the end is read") {
  AnswerReader reader(kId, 0);
  feed(&reader, simple_answer("x") + "rubbish");
  CHECK(reader.end() == End::kComplete);
  CHECK(reader.broken() == nullptr);
  CHECK_FALSE(reader.at_rest());
}
