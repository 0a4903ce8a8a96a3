// Starts a program as the user of a process group: fork, drop of all privileges, exec.
//
// Main thread of the parent only. What goes wrong before exec is logged by the new process, with the name of the group
// and what to do; it then ends with kLaunchFailed.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "module/daemon_config.h"
#include "module/daemon_socket.h"

namespace nwsgi::httpd_side {

constexpr int kLaunchFailed = 77;

// Who a process group is, and what its processes start with.
struct Identity {
  std::string group;      // name of the process group
  bool privileged = false;  // this process is root: user, groups and chroot are set
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string user;  // "" when the system has no name for it
  std::string chroot;
  std::string directory;  // inside of chroot; "" for the one of this process
  int64_t umask = -1;
  int64_t cpu_priority = 0;
  int64_t virtual_memory = 0;
  std::vector<std::string> environment;  // NAME=value

  // All of it as one text, to be compared.
  std::string text() const;
  // A path of this file system as it is called inside of the group's chroot.
  std::string inside(const std::string& path) const;
};

// False and *problem when the group would run as root.
bool find_identity(const DaemonGroup& group, Identity* identity, Problem* problem);

struct Launch {
  const Identity* identity = nullptr;
  std::vector<std::string> arguments;  // the program's path first
  // Files that the program will read, with what they are: checked as the group's user.
  std::vector<std::string> files;
  std::vector<int> descriptors;  // become 3, 4, …; 0 is /dev/null, 1 and 2 are the error log
  int output = -1;               // becomes 1 instead
  std::vector<int> not_for_it;   // closed at once: the delay must not keep them open
  std::chrono::milliseconds delay{0};  // waits so long before it begins …
  int lifeline = -1;                   // … unless this end of a pipe says that nobody wants it any more
  // When given, the process that launch() returns is a monitor (daemon_monitor.h) of the one described here.
  const std::atomic<int32_t>* ready_pid = nullptr;
};

// The new process, or -1 with errno. It leads a process group of its own.
pid_t launch(const Launch& what);

}  // namespace nwsgi::httpd_side
