// For the tests of the FastCGI server: a server with a mailbox that the test reads like a loop, and a peer at the other end
// of a socket.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exchange/fastcgi.h"
#include "exchange/record.h"
#include "fastcgi/server.h"

namespace nwsgi::test {

using namespace nwsgi::exchange;
namespace wire = nwsgi::exchange::fastcgi;

inline Chunk chunk_of(std::string_view text) {
  Chunk chunk;
  if (text.empty()) return chunk;
  chunk.data = static_cast<char*>(std::malloc(text.size()));
  std::memcpy(chunk.data, text.data(), text.size());
  chunk.size = text.size();
  return chunk;
}

// The application's side: what the loop would hand to JavaScript.
struct Loop {
  Ref<Mailbox> mailbox = Mailbox::create();
  std::unique_ptr<nwsgi::fastcgi::Server> server;

  explicit Loop(nwsgi::fastcgi::ServerOptions options = {}) {
    mailbox->set_waker_on_loop([](void*) {}, nullptr);
    server = std::make_unique<nwsgi::fastcgi::Server>(mailbox, std::move(options));
    std::string error;
    REQUIRE(server->start(&error));
  }
  ~Loop() {
    server->close_all();
    mailbox->drop_all();
  }

  // Everything that is to be done now; returns the envelopes.
  std::vector<Envelope> turn() {
    std::vector<Envelope> envelopes;
    for (bool busy = true; busy;) {
      busy = server->turn();
      busy = mailbox->take_on_loop(&envelopes, 64) || busy;
      while (server->has_news()) {
        server->flush();
        busy = true;
      }
    }
    return envelopes;
  }
  // The one request that is expected now.
  Ref<Exchange> request() {
    const std::vector<Envelope> envelopes = turn();
    REQUIRE(envelopes.size() == 1);
    REQUIRE((envelopes[0].events & kRequest) != 0);
    return envelopes[0].exchange;
  }
  uint32_t events() {
    uint32_t all = 0;
    for (const Envelope& envelope : turn()) all |= envelope.events;
    return all;
  }
};

struct Received {
  wire::Header header;
  std::string content;
};

// The server's end of a connection: mod_nwsgi, or NGINX.
class Peer {
 public:
  explicit Peer(Loop* loop, bool trusted = true) : loop_(loop) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    fd_ = ends[0];
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
    REQUIRE((trusted ? loop->server->adopt(ends[1]) : loop->server->adopt_untrusted(ends[1])));
  }
  ~Peer() {
    hang_up();
    for (const int fd : descriptors) ::close(fd);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size < 0) {
        REQUIRE(errno == EAGAIN);
        waiting += loop_->turn().size();
        continue;
      }
      bytes.remove_prefix(static_cast<size_t>(size));
    }
  }

  // All records that have come; takes what there is until the server has nothing more to say.
  std::vector<Received> receive() {
    for (;;) {
      loop_->turn();
      if (!take_some()) break;
    }
    std::vector<Received> records;
    while (bytes_.size() >= wire::kHeaderSize) {
      Received record;
      if (!wire::get_header(bytes_.data(), &record.header)) {
        broken = true;
        bytes_.clear();
        break;
      }
      if (bytes_.size() < record.header.size()) break;
      record.content = bytes_.substr(wire::kHeaderSize, record.header.length);
      bytes_.erase(0, record.header.size());
      records.push_back(std::move(record));
    }
    return records;
  }
  bool take_some() {
    char buffer[64 * 1024];
    iovec vector{buffer, sizeof buffer};
    alignas(cmsghdr) char control[256];
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (size == 0) ended = true;
    if (size < 0 && errno == ECONNRESET) reset = true;
    if (size <= 0) return false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
      descriptors.push_back(fd);
    }
    bytes_.append(buffer, static_cast<size_t>(size));
    return true;
  }
  void hang_up() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }
  const std::string& rest() const { return bytes_; }

  std::vector<int> descriptors;
  size_t waiting = 0;  // envelopes that came while the socket was full
  bool broken = false;  // bytes came that are no record
  bool ended = false;
  bool reset = false;

 private:
  Loop* loop_;
  int fd_ = -1;
  std::string bytes_;
};

inline std::string extended_request(uint16_t id, std::string_view record, std::string_view body = {}, bool has_body = false,
                                    bool body_ends = true) {
  std::string bytes;
  wire::append_begin(&bytes, id,
                     static_cast<uint8_t>(wire::kKeepConnection | wire::kExtended | (has_body ? wire::kHasBody : 0)));
  wire::append_stream(&bytes, wire::Type::kParams, id, record);
  wire::append_record(&bytes, wire::Type::kParams, id, {});
  wire::append_stream(&bytes, wire::Type::kStdin, id, body);
  if (body_ends) wire::append_record(&bytes, wire::Type::kStdin, id, {});
  return bytes;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline std::string encode(const Pairs& pairs) {
  RecordWriter writer;
  for (const auto& [name, value] : pairs) writer.add(name, value);
  return writer.take();
}

inline Pairs decode(std::string_view record) {
  Pairs pairs;
  RecordReader reader(record);
  std::string_view name;
  std::string_view value;
  while (!reader.at_end()) {
    REQUIRE(reader.next(&name, &value));
    pairs.emplace_back(name, value);
  }
  return pairs;
}

// The last one wins, as in the gateway.
inline std::string value_of(std::string_view record, std::string_view name) {
  std::string found = "(none)";
  for (const auto& [key, value] : decode(record)) {
    if (key == name) found = value;
  }
  return found;
}

inline std::string plain_request(uint16_t id, const Pairs& pairs, std::string_view body = {}, uint8_t flags = 1) {
  std::string bytes;
  wire::append_begin(&bytes, id, flags);
  wire::append_stream(&bytes, wire::Type::kParams, id, encode(pairs));
  wire::append_record(&bytes, wire::Type::kParams, id, {});
  wire::append_stream(&bytes, wire::Type::kStdin, id, body);
  wire::append_record(&bytes, wire::Type::kStdin, id, {});
  return bytes;
}

// All contents of one type, put together.
inline std::string contents(const std::vector<Received>& records, wire::Type type) {
  std::string text;
  for (const Received& record : records) {
    if (record.header.type == type) text += record.content;
  }
  return text;
}

inline std::vector<int> types(const std::vector<Received>& records) {
  std::vector<int> found;
  for (const Received& record : records) found.push_back(static_cast<int>(record.header.type));
  return found;
}

}  // namespace nwsgi::test
