#include "module/daemon_monitor.h"

#include <fcntl.h>
#include <httpd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nwsgi::httpd_side {
namespace {

// Whoever keeps a listening socket, a log or the lifeline of a group open has a say in when it ends.
void close_everything() {
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int fd = 0; nothing >= 0 && fd <= STDERR_FILENO; ++fd) ::dup2(nothing, fd);
  if (::syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
  for (int fd = 3; fd < 65536; ++fd) ::close(fd);
}

}  // namespace

int monitored_exit_code(int wait_status) {
  if (WIFSIGNALED(wait_status)) return kSignalled + WTERMSIG(wait_status);
  const int code = WEXITSTATUS(wait_status);
  return code == APEXIT_CHILDFATAL || code == APEXIT_CHILDSICK || code >= kSignalled ? 1 : code;
}

void monitor(pid_t child, const std::atomic<int32_t>& ready_pid) {
  ::prctl(PR_SET_NAME, "nwsgi-monitor");
  close_everything();
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
  }
  sigset_t all;
  sigfillset(&all);
  for (;;) {
    int status = 0;
    // Before the first wait too: SIG_DFL has discarded a SIGCHLD that came earlier.
    if (::waitpid(child, &status, WNOHANG) == child) ::_exit(monitored_exit_code(status));
    const int number = ::sigwaitinfo(&all, nullptr);
    if (number <= 0 || number == SIGCHLD || (number == SIGHUP && ready_pid != child)) continue;
    ::kill(child, number);
  }
}

}  // namespace nwsgi::httpd_side
