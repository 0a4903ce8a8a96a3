// Node's process-wide part: V8, its thread pool, per-process options. Once in a process, after fork.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exchange/exchange.h"

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

 private:
  Platform();
  std::unique_ptr<node::MultiIsolatePlatform> platform_;
  std::vector<std::string> args_;
  std::vector<std::string> exec_args_;
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

// For a thread that runs an application: libuv learns of ended child processes by SIGCHLD.
void unblock_child_signal();

}  // namespace nwsgi::runtime
