#include "module/daemon_launch.h"

#include <fcntl.h>
#include <grp.h>
#include <http_log.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unixd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "module/daemon_monitor.h"
#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

constexpr int kFirstDescriptor = 3;
constexpr int kManyDescriptors = 65536;  // where the system cannot say "all": kernels before 5.11

// Variables that mean the server's own process, not its applications.
constexpr std::string_view kServersOwn[] = {
    "NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID", "NOTIFY_SOCKET",
    "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "PWD", "OLDPWD"};

void set_variable(std::vector<std::string>* environment, std::string_view name, std::string_view value) {
  const std::string start = std::string(name) + '=';
  std::erase_if(*environment, [&](const std::string& entry) { return entry.starts_with(start); });
  environment->push_back(start + std::string(value));
}

std::vector<std::string> environment_of(const DaemonOptions& options, const Identity& identity, const passwd* user) {
  std::vector<std::string> environment;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry(*at);
    const std::string_view name = entry.substr(0, entry.find('='));
    if (std::find(std::begin(kServersOwn), std::end(kServersOwn), name) == std::end(kServersOwn)) {
      environment.emplace_back(entry);
    }
  }
  if (identity.privileged && user != nullptr) {
    set_variable(&environment, "HOME", user->pw_dir);
    set_variable(&environment, "USER", user->pw_name);
    set_variable(&environment, "LOGNAME", user->pw_name);
  }
  if (options.lang != nullptr) set_variable(&environment, "LANG", options.lang);
  if (options.locale != nullptr) set_variable(&environment, "LC_ALL", options.locale);
  return environment;
}

std::vector<gid_t> groups_of(const DaemonOptions& options, const Identity& identity) {
  std::vector<gid_t> groups;
  if (options.supplementary_gids != nullptr) {
    for (int i = 0; i < options.supplementary_gids->nelts; ++i) {
      groups.push_back(APR_ARRAY_IDX(options.supplementary_gids, i, gid_t));
    }
  } else if (!identity.user.empty()) {
    int count = 64;
    do {
      groups.resize(static_cast<size_t>(count));
    } while (::getgrouplist(identity.user.c_str(), identity.gid, groups.data(), &count) < 0);
    groups.resize(static_cast<size_t>(count));
  }
  groups.push_back(identity.gid);
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

// home=, else the user's home when the group has a user of its own and that can be entered; "" for no change.
std::string directory_of(const DaemonOptions& options, const Identity& identity, const passwd* user) {
  if (options.home != nullptr) return options.home;
  if (!identity.chroot.empty()) return "/";
  if (!identity.privileged || user == nullptr || identity.uid == ap_unixd_config.user_id) return {};
  struct stat info {};
  return ::stat(user->pw_dir, &info) == 0 && S_ISDIR(info.st_mode) ? user->pw_dir : "/";
}

// ---- in the new process ----

class NewProcess {
 public:
  NewProcess(const Launch& what, pid_t monitor) : what_(what), identity_(*what.identity), monitor_(monitor) {}

  [[noreturn]] void run() {
    ::prctl(PR_SET_NAME, "nwsgi-launch");
    for (const int fd : what_.not_for_it) ::close(fd);
    reset_signals();
    wait();
    set_limits();
    if (identity_.privileged) drop_privileges();
    end_with_monitor();
    enter_directory();
    check_files();
    place_descriptors();
    execute();
  }

 private:
  __attribute__((format(printf, 3, 4)))
  [[noreturn]] void give_up(Code code, const char* format, ...) {
    const int problem = errno;
    va_list arguments;
    va_start(arguments, format);
    char text[1024];
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_server(nullptr, APLOG_ERR, 0, code, "process group \"%s\" cannot start: %s%s%s", identity_.group.c_str(), text,
               problem != 0 ? ": " : "", problem != 0 ? std::strerror(problem) : "");
    ::_exit(kLaunchFailed);
  }

  // As a program expects them; httpd's own handlers would only note a signal that is meant to end this process.
  void reset_signals() {
    for (int number = 1; number < NSIG; ++number) {
      if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
    }
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  }

  void wait() {
    if (what_.delay.count() == 0) return;
    pollfd lifeline{what_.lifeline, POLLIN, 0};
    if (::poll(&lifeline, 1, static_cast<int>(what_.delay.count())) != 0) ::_exit(0);
  }

  void set_limits() {
    if (identity_.umask >= 0) ::umask(static_cast<mode_t>(identity_.umask));
    errno = 0;
    if (identity_.cpu_priority != 0 && ::setpriority(PRIO_PROCESS, 0, static_cast<int>(identity_.cpu_priority)) != 0) {
      give_up(Code::kIdentityFailed, "cpu-priority=%d cannot be set", static_cast<int>(identity_.cpu_priority));
    }
    const rlimit limit{static_cast<rlim_t>(identity_.virtual_memory), static_cast<rlim_t>(identity_.virtual_memory)};
    if (identity_.virtual_memory != 0 && ::setrlimit(RLIMIT_AS, &limit) != 0) {
      give_up(Code::kIdentityFailed, "virtual-memory-limit= cannot be set");
    }
  }

  void drop_privileges() {
    errno = 0;
    if (!identity_.chroot.empty() && (::chroot(identity_.chroot.c_str()) != 0 || ::chdir("/") != 0)) {
      give_up(Code::kIdentityFailed, "chroot=%s", identity_.chroot.c_str());
    }
    if (::setgroups(identity_.groups.size(), identity_.groups.data()) != 0) {
      give_up(Code::kIdentityFailed, "its groups cannot be set");
    }
    if (::setresgid(identity_.gid, identity_.gid, identity_.gid) != 0) {
      give_up(Code::kIdentityFailed, "group #%u cannot be set", identity_.gid);
    }
    if (::setresuid(identity_.uid, identity_.uid, identity_.uid) != 0) {
      give_up(Code::kIdentityFailed, "user #%u cannot be set", identity_.uid);
    }
    // Some kernels and policies let a process keep more than it was to have; better no application than one with root's
    // powers.
    const bool back = ::setuid(0) == 0 || ::seteuid(0) == 0 || ::getuid() != identity_.uid ||
                      ::geteuid() != identity_.uid;
    errno = 0;
    if (back) give_up(Code::kIdentityFailed, "the privileges of root cannot be given up");
  }

  // The system forgets this wish with each change of the user.
  void end_with_monitor() {
    if (what_.ready_pid == nullptr) return;
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != monitor_) ::_exit(0);
  }

  void enter_directory() {
    errno = 0;
    if (!identity_.directory.empty() && ::chdir(identity_.directory.c_str()) != 0) {
      give_up(Code::kIdentityFailed, "the folder \"%s\" cannot be entered by %s", identity_.directory.c_str(),
              who().c_str());
    }
  }

  void check_files() {
    errno = 0;
    for (const std::string& file : what_.files) {
      if (::access(file.c_str(), R_OK) == 0) continue;
      give_up(Code::kDaemonFileUnreadable,
              "\"%s\" cannot be read by %s; install it, or give that user access to it and to its folders",
              file.c_str(), who().c_str());
    }
    const char* program = what_.arguments[0].c_str();
    if (::access(program, X_OK) != 0) {
      give_up(Code::kNodeUnusable, "\"%s\" cannot be executed by %s; name another one with node=", program,
              who().c_str());
    }
  }

  // Everything first goes where no target is, so that none is overwritten before it was copied.
  void place_descriptors() {
    errno = 0;
    const int above = kFirstDescriptor + static_cast<int>(what_.descriptors.size());
    std::vector<int> copies;
    for (const int fd : what_.descriptors) copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, above));
    const int output = what_.output >= 0 ? ::fcntl(what_.output, F_DUPFD_CLOEXEC, above) : STDERR_FILENO;
    // Node needs it too.
    const int nothing = ::open("/dev/null", O_RDWR);
    if (nothing < 0) {
      give_up(Code::kIdentityFailed, "/dev/null cannot be opened%s",
              identity_.chroot.empty() ? "" : "; make it inside of chroot=");
    }
    errno = 0;
    bool placed = ::dup2(nothing, STDIN_FILENO) == STDIN_FILENO;
    placed = ::dup2(output, STDOUT_FILENO) >= 0 && placed;
    for (size_t i = 0; i < copies.size(); ++i) {
      placed = ::dup2(copies[i], kFirstDescriptor + static_cast<int>(i)) >= 0 && placed;
    }
    if (!placed) give_up(Code::kSupervisorNotStarted, "its descriptors cannot be set up");
    close_on_exec(above);
  }

  // Not closed here and now: the error log, which still may be needed, is among them.
  void close_on_exec(int first) {
    if (::syscall(SYS_close_range, static_cast<unsigned>(first), ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
    for (int fd = first; fd < kManyDescriptors; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }

  [[noreturn]] void execute() {
    std::vector<char*> arguments;
    for (const std::string& argument : what_.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    std::vector<char*> environment;
    for (const std::string& entry : identity_.environment) environment.push_back(const_cast<char*>(entry.c_str()));
    environment.push_back(nullptr);
    ::execve(arguments[0], arguments.data(), environment.data());
    give_up(Code::kNodeUnusable, "\"%s\" cannot be executed", arguments[0]);
  }

  std::string who() const {
    return identity_.user.empty() ? "user #" + std::to_string(identity_.uid) : "user \"" + identity_.user + '"';
  }

  const Launch& what_;
  const Identity& identity_;
  const pid_t monitor_;
};

[[noreturn]] void run_new_process(const Launch& what) {
  ::setpgid(0, 0);
  pid_t monitor_pid = 0;
  if (what.ready_pid != nullptr) {
    monitor_pid = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) ::_exit(kLaunchFailed);
    if (child > 0) monitor(child, *what.ready_pid);
  }
  NewProcess(what, monitor_pid).run();
}

}  // namespace

std::string Identity::text() const {
  std::string text = std::to_string(uid) + ' ' + std::to_string(gid) + ' ' + user + '\n' + chroot + '\n' +
                     directory + '\n' + std::to_string(umask) + ' ' + std::to_string(cpu_priority) + ' ' +
                     std::to_string(virtual_memory);
  for (const gid_t group : groups) text += ' ' + std::to_string(group);
  for (const std::string& entry : environment) text += '\n' + entry;
  return text;
}

std::string Identity::inside(const std::string& path) const {
  if (chroot.empty() || !path.starts_with(chroot)) return path;
  return path.size() > chroot.size() && path[chroot.size()] == '/' ? path.substr(chroot.size()) : path;
}

bool find_identity(const DaemonGroup& group, Identity* identity, Problem* problem) {
  const DaemonOptions& options = group.options;
  identity->group = group.name;
  identity->privileged = ::geteuid() == 0;
  identity->uid = options.uid >= 0 ? static_cast<uid_t>(options.uid) : ap_unixd_config.user_id;
  identity->gid = options.gid >= 0 ? static_cast<gid_t>(options.gid) : ap_unixd_config.group_id;
  if (!identity->privileged) {
    if ((options.uid >= 0 && identity->uid != ::geteuid()) || options.chroot != nullptr) {
      log_server(nullptr, APLOG_WARNING, 0, Code::kNotPrivileged,
                 "process group \"%s\" (%s) runs as the user who starts httpd: user=, group=, supplementary-groups= "
                 "and chroot= need a start by root", group.name, group.where);
    }
    identity->uid = ::geteuid();
    identity->gid = ::getegid();
  } else if (identity->uid == 0) {
    *problem = {Code::kRootRefused, std::string("process group \"") + group.name + "\" (" + group.where +
                                        ") would run as root, because User of httpd is root; write user= with a user "
                                        "without privileges"};
    return false;
  }
  // The entry is looked up twice, because getgrouplist() may use the same static memory.
  const auto find_user = [&] {
    return options.user != nullptr && identity->privileged ? ::getpwnam(options.user) : ::getpwuid(identity->uid);
  };
  const passwd* user = find_user();
  if (user != nullptr) identity->user = user->pw_name;
  if (options.chroot != nullptr && identity->privileged) {
    identity->chroot = options.chroot;
    while (identity->chroot.ends_with('/')) identity->chroot.pop_back();
    if (identity->chroot.empty()) identity->chroot = "/";
  }
  if (identity->privileged) identity->groups = groups_of(options, *identity);
  user = find_user();
  identity->directory = directory_of(options, *identity, user);
  identity->umask = options.umask;
  identity->cpu_priority = options.cpu_priority;
  identity->virtual_memory = options.virtual_memory_limit;
  identity->environment = environment_of(options, *identity, user);
  return true;
}

pid_t launch(const Launch& what) {
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) run_new_process(what);
  const int problem = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Done by both, so that it is done before either goes on.
  if (pid > 0) ::setpgid(pid, pid);
  errno = problem;
  return pid;
}

}  // namespace nwsgi::httpd_side
