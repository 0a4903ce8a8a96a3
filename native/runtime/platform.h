// Node's process-wide part: V8, its thread pool, per-process options. Once in a process, after fork.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exchange/exchange.h"
#include "runtime/debugger_address.h"

namespace node {
class MultiIsolatePlatform;
}

namespace nwsgi::runtime {

class Platform {
 public:
  // Null when Node refuses; *error then says why. `node_options` are command line options of node.
  static std::unique_ptr<Platform> start(const std::vector<std::string>& node_options, exchange::Failure* error);
  ~Platform();

  node::MultiIsolatePlatform* node_platform() const { return platform_.get(); }
  const std::vector<std::string>& args() const { return args_; }
  const std::vector<std::string>& exec_args() const { return exec_args_; }
  // Where debuggers may attach to environments; empty unless the site asked for it.
  const std::optional<DebuggerAddress>& debugger() const { return debugger_; }
  // Threads of this process can have a working directory of their own.
  bool own_directories() const { return own_directories_; }

 private:
  Platform();
  std::unique_ptr<node::MultiIsolatePlatform> platform_;
  std::vector<std::string> args_;
  std::vector<std::string> exec_args_;
  std::optional<DebuggerAddress> debugger_;
  bool own_directories_ = false;
};

// Blocks all signals that a thread of the server must not take while in scope; new threads inherit that. httpd
// handles its signals in its own main thread.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();

 private:
  alignas(16) unsigned char previous_[128];  // sigset_t, kept out of this header
};

// Gives the calling thread a working directory (and umask) of its own, which threads that it creates share. False where
// the system does not allow it; some containers do not.
bool separate_directory();

// For a thread that runs an application: libuv learns of ended child processes by SIGCHLD.
void unblock_child_signal();

}  // namespace nwsgi::runtime
