#include "module/daemon_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace nwsgi::httpd_side {
namespace {

constexpr std::string_view kLockSuffix = ".lock";
constexpr int kInstanceDigits = 16;

bool fail(Problem* problem, Code code, std::string text) {
  *problem = {code, std::move(text)};
  return false;
}

bool refuse_folder(Problem* problem, const std::string& path, const std::string& why) {
  return fail(problem, Code::kSocketFolder,
              "the folder \"" + path + "\" cannot hold the sockets of process groups: " + why +
                  "; correct it, or name another place with WSGISocketPrefix");
}

// What lies above the folder: whoever can write there could put another one in its place.
bool check_ancestors(const std::string& path, Problem* problem) {
  char resolved[PATH_MAX];
  const size_t slash = path.rfind('/');
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  if (::realpath(parent.c_str(), resolved) == nullptr) {
    return refuse_folder(problem, path, "\"" + parent + "\": " + std::strerror(errno));
  }
  for (std::string at = resolved;; at = at.rfind('/') == 0 ? "/" : at.substr(0, at.rfind('/'))) {
    struct stat info {};
    if (::lstat(at.c_str(), &info) != 0) return refuse_folder(problem, path, "\"" + at + "\": " + std::strerror(errno));
    if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0) {
      return refuse_folder(problem, path, "everybody can write \"" + at + "\"");
    }
    if (at == "/") return true;
  }
}

bool check_folder(const std::string& path, Problem* problem) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return refuse_folder(problem, path, std::strerror(errno));
  if (S_ISLNK(info.st_mode)) return refuse_folder(problem, path, "it is a symbolic link");
  if (!S_ISDIR(info.st_mode)) return refuse_folder(problem, path, "it is no folder");
  if (info.st_uid != ::geteuid()) {
    return refuse_folder(problem, path, "it belongs to user #" + std::to_string(info.st_uid) +
                                            ", not to the one who starts httpd");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return refuse_folder(problem, path, "others than its owner can write it");
  }
  if ((info.st_mode & S_IXOTH) == 0) {
    return refuse_folder(problem, path, "the user of httpd's processes cannot reach what is in it (chmod 711)");
  }
  return true;
}

std::string random_name() {
  unsigned char bytes[kInstanceDigits / 2];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) return {};
  std::string name;
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

bool is_lock_name(std::string_view name) {
  return name.size() == kInstanceDigits + kLockSuffix.size() && name.ends_with(kLockSuffix) &&
         name.find_first_not_of("0123456789abcdef") == kInstanceDigits;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(folder.c_str()), ::closedir);
  if (!directory) return names;
  while (const dirent* entry = ::readdir(directory.get())) names.emplace_back(entry->d_name);
  return names;
}

// Removes the sockets of servers that are gone: nobody holds their lock.
void clean_up(const std::string& folder) {
  const std::vector<std::string> names = names_in(folder);
  for (const std::string& name : names) {
    if (!is_lock_name(name)) continue;
    const std::string lock = folder + "/" + name;
    const int fd = ::open(lock.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      const std::string_view instance = std::string_view(name).substr(0, kInstanceDigits + 1);
      for (const std::string& other : names) {
        if (other.starts_with(instance) && other != name) ::unlink((folder + "/" + other).c_str());
      }
      ::unlink(lock.c_str());
    }
    ::close(fd);
  }
}

bool is_same_file(int fd, const std::string& path) {
  struct stat open_file {}, there {};
  return ::fstat(fd, &open_file) == 0 && ::lstat(path.c_str(), &there) == 0 && open_file.st_ino == there.st_ino &&
         open_file.st_dev == there.st_dev;
}

// bind() applies the umask to the socket's mode: there is no moment in which others could connect.
int bind_privately(int fd, const sockaddr_un& address) {
  const mode_t before = ::umask(0177);
  const int result = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int problem = errno;
  ::umask(before);
  errno = problem;
  return result;
}

}  // namespace

bool SocketFolder::open(const std::string& path, Problem* problem) {
  path_ = path;
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  if (!check_ancestors(path_, problem)) return false;
  if (::mkdir(path_.c_str(), 0700) == 0) {
    if (::chmod(path_.c_str(), 0711) != 0) return refuse_folder(problem, path_, std::strerror(errno));
  } else if (errno != EEXIST) {
    return refuse_folder(problem, path_, std::strerror(errno));
  }
  if (!check_folder(path_, problem)) return false;
  clean_up(path_);
  return take_lock(problem);
}

bool SocketFolder::take_lock(Problem* problem) {
  // Another server that cleans up may take a lock file away between its creation and its locking.
  for (int attempt = 0; attempt < 10; ++attempt) {
    instance_ = random_name();
    if (instance_.empty()) {
      return fail(problem, Code::kSocketFailed, "the system has no random numbers for names of sockets");
    }
    const std::string file = path_ + "/" + instance_ + std::string(kLockSuffix);
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock_ < 0) return refuse_folder(problem, path_, std::strerror(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0 && is_same_file(lock_, file)) return true;
    ::close(lock_);
    lock_ = -1;
  }
  return refuse_folder(problem, path_, "no lock file can be kept there");
}

void SocketFolder::close() {
  if (lock_ < 0) return;
  ::unlink((path_ + "/" + instance_ + std::string(kLockSuffix)).c_str());
  ::close(lock_);
  lock_ = -1;
}

std::string SocketFolder::next_socket_path() {
  return path_ + "/" + instance_ + "." + std::to_string(++sockets_) + ".sock";
}

int listen_at(const std::string& path, const SocketOptions& options, Problem* problem) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    fail(problem, Code::kSocketFailed, "the path \"" + path + "\" is too long for a socket (" +
                                           std::to_string(sizeof address.sun_path - 1) +
                                           " bytes at most); name a shorter one with WSGISocketPrefix");
    return -1;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto set_size = [fd](int name, int64_t bytes) {
    const int value = static_cast<int>(bytes);
    if (bytes > 0) ::setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
  };
  if (fd >= 0) {
    set_size(SO_SNDBUF, options.send_buffer);
    set_size(SO_RCVBUF, options.receive_buffer);
  }
  if (fd < 0 || bind_privately(fd, address) != 0 ||
      (options.owner >= 0 && ::lchown(path.c_str(), static_cast<uid_t>(options.owner), static_cast<gid_t>(-1)) != 0) ||
      ::listen(fd, static_cast<int>(options.backlog)) != 0) {
    fail(problem, Code::kSocketFailed, "the socket \"" + path + "\" cannot be made: " + std::strerror(errno));
    if (fd >= 0) ::close(fd);
    return -1;
  }
  return fd;
}

}  // namespace nwsgi::httpd_side
