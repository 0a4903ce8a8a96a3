#include "bridge/serve_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "bridge/receive_output.h"
#include "bridge/values.h"

namespace nwsgi::bridge {

namespace {

using Info = const Napi::CallbackInfo&;

constexpr int kSocketFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;

Napi::Value number(Info info, double value) { return Napi::Number::New(info.Env(), value); }
int to_int(const Napi::Value& value) { return value.ToNumber().Int32Value(); }

// Closes the descriptor and gives the error that was met before.
int failed(int fd) {
  const int error = errno;
  ::close(fd);
  return -error;
}

// False when the path is too long. `name` may begin with '@' where `abstract` allows it.
bool unix_address(const std::string& name, bool abstract, sockaddr_un* address, socklen_t* length) {
  *address = {};
  address->sun_family = AF_UNIX;
  const bool is_abstract = abstract && !name.empty() && name[0] == '@';
  // A path ends with NUL, an abstract name with its length.
  if (name.empty() || name.size() + (is_abstract ? 0 : 1) > sizeof(address->sun_path)) return false;
  std::memcpy(address->sun_path, name.data(), name.size());
  if (is_abstract) address->sun_path[0] = '\0';
  *length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (is_abstract ? 0 : 1));
  return true;
}

int listen_at(int family, const sockaddr* address, socklen_t length, int backlog) {
  const int fd = ::socket(family, SOCK_STREAM | kSocketFlags, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  if (family != AF_UNIX && ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return failed(fd);
  if (::bind(fd, address, length) != 0 || ::listen(fd, backlog) != 0) return failed(fd);
  return fd;
}

Napi::Value open_unix_listener(Info info) {
  sockaddr_un address;
  socklen_t length = 0;
  if (!unix_address(to_utf8(info[0]), false, &address, &length)) return number(info, -ENAMETOOLONG);
  const mode_t mode = static_cast<mode_t>(to_int(info[1])) & 0777;
  // The permissions are those of the moment of bind(): there is none at which somebody else could connect.
  const mode_t before = ::umask(0777 & ~mode);
  const int result = listen_at(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), length, to_int(info[2]));
  ::umask(before);
  return number(info, result);
}

Napi::Value open_tcp_listener(Info info) {
  const std::string host = to_utf8(info[0]);
  const auto port = htons(static_cast<uint16_t>(to_int(info[1])));
  const int backlog = to_int(info[2]);
  sockaddr_in ipv4{};
  if (::inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = port;
    return number(info, listen_at(AF_INET, reinterpret_cast<const sockaddr*>(&ipv4), sizeof(ipv4), backlog));
  }
  sockaddr_in6 ipv6{};
  if (::inet_pton(AF_INET6, host.c_str(), &ipv6.sin6_addr) != 1) return number(info, -EINVAL);
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = port;
  return number(info, listen_at(AF_INET6, reinterpret_cast<const sockaddr*>(&ipv6), sizeof(ipv6), backlog));
}

int option_of(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : 0;
}

Napi::Value describe_socket(Info info) {
  const int fd = to_int(info[0]);
  union {
    sockaddr any;
    sockaddr_un un;
    sockaddr_in ipv4;
    sockaddr_in6 ipv6;
  } address{};
  socklen_t length = sizeof(address);
  if (::getsockname(fd, &address.any, &length) != 0) return number(info, -errno);
  std::string family = "other";
  std::string text;
  double port = 0;
  char buffer[INET6_ADDRSTRLEN] = "";
  if (address.any.sa_family == AF_UNIX) {
    family = "unix";
    const size_t bytes = length - offsetof(sockaddr_un, sun_path);
    const bool is_abstract = bytes > 0 && address.un.sun_path[0] == '\0';
    text.assign(address.un.sun_path, is_abstract ? bytes : ::strnlen(address.un.sun_path, bytes));
    if (is_abstract) text[0] = '@';
  } else if (address.any.sa_family == AF_INET) {
    family = "ipv4";
    text = ::inet_ntop(AF_INET, &address.ipv4.sin_addr, buffer, sizeof(buffer));
    port = ntohs(address.ipv4.sin_port);
  } else if (address.any.sa_family == AF_INET6) {
    family = "ipv6";
    text = ::inet_ntop(AF_INET6, &address.ipv6.sin6_addr, buffer, sizeof(buffer));
    port = ntohs(address.ipv6.sin6_port);
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("family", family);
  result.Set("address", text);
  result.Set("port", port);
  result.Set("stream", option_of(fd, SO_TYPE) == SOCK_STREAM);
  result.Set("listening", option_of(fd, SO_ACCEPTCONN) != 0);
  return result;
}

Napi::Value set_socket_buffers(Info info) {
  const int fd = to_int(info[0]);
  const int send = to_int(info[1]);
  const int receive = to_int(info[2]);
  if (send > 0 && ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send)) != 0) return number(info, -errno);
  if (receive > 0 && ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive)) != 0) return number(info, -errno);
  return number(info, 0);
}

Napi::Value send_datagram(Info info) {
  sockaddr_un address;
  socklen_t length = 0;
  if (!unix_address(to_utf8(info[0]), true, &address, &length)) return number(info, -ENAMETOOLONG);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | kSocketFlags, 0);
  if (fd < 0) return number(info, -errno);
  const std::string text = to_utf8(info[1]);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  if (::sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, to, length) < 0) return number(info, failed(fd));
  ::close(fd);
  return number(info, 0);
}

Napi::Value duplicate(Info info) {
  const int fd = ::fcntl(to_int(info[0]), F_DUPFD_CLOEXEC, 3);
  return number(info, fd < 0 ? -errno : fd);
}

Napi::Value redirect_output(Info info) {
  const int fd = ::open(to_utf8(info[0]).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  if (fd < 0) return number(info, -errno);
  if (::dup2(fd, STDOUT_FILENO) < 0 || ::dup2(fd, STDERR_FILENO) < 0) return number(info, failed(fd));
  ::close(fd);
  return number(info, 0);
}

std::vector<std::string> to_texts(const Napi::Value& value) {
  const auto array = value.As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < array.Length(); ++i) texts.push_back(to_utf8(array.Get(i)));
  return texts;
}

std::vector<char*> to_pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

Napi::Value replace_process(Info info) {
  std::vector<std::string> arguments = to_texts(info[1]);
  std::vector<std::string> environment = to_texts(info[2]);
  // Node has marked them all as its own.
  for (int fd = 0; fd < to_int(info[3]); ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0) ::fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
  ::execve(to_utf8(info[0]).c_str(), to_pointers(arguments).data(), to_pointers(environment).data());
  return number(info, -errno);
}

Napi::Value become_user(Info info) {
  const auto wanted = info[2].As<Napi::Array>();
  std::vector<gid_t> groups;
  for (uint32_t i = 0; i < wanted.Length(); ++i) groups.push_back(static_cast<gid_t>(wanted.Get(i).ToNumber().Uint32Value()));
  // glibc applies each of them to all threads.
  if (::setgroups(groups.size(), groups.data()) != 0) return number(info, -errno);
  if (::setgid(static_cast<gid_t>(info[1].ToNumber().Uint32Value())) != 0) return number(info, -errno);
  if (::setuid(static_cast<uid_t>(info[0].ToNumber().Uint32Value())) != 0) return number(info, -errno);
  return number(info, 0);
}

Napi::Value take_output(Info info) { return Napi::Boolean::New(info.Env(), receive_output(to_int(info[0]))); }

template <auto Function>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name));
}

}  // namespace

void add_serve_functions(Napi::Object exports) {
  define<open_unix_listener>(exports, "openUnixListener");
  define<open_tcp_listener>(exports, "openTcpListener");
  define<describe_socket>(exports, "describeSocket");
  define<set_socket_buffers>(exports, "setSocketBuffers");
  define<send_datagram>(exports, "sendDatagram");
  define<duplicate>(exports, "duplicate");
  define<take_output>(exports, "receiveOutput");
  define<redirect_output>(exports, "redirectOutput");
  define<become_user>(exports, "becomeUser");
  define<replace_process>(exports, "replaceProcess");
}

}  // namespace nwsgi::bridge
