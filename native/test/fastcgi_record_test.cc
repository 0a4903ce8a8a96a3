#include "exchange/fastcgi.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace nwsgi::exchange;
using namespace nwsgi::exchange::fastcgi;

namespace {

struct Record {
  Header header;
  std::string_view content;
};

std::vector<Record> split(std::string_view bytes) {
  std::vector<Record> records;
  while (!bytes.empty()) {
    Record record;
    REQUIRE(bytes.size() >= kHeaderSize);
    REQUIRE(get_header(bytes.data(), &record.header));
    REQUIRE(bytes.size() >= record.header.size());
    record.content = bytes.substr(kHeaderSize, record.header.length);
    bytes.remove_prefix(record.header.size());
    records.push_back(record);
  }
  return records;
}

std::string join(std::string_view bytes, Type type) {
  TextJoiner joiner;
  std::string_view text;
  const std::vector<Record> records = split(bytes);
  for (size_t i = 0; i < records.size(); ++i) {
    CHECK(records[i].header.type == type);
    const TextJoiner::Result result = joiner.add(records[i].header, records[i].content, &text);
    CHECK((result == TextJoiner::Result::kComplete) == (i + 1 == records.size()));
  }
  return std::string(text);
}

}  // namespace

TEST_CASE("headers keep their numbers; other versions are refused") {
  char bytes[kHeaderSize];
  put_header(bytes, Type::kStdout, 0xabcd, 0xfedc, kMore);
  Header header;
  REQUIRE(get_header(bytes, &header));
  CHECK(header.type == Type::kStdout);
  CHECK(header.id == 0xabcd);
  CHECK(header.length == 0xfedc);
  CHECK(header.reserved == kMore);
  bytes[6] = static_cast<char>(0xff);
  REQUIRE(get_header(bytes, &header));
  CHECK(header.size() == kHeaderSize + 0xfedc + 0xff);
  bytes[0] = 2;
  CHECK_FALSE(get_header(bytes, &header));
}

TEST_CASE("texts of every length around the size of a record come together again") {
  for (const size_t size : {size_t{0}, size_t{1}, kLongestContent - 1, kLongestContent, kLongestContent + 1,
                            2 * kLongestContent, 3 * kLongestContent + 5}) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7);
    std::string bytes;
    append_text(&bytes, Type::kHead, 5, text);
    CHECK(join(bytes, Type::kHead) == text);

    bytes.clear();
    append_log(&bytes, 5, kLogWarning, text);
    const std::string content = join(bytes, Type::kLog);
    uint8_t level = 0;
    std::string_view line;
    REQUIRE(get_log(content, &level, &line));
    CHECK(level == kLogWarning);
    CHECK(line == text);
  }
}

TEST_CASE("a stream is cut into data records without an end") {
  std::string bytes;
  append_stream(&bytes, Type::kStdin, 1, "");
  CHECK(bytes.empty());
  const std::string body(200000, 'b');
  append_stream(&bytes, Type::kStdin, 1, body);
  std::string joined;
  for (const Record& record : split(bytes)) {
    CHECK(record.header.length != 0);
    CHECK(record.header.reserved == 0);
    joined += record.content;
  }
  CHECK(joined == body);
}

TEST_CASE("contents survive the way") {
  std::string bytes;
  append_begin(&bytes, 9, kKeepConnection | kExtended);
  Begin begin;
  REQUIRE(get_begin(split(bytes)[0].content, &begin));
  CHECK(begin.role == kResponder);
  CHECK(begin.flags == (kKeepConnection | kExtended));

  bytes.clear();
  append_end(&bytes, 9, kEndFailed, kCannotMultiplex);
  EndRequest end;
  REQUIRE(get_end(split(bytes)[0].content, &end));
  CHECK(end.app_status == kEndFailed);
  CHECK(end.protocol_status == kCannotMultiplex);

  bytes.clear();
  append_want_body(&bytes, 9, 0xfffefdfc);
  uint32_t credit = 0;
  REQUIRE(get_want_body(split(bytes)[0].content, &credit));
  CHECK(credit == 0xfffefdfc);

  char file[kFileRecordSize];
  put_file(file, 9, 0x123456789abcll, 42);
  int64_t offset = 0;
  int64_t length = 0;
  REQUIRE(get_file(split({file, sizeof file})[0].content, &offset, &length));
  CHECK(offset == 0x123456789abcll);
  CHECK(length == 42);
  put_file(file, 9, -1, 42);
  CHECK_FALSE(get_file({file + kHeaderSize, 16}, &offset, &length));
  put_file(file, 9, INT64_MAX, 1);
  CHECK_FALSE(get_file({file + kHeaderSize, 16}, &offset, &length));

  bytes.clear();
  append_abort(&bytes, 9, AbortReason::kTimeout);
  CHECK(get_abort(split(bytes)[0].content) == AbortReason::kTimeout);
  CHECK(get_abort("") == AbortReason::kClientGone);
  CHECK(get_abort("\x77") == AbortReason::kClientGone);
}

TEST_CASE("a failure survives the way, also a long one") {
  Failure failure;
  failure.status = 503;
  failure.code = "NWSGI4201";
  failure.message = std::string(100000, 'm');
  failure.logged = true;
  failure.retry_after = 70000;
  std::string bytes;
  append_failure(&bytes, 3, failure);
  const std::string content = join(bytes, Type::kFailure);
  Failure received;
  REQUIRE(get_failure(content, &received));
  CHECK(received.status == 503);
  CHECK(received.code == "NWSGI4201");
  CHECK(received.message == failure.message);
  CHECK(received.logged);
  CHECK(received.retry_after == 0xffff);
  for (size_t size = 0; size < 16; ++size) CHECK_FALSE(get_failure(content.substr(0, size), &received));
}

TEST_CASE("contents of a wrong length are refused") {
  Begin begin;
  EndRequest end;
  uint32_t credit = 0;
  int64_t number = 0;
  uint8_t level = 0;
  std::string_view text;
  for (size_t size = 0; size < 24; ++size) {
    const std::string content(size, '\1');
    CHECK(get_begin(content, &begin) == (size == 8));
    CHECK(get_end(content, &end) == (size == 8));
    CHECK(get_want_body(content, &credit) == (size == 4));
    CHECK(get_file(content, &number, &number) == (size == 16));
    CHECK(get_log(content, &level, &text) == (size != 0));
  }
}

TEST_CASE("a text without end is refused before it fills the memory") {
  TextJoiner joiner;
  Header header;
  header.reserved = kMore;
  const std::string piece(kLongestContent, 'x');
  std::string_view text;
  size_t taken = 0;
  while (joiner.add(header, piece, &text) == TextJoiner::Result::kMore) taken += piece.size();
  CHECK(taken <= kLongestText);
  CHECK(taken + piece.size() > kLongestText);
}

TEST_CASE("request ids count from 1 to 65535 and begin again") {
  CHECK(next_id(0) == 1);
  CHECK(next_id(1) == 2);
  CHECK(next_id(65534) == 65535);
  CHECK(next_id(65535) == 1);
}
