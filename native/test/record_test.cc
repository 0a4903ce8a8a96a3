#include "exchange/record.h"

#include <doctest/doctest.h>

#include <random>

using nwsgi::exchange::RecordReader;
using nwsgi::exchange::RecordWriter;

TEST_CASE("a record holds its pairs in order, with lengths below and above 128 bytes") {
  const std::string long_value(300, 'v');
  const std::string long_name(200, 'n');
  RecordWriter writer;
  CHECK(writer.add("REQUEST_METHOD", "GET"));
  CHECK(writer.add("EMPTY", ""));
  CHECK(writer.add(long_name, long_value));
  CHECK(writer.add("BYTES", std::string("\0\xff\n", 3)));
  const std::string bytes = writer.take();

  RecordReader reader(bytes);
  std::string_view name;
  std::string_view value;
  REQUIRE(reader.next(&name, &value));
  CHECK(name == "REQUEST_METHOD");
  CHECK(value == "GET");
  REQUIRE(reader.next(&name, &value));
  CHECK(value.empty());
  REQUIRE(reader.next(&name, &value));
  CHECK(name == long_name);
  CHECK(value == long_value);
  REQUIRE(reader.next(&name, &value));
  CHECK(value == std::string_view("\0\xff\n", 3));
  CHECK(reader.at_end());
}

TEST_CASE("a header keeps its name, behind a colon") {
  RecordWriter writer;
  writer.add_header("X-Forwarded-For", "a");
  const std::string bytes = writer.take();
  RecordReader reader(bytes);
  std::string_view name;
  std::string_view value;
  REQUIRE(reader.next(&name, &value));
  CHECK(name == ":X-Forwarded-For");
  CHECK(value == "a");
}

TEST_CASE("a truncated or lying record is refused, never read beyond its end") {
  RecordWriter writer;
  writer.add("NAME", std::string(200, 'x'));
  const std::string whole = writer.take();
  std::string_view name;
  std::string_view value;
  for (size_t size = 1; size < whole.size(); ++size) {
    RecordReader reader(std::string_view(whole).substr(0, size));
    CHECK_FALSE(reader.next(&name, &value));
  }
  RecordReader huge(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xffx", 9));
  CHECK_FALSE(huge.next(&name, &value));
}

TEST_CASE("random bytes never make the reader go astray") {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    RecordReader reader(bytes);
    std::string_view name;
    std::string_view value;
    size_t consumed = 0;
    while (!reader.at_end() && reader.next(&name, &value)) consumed += name.size() + value.size() + 2;
    CHECK(consumed <= bytes.size());
  }
}
