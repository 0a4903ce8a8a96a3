// The server as NGINX, Caddy and mod_proxy_fcgi meet it, and what it makes of their requests and for them.
#include "fastcgi_peer.h"

#include "fastcgi/plain_record.h"
#include "fastcgi/plain_response.h"

using namespace nwsgi::test;
using nwsgi::fastcgi::PlainOptions;
using nwsgi::fastcgi::PlainRecords;
using nwsgi::fastcgi::PlainRequest;
using nwsgi::fastcgi::PlainResponse;
using wire::Type;

namespace {

const Pairs kGet = {{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", "/a b"}, {"REQUEST_URI", "/a%20b?q"}, {"CONTENT_LENGTH", ""}};

std::string text_of(const std::vector<Received>& records) { return contents(records, Type::kStdout); }

bool ends_with_end(const std::vector<Received>& records) {
  return !records.empty() && records.back().header.type == Type::kEndRequest;
}

PlainRequest made(const Pairs& pairs, PlainOptions options = {}) {
  PlainRequest request;
  REQUIRE(PlainRecords(std::move(options)).make(encode(pairs), &request));
  return request;
}

FILE* file_of(std::string_view content) {
  FILE* const file = std::tmpfile();
  std::fwrite(content.data(), 1, content.size(), file);
  std::fflush(file);
  return file;
}

}  // namespace

TEST_CASE("plain: an answer is text in STDOUT, with its end; Status of the application is dropped") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, kGet));
  const Ref<Exchange> exchange = loop.request();
  CHECK_FALSE(exchange->has_body());
  exchange->respond_on_loop("201 Made\nA: b\nStatus:fake\nConnection:close\n", chunk_of("body"));
  const auto records = peer.receive();
  CHECK(text_of(records) == "Status: 201 Made\r\nA: b\r\n\r\nbody");
  CHECK(ends_with_end(records));
  CHECK_FALSE(peer.ended);
}

TEST_CASE("plain: HEAD has no body, and no more is sent than was announced") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, {{"REQUEST_METHOD", "HEAD"}}));
  loop.request()->respond_on_loop("200 OK\nContent-Length:4\n", chunk_of("body"));
  auto records = peer.receive();
  CHECK(text_of(records) == "Status: 200 OK\r\nContent-Length: 4\r\n\r\n");
  CHECK(ends_with_end(records));
  peer.send(plain_request(1, kGet));
  loop.request()->respond_on_loop("200 OK\nContent-Length:4\n", chunk_of("body and more"));
  records = peer.receive();
  CHECK(text_of(records) == "Status: 200 OK\r\nContent-Length: 4\r\n\r\nbody");
  CHECK(ends_with_end(records));
}

TEST_CASE("plain: what is incomplete has no end") {
  const auto incomplete = [](auto answer) {
    Loop loop;
    Peer peer(&loop, false);
    peer.send(plain_request(1, kGet));
    answer(loop.request().get());
    const auto records = peer.receive();
    CHECK_FALSE(ends_with_end(records));
    CHECK(peer.ended);
    CHECK(peer.broken);  // for those that take the end of a connection for the end of a response
    return text_of(records);
  };
  CHECK(incomplete([](Exchange* e) { e->respond_on_loop("200 OK\nContent-Length:9\n", chunk_of("short")); }).find("short") !=
        std::string::npos);
  incomplete([](Exchange* e) {
    e->head_on_loop("200 OK\n");
    e->abort_on_loop();
  });
  incomplete([](Exchange* e) { e->abort_on_loop(); });
  incomplete([](Exchange* e) { e->head_on_loop("no head"); });
  FILE* const file = file_of("short");
  incomplete([file](Exchange* e) {
    e->head_on_loop("200 OK\n");
    e->send_file_on_loop(::dup(fileno(file)), 0, 100);
    e->complete_on_loop();
  });
  std::fclose(file);
}

TEST_CASE("plain: failures are pages") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, kGet));
  Failure failure;
  failure.status = 503;
  failure.retry_after = 7;
  failure.code = "NWSGI4999";
  failure.message = "the reason";
  loop.request()->fail(failure);
  const auto records = peer.receive();
  CHECK(text_of(records).find("Status: 503 Service Unavailable\r\n") == 0);
  CHECK(text_of(records).find("Retry-After: 7\r\n") != std::string::npos);
  CHECK(text_of(records).find("the reason") == std::string::npos);
  CHECK(contents(records, Type::kStderr) == "NWSGI4999 the reason\n");
  CHECK(ends_with_end(records));
}

TEST_CASE("plain: files are read piece by piece, also those that the socket does not take at once") {
  Loop loop;
  Peer peer(&loop, false);
  std::string content(2 * 1024 * 1024 + 17, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 13 >> 4);
  FILE* const file = file_of("xx" + content);
  peer.send(plain_request(1, kGet));
  const Ref<Exchange> exchange = loop.request();
  exchange->head_on_loop("200 OK\n");
  exchange->write_on_loop(chunk_of("<"), nullptr);
  exchange->send_file_on_loop(::dup(fileno(file)), 2, static_cast<int64_t>(content.size()));
  exchange->write_on_loop(chunk_of(">"), nullptr);
  exchange->complete_on_loop();
  std::fclose(file);
  const auto records = peer.receive();
  CHECK(text_of(records) == "Status: 200 OK\r\n\r\n<" + content + ">");
  CHECK(ends_with_end(records));
}

TEST_CASE("plain: a body is read as far as there is room, and then on") {
  Loop loop;
  Peer peer(&loop, false);
  const std::string body(1000000, 'b');
  std::string bytes = plain_request(1, {{"REQUEST_METHOD", "POST"}, {"CONTENT_LENGTH", "1000000"}}, body);
  size_t sent = 0;
  Ref<Exchange> exchange;
  size_t read = 0;
  for (bool ended = false; !ended;) {
    while (sent < bytes.size()) {
      const ssize_t size = ::send(peer.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (size <= 0) break;
      sent += static_cast<size_t>(size);
    }
    for (const Envelope& envelope : loop.turn()) exchange = envelope.exchange;
    REQUIRE(exchange);
    const BodyRead piece = exchange->read_body_on_loop(30000);
    if (piece.status == ReadStatus::kData) {
      CHECK(sent < read + 700 * 1024);  // the window and what sockets hold
      read += piece.bytes.size();
    }
    ended = piece.status == ReadStatus::kEnd;
    REQUIRE(piece.status != ReadStatus::kError);
  }
  CHECK(read == body.size());
}

TEST_CASE("plain: a body that is shorter than announced is an error, what goes beyond it is left out") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, {{"CONTENT_LENGTH", "10"}}, "short"));
  Ref<Exchange> exchange = loop.request();
  CHECK(exchange->read_body_on_loop(100).bytes == "short");
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kError);
  exchange->respond_on_loop("200 OK\n", Chunk{});
  peer.receive();
  peer.send(plain_request(1, {{"CONTENT_LENGTH", "3"}}, "longer"));
  exchange = loop.request();
  CHECK(exchange->read_body_on_loop(100).bytes == "lon");
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
}

TEST_CASE("plain: without a length the first STDIN record says whether there is a body") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, {{"HTTP_TRANSFER_ENCODING", "chunked"}}, "body"));
  const Ref<Exchange> exchange = loop.request();
  CHECK(exchange->has_body());
  CHECK(exchange->read_body_on_loop(100).bytes == "body");
  CHECK(exchange->read_body_on_loop(100).status == ReadStatus::kEnd);
}

TEST_CASE("plain: the rest of a request that was answered already is read before the connection is closed") {
  Loop loop;
  Peer peer(&loop, false);
  const std::string bytes = plain_request(1, {{"CONTENT_LENGTH", "3000000"}}, std::string(3000000, 'x'), 0);
  peer.send(bytes.substr(0, 100000));
  auto envelopes = loop.turn();
  REQUIRE(!envelopes.empty());
  envelopes[0].exchange->respond_on_loop("403 Forbidden\n", chunk_of("no"));
  auto records = peer.receive();
  CHECK(ends_with_end(records));
  CHECK(peer.ended);
  CHECK(loop.server->connections() == 1);
  peer.send(bytes.substr(100000));
  loop.turn();
  CHECK(loop.server->connections() == 0);
  CHECK(loop.server->pending() == 0);
}

TEST_CASE("plain: nobody lingers for ever") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, {{"CONTENT_LENGTH", "3000000"}}, std::string(1000, 'x'), 0).substr(0, 900));
  auto envelopes = loop.turn();
  REQUIRE(!envelopes.empty());
  envelopes[0].exchange->respond_on_loop("403 Forbidden\n", chunk_of("no"));
  loop.turn();
  for (int i = 0; i < 30; ++i) loop.server->tick();
  CHECK(loop.server->connections() == 1);
  loop.server->tick();
  CHECK(loop.server->connections() == 0);
}

TEST_CASE("plain: an upgrade is refused") {
  Loop loop;
  Peer peer(&loop, false);
  peer.send(plain_request(1, kGet));
  loop.request()->upgrade_on_loop("101 Switching Protocols\nUpgrade:x\n");
  const auto records = peer.receive();
  CHECK(text_of(records).find("Status: 501 ") == 0);
  CHECK(ends_with_end(records));
}

TEST_CASE("plain: malformed PARAMS close the connection") {
  Loop loop;
  Peer peer(&loop, false);
  std::string bytes;
  wire::append_begin(&bytes, 1, 1);
  wire::append_record(&bytes, Type::kParams, 1, "\x7f\x7fxx");
  wire::append_record(&bytes, Type::kParams, 1, {});
  peer.send(bytes);
  CHECK(loop.turn().empty());
  CHECK(loop.server->connections() == 0);
}

TEST_CASE("plain: GET_VALUES, unknown types, roles and other ids") {
  Loop loop;
  Peer peer(&loop, false);
  std::string bytes;
  wire::append_record(&bytes, Type::kGetValues, 0, encode({{"FCGI_MPXS_CONNS", ""}, {"NO_SUCH", ""}}));
  wire::append_record(&bytes, static_cast<Type>(99), 0, "x");
  peer.send(bytes);
  auto records = peer.receive();
  REQUIRE(records.size() == 2);
  CHECK(decode(records[0].content) == Pairs{{"FCGI_MPXS_CONNS", "0"}});
  CHECK(records[1].header.type == Type::kUnknownType);
  CHECK(records[1].content[0] == 99);
}

TEST_CASE("plain: paths, with and without a mount") {
  const auto path = [](const Pairs& pairs, const char* mount) {
    const PlainRequest request = made(pairs, {"", mount});
    return value_of(request.record, "SCRIPT_NAME") + "|" + value_of(request.record, "PATH_INFO");
  };
  CHECK(path({{"SCRIPT_NAME", "/a b"}}, "") == "|/a b");
  CHECK(path({{"SCRIPT_NAME", "/shop"}, {"PATH_INFO", "/x"}}, "") == "|/shop/x");
  CHECK(path({{"SCRIPT_NAME", "/shop"}, {"PATH_INFO", "/x"}}, "/shop") == "/shop|/x");
  CHECK(path({{"SCRIPT_NAME", "/shopping"}}, "/shop") == "|/shopping");
  CHECK(path({{"SCRIPT_NAME", "/shop"}}, "/shop") == "/shop|");
  CHECK(path({{"REQUEST_URI", "/sh%6Fp/a%20b%zz?q=%41"}}, "/shop") == "/shop|/a b%zz");
  CHECK(path({{"REQUEST_URI", "http://host/x"}}, "") == "|/x");
  CHECK(path({}, "") == "|");
}

TEST_CASE("plain: the record has the server's pairs first, and nothing that a stranger may not say") {
  const std::string own = encode({{"nwsgi.x-target", "auto\napplication\n/app.js"}, {"SCRIPT_FILENAME", "/app.js"}});
  const PlainRequest request = made({{"nwsgi.x-target", "evil"},
                                     {"nwsgi.process_group", "evil"},
                                     {"wsgi.url_scheme", "evil"},
                                     {":Authorization", "evil"},
                                     {"", "evil"},
                                     {"SCRIPT_FILENAME", "evil"},
                                     {"HTTP_PROXY", "evil"},
                                     {"HTTP_CONTENT_LENGTH", "evil"},
                                     {"HTTP_CONNECTION", "upgrade"},
                                     {"HTTP_UPGRADE", "websocket"},
                                     {"HTTP_X_FORWARDED_FOR", "1.2.3.4"},
                                     {"CONTENT_TYPE", "a/b"},
                                     {"CONTENT_LENGTH", "12"},
                                     {"REQUEST_ID", "id"},
                                     {"REQUEST_URI", "/u"},
                                     {"SERVER_PORT", "8080"},
                                     {"HTTPS", "ON"}},
                                    {own, ""});
  CHECK(request.record.find("evil") == std::string::npos);
  CHECK(decode(request.record)[0].first == "nwsgi.x-target");
  CHECK(value_of(request.record, "SCRIPT_FILENAME") == "/app.js");
  CHECK(value_of(request.record, ":X-Forwarded-For") == "1.2.3.4");
  CHECK(value_of(request.record, ":Content-Type") == "a/b");
  CHECK(value_of(request.record, ":Content-Length") == "12");
  CHECK(value_of(request.record, ":Connection") == "(none)");
  CHECK(value_of(request.record, "nwsgi.request_id") == "id");
  CHECK(value_of(request.record, "nwsgi.x-local-port") == "8080");
  CHECK(value_of(request.record, "RAW_URI") == "/u");
  CHECK(value_of(request.record, "QUERY_STRING").empty());
  CHECK(value_of(request.record, "wsgi.url_scheme") == "https");
  CHECK(request.content_length == 12);
  CHECK(value_of(made({}).record, "nwsgi.request_id").size() == 20);
  for (const char* const length : {"", "-1", "1x", "99999999999999999999"}) {
    CHECK_FALSE(made({{"CONTENT_LENGTH", length}}).length_known);
  }
}

TEST_CASE("plain: a listening socket is accepted from, up to the limit of requests") {
  nwsgi::fastcgi::ServerOptions options;
  options.most_requests = 2;
  Loop loop(options);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "nwsgi-test-%d", ::getpid());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + std::strlen(address.sun_path + 1));
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(listener, 10) == 0);
  REQUIRE(loop.server->listen(listener));
  std::vector<int> clients;
  const std::string bytes = plain_request(1, kGet);
  for (int i = 0; i < 4; ++i) {
    clients.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(clients.back(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::send(clients.back(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  auto begun = loop.turn();
  CHECK(begun.size() == 2);
  begun[0].exchange->respond_on_loop("200 OK\n", Chunk{});
  CHECK(loop.turn().size() == 1);
  loop.server->stop_listening();
  begun[1].exchange->respond_on_loop("200 OK\n", Chunk{});
  CHECK(loop.turn().empty());
  for (const int client : clients) ::close(client);
}
