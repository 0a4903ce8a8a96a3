#include "exchange/response_head.h"

#include <doctest/doctest.h>

#include <string>

using namespace nwsgi::exchange;

namespace {

struct Parsed {
  std::string text;  // keeps what the head points into
  ResponseHead head;
  bool ok;
  explicit Parsed(std::string from) : text(std::move(from)), ok(head.parse(text.data(), text.size())) {}
  std::string fields() const {
    std::string all;
    for (const HeaderField& field : head.fields) all += std::string(field.name) + '=' + field.value + ';';
    return all;
  }
};

}  // namespace

TEST_CASE("the gateway's own form of a head") {
  const Parsed parsed("200 OK\nContent-Type:text/plain\nX-Empty:\n");
  REQUIRE(parsed.ok);
  CHECK(parsed.head.status == 200);
  CHECK(std::string(parsed.head.status_line) == "200 OK");
  CHECK(parsed.fields() == "Content-Type=text/plain;X-Empty=;");
  CHECK_FALSE(parsed.head.closes);
}

TEST_CASE("HTTP text: version, line ends, blanks and the empty line are accepted") {
  const Parsed parsed("HTTP/1.1 404 Not Found\r\nX-A: one \t\r\nX-B:two\r\n\r\n");
  REQUIRE(parsed.ok);
  CHECK(parsed.head.status == 404);
  CHECK(std::string(parsed.head.status_line) == "404 Not Found");
  CHECK(parsed.fields() == "X-A=one;X-B=two;");
  CHECK(Parsed("HTTP/1.1 204 \r\n\r\n").head.status == 204);
  CHECK(Parsed("299").head.status == 299);
}

TEST_CASE("what belongs to the connection is left out") {
  const Parsed parsed(
      "200 OK\nConnection: keep-alive, X-Hop\nKeep-Alive: timeout=5\nTransfer-Encoding: chunked\nTE: trailers\n"
      "Trailer: X-T\nUpgrade: h2c\nProxy-Connection: x\nX-HOP: 1\nX-Stays: 2\n");
  REQUIRE(parsed.ok);
  CHECK(parsed.fields() == "X-Stays=2;");
  CHECK(std::string(parsed.head.upgrade) == "h2c");
  CHECK_FALSE(parsed.head.closes);
}

TEST_CASE("Connection: close is a wish for the end of the connection, in each of several lines") {
  const Parsed parsed("200 OK\nconnection: X-Hop\nx-hop: 1\nX-Stays: 2\nConnection: Close\n");
  REQUIRE(parsed.ok);
  CHECK(parsed.head.closes);
  CHECK(parsed.fields() == "X-Stays=2;");
}

TEST_CASE("what is no head is refused") {
  for (const char* text : {"", "\n\n", "OK\n", "20 OK\n", "2000 OK\n", "HTTP/1.1\nA:b\n", "200 OK\nno colon\n",
                           "200 OK\n:no name\n"}) {
    CHECK_FALSE(Parsed(text).ok);
  }
}
