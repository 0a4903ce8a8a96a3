// The parent's side of one process group: the socket, shared memory and pipe that outlive supervisors, and the
// supervisor of the moment.
//
// Main thread of the parent only. Objects live on the heap and survive restarts of httpd: a group whose definition has
// not changed keeps its workers. The descriptors have CLOEXEC; children of httpd inherit the mapping of the scoreboard
// and the writing end of the lifeline, and close the rest (close_in_child).
//
//   starting ──▶ running ──▶ retired (definition changed or gone: serves children of the last generation)
//      ▲            │           │
//      └─ back-off ─┘           └──▶ gone
#pragma once

#include <apr_pools.h>
#include <apr_thread_proc.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "exchange/scoreboard.h"
#include "module/daemon_launch.h"
#include "module/daemon_socket.h"
#include "module/supervisor_config.h"

namespace nwsgi::httpd_side {

// A process group as a supervisor sees it. Two groups with the same key need no new supervisor.
struct SupervisorPlan {
  Identity identity;
  DaemonFiles files;
  std::string config;  // JSON
  SocketOptions socket;
  std::chrono::milliseconds shutdown_timeout{0};
  std::string key;
};

class Supervisor {
 public:
  using Clock = std::chrono::steady_clock;

  Supervisor(SupervisorPlan plan, apr_pool_t* process_pool) : plan_(std::move(plan)), process_pool_(process_pool) {}
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Makes what outlives the process. False and *problem when that is impossible.
  bool prepare(SocketFolder* folder, Problem* problem);
  // Starts the process, after a pause when it has failed before. `lifelines`: writing ends of all groups, which it must
  // not keep open. Failures are logged; the next attempt follows by itself.
  void start();
  // A new generation of httpd wants new workers, and has a new error log. A supervisor that waits for its next attempt
  // starts at once.
  void reload();
  // No further child will use it: it ends when those that do have ended.
  void retire();

  // The end of httpd: signal, then reap() until it is true or the time is over, then kill_all().
  void signal(int number);
  bool reap();
  void kill_all();
  // Takes the socket out of the file system.
  void remove_socket();

  // In a child of httpd: keeps the mapping and the lifeline only.
  void close_in_child();

  const SupervisorPlan& plan() const { return plan_; }
  const std::string& name() const { return plan_.identity.group; }
  bool retired() const { return retired_; }
  pid_t pid() const { return pid_; }
  int lifeline() const { return lifeline_[1]; }
  const std::string& socket_path() const { return socket_path_; }
  const exchange::Scoreboard& scoreboard() const { return scoreboard_; }

  // What the others of the parent do: set once by daemon_process.cc.
  static std::function<std::vector<int>()> lifelines;    // writing ends of all groups
  static std::function<void(Supervisor*)> forget;        // a retired one is gone: deletes it

 private:
  static void note_child(int reason, void* data, int status);
  void note_end(int status);
  void log_end(int status, std::chrono::milliseconds pause) const;
  int config_descriptor() const;
  void announce(std::chrono::milliseconds delay);
  void watch();
  void stop_watching();
  std::chrono::milliseconds pause() const;

  SupervisorPlan plan_;
  apr_pool_t* process_pool_;
  apr_pool_t* watch_pool_ = nullptr;  // of the registration with httpd; null while no process runs
  apr_proc_t process_{};
  std::string socket_path_;
  exchange::Scoreboard scoreboard_;
  int hello_ = -1;
  int memory_ = -1;
  int lifeline_[2] = {-1, -1};
  int control_ = -1;  // our end of the socket by which the supervisor gets a new error log
  pid_t pid_ = 0;
  Clock::time_point started_{};
  unsigned failures_ = 0;
  bool waiting_ = false;  // the process of the moment waits before it begins
  bool retired_ = false;
};

}  // namespace nwsgi::httpd_side
