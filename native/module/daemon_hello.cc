#include "module/daemon_hello.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace nwsgi::httpd_side {
namespace {

using exchange::Clock;
using std::chrono::milliseconds;

constexpr uint32_t kMagic = 0x4E574831;
constexpr uint32_t kAnySlot = 0xffffffff;
constexpr size_t kAnswerHead = 9 * sizeof(uint32_t);
constexpr uint32_t kLongestCode = 64;
constexpr uint32_t kLongestMessage = 64 * 1024;
// Nothing announces that a full queue of connections has room again.
constexpr milliseconds kFullQueuePause{10};

void append32(std::string* out, uint32_t number) { out->append(reinterpret_cast<const char*>(&number), sizeof number); }

uint32_t number_at(const std::string& bytes, size_t index) {
  uint32_t number;
  std::memcpy(&number, bytes.data() + index * sizeof number, sizeof number);
  return number;
}

// What a leg expects of its socket: reads that may block, for as long as DaemonConnection says.
void prepare(int fd) {
  ::fcntl(fd, F_SETFL, 0);
  timeval wait{};
  wait.tv_usec = std::chrono::microseconds(DaemonConnection::kSocketWait).count();
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

}  // namespace

Hello::~Hello() {
  if (fd_ >= 0) ::close(fd_);
}

Hello::Status Hello::unreachable(int error) {
  error_ = error;
  return Status::kUnreachable;
}

Hello::Status Hello::ask(const char* socket_path, std::string_view application_group, const exchange::Claim* worker) {
  if (std::strlen(socket_path) >= sizeof(sockaddr_un::sun_path)) return unreachable(ENAMETOOLONG);
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return unreachable(errno);
  socket_path_ = socket_path;
  append32(&question_, kMagic);
  append32(&question_, worker != nullptr ? worker->slot : kAnySlot);
  append32(&question_, worker != nullptr ? worker->generation : 0);
  append32(&question_, static_cast<uint32_t>(application_group.size()));
  append32(&question_, 0);
  question_ += application_group;
  return proceed();
}

Hello::Status Hello::proceed() {
  if (!connected_) {
    if (const Status status = connect(); !connected_) return status;
    if (const Status status = send_question(); !asked_) return status;
  }
  return read_answer();
}

exchange::ServerLeg::Awaited Hello::awaits() const {
  if (!connected_) return {.until = retry_at_};
  return {.fd = fd_, .events = POLLIN};
}

Hello::Status Hello::connect() {
  const Clock::time_point now = Clock::now();
  if (now < retry_at_) return Status::kPending;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_, std::strlen(socket_path_) + 1);
  while (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return unreachable(errno);
    retry_at_ = now + kFullQueuePause;
    return Status::kPending;
  }
  connected_ = true;
  return Status::kConnected;
}

Hello::Status Hello::send_question() {
  // The buffer of a fresh connection takes a name as a whole.
  const ssize_t sent = ::send(fd_, question_.data(), question_.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(question_.size())) return unreachable(sent < 0 ? errno : EMSGSIZE);
  asked_ = true;
  return Status::kPending;
}

Hello::Status Hello::read_answer() {
  for (;;) {
    size_t wanted = kAnswerHead;
    if (received_.size() >= kAnswerHead) {
      wanted += size_t{std::min(number_at(received_, 7), kLongestCode)} + std::min(number_at(received_, 8), kLongestMessage);
    }
    if (received_.size() >= kAnswerHead && received_.size() >= wanted) return parse();
    // No more than the answer: what follows is the worker's.
    char bytes[1024];
    const ssize_t size = ::recv(fd_, bytes, std::min(sizeof bytes, wanted - received_.size()), MSG_DONTWAIT);
    if (size == 0) return unreachable(0);
    if (size > 0) {
      received_.append(bytes, static_cast<size_t>(size));
    } else if (errno != EINTR) {
      return errno == EAGAIN || errno == EWOULDBLOCK ? Status::kPending : unreachable(errno);
    }
  }
}

Hello::Status Hello::parse() {
  if (number_at(received_, 0) != kMagic) return unreachable(0);
  if (number_at(received_, 1) == 0) {
    worker_ = {number_at(received_, 2), number_at(received_, 3)};
    prepare(fd_);
    return Status::kConnected;
  }
  failure_.status = static_cast<int>(number_at(received_, 5));
  failure_.retry_after = static_cast<int>(std::min(number_at(received_, 6), 3600u));
  const size_t code = std::min(number_at(received_, 7), kLongestCode);
  failure_.code = received_.substr(kAnswerHead, code);
  failure_.message = received_.substr(kAnswerHead + code);
  return Status::kRefused;
}

std::unique_ptr<DaemonConnection> Hello::take_connection(int buffer_size) {
  if (buffer_size > 0) ::setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof buffer_size);
  return std::make_unique<DaemonConnection>(std::exchange(fd_, -1), worker_);
}

}  // namespace nwsgi::httpd_side
