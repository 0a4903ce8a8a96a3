// Sockets of process groups in the file system: where children of httpd say hello to a supervisor.
//
// They lie in a folder that only the parent can write, under names that nobody can guess; the socket belongs to the
// user of httpd's children, and nobody else may connect. A lock file that the parent and its children hold says that
// the sockets of the same name are in use; what a killed server has left behind is removed by the next one. Main thread
// of the parent only.
#pragma once

#include <cstdint>
#include <string>

#include "module/error_codes.h"

namespace nwsgi::httpd_side {

// Why something could not be done: a log line.
struct Problem {
  Code code{};
  std::string text;
};

class SocketFolder {
 public:
  // Makes or checks the folder. False and *problem when it cannot be used.
  bool open(const std::string& path, Problem* problem);
  // Removes the lock; the folder stays.
  void close();

  const std::string& path() const { return path_; }
  // A path for a new socket.
  std::string next_socket_path();

 private:
  bool take_lock(Problem* problem);

  std::string path_;
  std::string instance_;  // random part of all names of this server
  int lock_ = -1;
  unsigned sockets_ = 0;
};

struct SocketOptions {
  int64_t owner = -1;  // uid; -1: stays with this process's
  int64_t backlog = 0;
  int64_t send_buffer = 0;     // 0: the system's
  int64_t receive_buffer = 0;  // 0: the system's
};

// A listening, non-blocking stream socket with CLOEXEC and mode 0600. -1 and *problem when it cannot be made.
int listen_at(const std::string& path, const SocketOptions& options, Problem* problem);

}  // namespace nwsgi::httpd_side
