#include "bridge/receive_output.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace nwsgi::bridge {
namespace {

// The descriptor of the next message; -1 when a message has none, -2 when there is no message.
int receive_descriptor(int socket) {
  char byte;
  iovec data{&byte, 1};
  int fd = -1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count;
  do {
    count = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return -2;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  }
  return fd;
}

}  // namespace

bool receive_output(int socket) {
  bool received = false;
  for (int fd = receive_descriptor(socket); fd != -2; fd = receive_descriptor(socket)) {
    if (fd < 0) continue;
    received = ::dup2(fd, STDOUT_FILENO) >= 0 && ::dup2(fd, STDERR_FILENO) >= 0;
    ::close(fd);
  }
  return received;
}

}  // namespace nwsgi::bridge
