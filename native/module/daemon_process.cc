#include "module/daemon_process.h"

#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "module/daemon_config.h"
#include "module/daemon_registry.h"
#include "module/daemon_supervisor.h"
#include "module/log.h"
#include "module/node_check.h"

namespace nwsgi::httpd_side {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What survives restarts. The module is never unloaded (-z nodelete), so statics do; those of a configuration do not.
struct Parent {
  pid_t pid = 0;
  bool serving = false;     // httpd has started once
  std::set<Supervisor*> kept;  // to be reloaded when the first child of the new generation is there
  std::map<std::string, SocketFolder> folders;
  std::vector<std::unique_ptr<Supervisor>> supervisors;
};

// Never destroyed: see the cleanup.
Parent& parent() {
  static Parent* const instance = new Parent;
  return *instance;
}

void stop_all() {
  // Since GracefulShutdownTimeout has its say in it, children of a graceful stop have finished their requests by now.
  const ap_unixd_mpm_retained_data* retained = ap_unixd_mpm_get_retained_data();
  const int number = retained != nullptr && !retained->is_ungraceful ? SIGTERM : SIGQUIT;
  milliseconds limit{0};
  for (const auto& supervisor : parent().supervisors) {
    supervisor->signal(number);
    limit = std::max(limit, supervisor->plan().shutdown_timeout + seconds(1));
  }
  const auto end = Clock::now() + limit;
  for (const auto& supervisor : parent().supervisors) {
    while (!supervisor->reap()) {
      if (Clock::now() < end) {
        std::this_thread::sleep_for(milliseconds(5));
        continue;
      }
      log_server(nullptr, APLOG_WARNING, 0, Code::kSupervisorKilled,
                 "process group \"%s\" did not end within %d s (shutdown-timeout= and one more) and is killed",
                 supervisor->name().c_str(), static_cast<int>(limit.count() / 1000));
      supervisor->kill_all();
    }
  }
  parent().supervisors.clear();
  for (auto& [path, folder] : parent().folders) folder.close();
  parent().folders.clear();
}

// Before the pools below go, so that the log can still be written. Children have the same pool, and the groups are none
// of their business.
apr_status_t stop_with_server(void*) noexcept try {
  if (::getpid() == parent().pid) stop_all();
  return APR_SUCCESS;
} catch (...) {
  return APR_EGENERAL;
}

void become_parent(apr_pool_t* process_pool) {
  if (parent().pid == ::getpid()) return;
  parent().pid = ::getpid();
  Supervisor::lifelines = [] {
    std::vector<int> descriptors;
    for (const auto& supervisor : parent().supervisors) {
      if (supervisor->lifeline() >= 0) descriptors.push_back(supervisor->lifeline());
    }
    return descriptors;
  };
  Supervisor::forget = [](Supervisor* gone) {
    parent().kept.erase(gone);
    std::erase_if(parent().supervisors, [gone](const auto& supervisor) { return supervisor.get() == gone; });
  };
  apr_pool_pre_cleanup_register(process_pool, nullptr, stop_with_server);
}

std::string stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return path;
  return path + ' ' + std::to_string(info.st_ino) + ' ' + std::to_string(info.st_size) + ' ' +
         std::to_string(info.st_mtim.tv_sec) + '.' + std::to_string(info.st_mtim.tv_nsec);
}

bool make_plan(server_rec* main_server, const DaemonGroup& group, SupervisorPlan* plan, Problem* problem) {
  const DaemonOptions& options = group.options;
  if (!find_identity(group, &plan->identity, problem)) return false;
  if (!find_daemon_files(group, plan->identity, &plan->files, problem)) return false;
  plan->config = supervisor_config(main_server, group, plan->identity, plan->files);
  plan->socket = {-1, options.listen_backlog, options.send_buffer_size, options.receive_buffer_size};
  if (plan->identity.privileged) {
    plan->socket.owner = options.socket_uid >= 0 ? options.socket_uid : ap_unixd_config.user_id;
  }
  plan->shutdown_timeout = milliseconds(options.shutdown_timeout);
  plan->key = plan->config + '\n' + plan->identity.text() + '\n' + std::to_string(plan->socket.owner) + ' ' +
              std::to_string(plan->socket.backlog) + ' ' + std::to_string(plan->socket.send_buffer) + ' ' +
              std::to_string(plan->socket.receive_buffer) + '\n' + stamp_of(plan->files.main_script) + '\n' +
              stamp_of(plan->files.bridge);
  return true;
}

SocketFolder* socket_folder(apr_pool_t* pool, Problem* problem) {
  const char* prefix = daemon_registry().socket_prefix;
  const std::string path = prefix != nullptr ? prefix : ap_runtime_dir_relative(pool, "nwsgi");
  const auto found = parent().folders.find(path);
  if (found != parent().folders.end()) return &found->second;
  SocketFolder folder;
  if (!folder.open(path, problem)) return nullptr;
  return &parent().folders.emplace(path, std::move(folder)).first->second;
}

Supervisor* find_supervisor(const std::string& key) {
  for (const auto& supervisor : parent().supervisors) {
    if (!supervisor->retired() && supervisor->plan().key == key) return supervisor.get();
  }
  return nullptr;
}

void report(const Problem& problem) {
  if (!problem.text.empty()) log_server(nullptr, APLOG_CRIT, 0, problem.code, "%s", problem.text.c_str());
}

// `checked`: what node --version was asked for already, in this pass.
Supervisor* new_supervisor(server_rec* main_server, apr_pool_t* pool, SupervisorPlan plan,
                           std::set<std::string>* checked, Problem* problem) {
  const std::string check = plan.identity.text() + '\n' + plan.files.node + '\n' + plan.files.bridge;
  if (!checked->contains(check)) {
    if (!check_node(plan.identity, plan.files, problem)) {
      if (!parent().serving) return nullptr;
      report(*problem);  // the next attempts follow by themselves
    }
    checked->insert(check);
  }
  SocketFolder* folder = socket_folder(pool, problem);
  if (folder == nullptr) return nullptr;
  auto supervisor = std::make_unique<Supervisor>(std::move(plan), main_server->process->pool);
  if (!supervisor->prepare(folder, problem)) return nullptr;
  parent().supervisors.push_back(std::move(supervisor));
  return parent().supervisors.back().get();
}

void retire_all_but(const std::set<const Supervisor*>& wanted) {
  std::vector<Supervisor*> unwanted;
  for (const auto& supervisor : parent().supervisors) {
    if (!supervisor->retired() && !wanted.contains(supervisor.get())) unwanted.push_back(supervisor.get());
  }
  for (Supervisor* supervisor : unwanted) supervisor->retire();
}

}  // namespace

int start_process_groups(apr_pool_t* pconf, server_rec* main_server) {
  const apr_array_header_t* groups = daemon_groups();
  become_parent(main_server->process->pool);
  std::set<std::string> checked;
  std::set<const Supervisor*> wanted;
  std::vector<Supervisor*> fresh;
  for (int i = 0; i < groups->nelts; ++i) {
    auto* group = APR_ARRAY_IDX(groups, i, DaemonGroup*);
    Problem problem;
    SupervisorPlan plan;
    Supervisor* supervisor = nullptr;
    if (make_plan(main_server, *group, &plan, &problem)) {
      supervisor = find_supervisor(plan.key);
      if (supervisor != nullptr) {
        parent().kept.insert(supervisor);
      } else {
        supervisor = new_supervisor(main_server, pconf, std::move(plan), &checked, &problem);
        if (supervisor != nullptr) fresh.push_back(supervisor);
      }
    }
    if (supervisor == nullptr) {
      report(problem);
      if (!parent().serving) return HTTP_INTERNAL_SERVER_ERROR;
      continue;
    }
    wanted.insert(supervisor);
    group->socket_path = apr_pstrdup(pconf, supervisor->socket_path().c_str());
    if (!supervisor->plan().identity.chroot.empty()) group->chroot = group->options.chroot;
    group->scoreboard = supervisor->scoreboard().base();
    group->scoreboard_size = supervisor->scoreboard().mapped_size();
  }
  retire_all_but(wanted);
  // Last, so that no supervisor starts when httpd does not.
  for (Supervisor* supervisor : fresh) supervisor->start();
  return OK;
}

void note_child_status(server_rec*, pid_t, ap_generation_t, int, mpm_child_status status) noexcept try {
  if (status != MPM_CHILD_STARTED || ::getpid() != parent().pid) return;
  parent().serving = true;
  for (Supervisor* supervisor : std::exchange(parent().kept, {})) supervisor->reload();
} catch (...) {
}

void leave_process_groups() noexcept try {
  if (::getpid() == parent().pid) return;  // httpd -X: the only process
  for (const auto& supervisor : parent().supervisors) supervisor->close_in_child();
} catch (...) {
}

}  // namespace nwsgi::httpd_side
