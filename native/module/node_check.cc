#include "module/node_check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "exchange/find_node.h"
#include "module/runtime_loader.h"

namespace nwsgi::httpd_side {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kInstall = "; build nwsgi (npm run build) or install it again";
constexpr int kOldestNode = 18;
constexpr std::chrono::seconds kLongestCheck{20};

bool fail(Problem* problem, Code code, std::string text) {
  *problem = {code, std::move(text)};
  return false;
}

// What the program writes until it ends; false when that takes too long.
bool read_all(int fd, std::string* output) {
  const auto end = Clock::now() + kLongestCheck;
  char buffer[256];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    if (left <= 0 || (::poll(&readable, 1, static_cast<int>(left)) == 0)) return false;
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || output->size() > 4096) return true;
    output->append(buffer, static_cast<size_t>(count));
  }
}

std::string how_it_ended(bool in_time, int status) {
  if (!in_time) return "did not answer";
  if (WIFEXITED(status)) return "ended with exit code " + std::to_string(WEXITSTATUS(status));
  return "was ended by signal " + std::to_string(WTERMSIG(status));
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

bool find_daemon_files(const DaemonGroup& group, const Identity& identity, DaemonFiles* files, Problem* problem) {
  const RuntimeFiles installed = find_runtime_files();
  const std::string name = std::string("process group \"") + group.name + "\" (" + group.where + ") cannot start: ";
  if (installed.gateway_directory.empty()) {
    return fail(problem, Code::kGatewayMissing, name + "bootstrap.cjs of the gateway is not there" + kInstall);
  }
  files->gateway_directory = identity.inside(installed.gateway_directory);
  files->main_script = files->gateway_directory + "/supervisor/main.js";
  const std::string main_script = installed.gateway_directory + "/supervisor/main.js";
  if (::access(main_script.c_str(), F_OK) != 0) {
    return fail(problem, Code::kDaemonFileMissing, name + '"' + main_script + "\" is not there" + kInstall);
  }
  if (installed.bridge.empty()) {
    return fail(problem, Code::kDaemonFileMissing,
                name + "\"nwsgi_bridge.node\" is not beside the module in " + installed.module_directory + kInstall);
  }
  files->bridge = identity.inside(installed.bridge);
  files->node = group.options.node != nullptr ? group.options.node : identity.inside(exchange::find_node());
  if (files->node.empty()) {
    return fail(problem, Code::kNodeMissing, name + "there is no node in PATH, /usr/bin and /usr/local/bin; install Node 18 "
                                                    "or newer, or name it with node=");
  }
  return true;
}

bool check_node(const Identity& identity, const DaemonFiles& files, Problem* problem) {
  const std::string name = "process group \"" + identity.group + "\" cannot start: ";
  int output[2];
  if (::pipe2(output, O_CLOEXEC) != 0) {
    return fail(problem, Code::kSharedMemoryFailed, name + "no pipe: " + std::strerror(errno));
  }
  Launch check;
  check.identity = &identity;
  check.arguments = {files.node, "--version"};
  check.files = {files.main_script, files.bridge};
  check.output = output[1];
  const pid_t pid = launch(check);
  ::close(output[1]);
  if (pid < 0) {
    ::close(output[0]);
    return fail(problem, Code::kSupervisorNotStarted, name + std::strerror(errno) + "; raise the limit on processes");
  }
  std::string version;
  const bool in_time = read_all(output[0], &version);
  ::close(output[0]);
  if (!in_time) ::kill(pid, SIGKILL);
  const int status = wait_for(pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kLaunchFailed) return fail(problem, Code::kNodeUnusable, "");
  const std::string node = '"' + files.node + "\" ";
  if (!in_time || !WIFEXITED(status) || WEXITSTATUS(status) != 0 || !version.starts_with('v')) {
    return fail(problem, Code::kNodeUnusable, name + node + "was asked for its version and " + how_it_ended(in_time, status) +
                                                  "; check that it is Node, and that virtual-memory-limit= leaves it "
                                                  "room");
  }
  if (std::atoi(version.c_str() + 1) < kOldestNode) {
    while (!version.empty() && version.back() == '\n') version.pop_back();
    return fail(problem, Code::kNodeTooOld, name + node + "is Node " + version +
                                                "; Node 18 or newer is needed, name one with node=");
  }
  return true;
}

}  // namespace nwsgi::httpd_side
