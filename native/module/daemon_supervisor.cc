#include "module/daemon_supervisor.h"

#include <ap_mpm.h>
#include <fcntl.h>
#include <http_log.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "module/daemon_monitor.h"
#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// One that lived so long is no crash loop.
constexpr seconds kLongLife{60};
constexpr seconds kLongestPause{30};
constexpr milliseconds kNoneStarts{3600 * 1000};  // until httpd is restarted
constexpr int kCannotWork = 78;  // exit code of a supervisor that cannot use its configuration

void close_all(std::initializer_list<int*> descriptors) {
  for (int* fd : descriptors) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

bool write_all(int fd, const std::string& text) {
  for (size_t written = 0; written < text.size();) {
    const ssize_t count = ::write(fd, text.data() + written, text.size() - written);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) written += static_cast<size_t>(count);
  }
  return true;
}

// The descriptor travels with one byte.
void send_descriptor(int socket, int fd) {
  char byte = 'l';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

std::function<std::vector<int>()> Supervisor::lifelines;
std::function<void(Supervisor*)> Supervisor::forget;

Supervisor::~Supervisor() {
  stop_watching();
  remove_socket();
  if (scoreboard_) scoreboard_.unmap();
  close_all({&hello_, &memory_, &lifeline_[0], &lifeline_[1], &control_});
}

bool Supervisor::prepare(SocketFolder* folder, Problem* problem) {
  const std::string path = folder->next_socket_path();
  hello_ = listen_at(path, plan_.socket, problem);
  if (hello_ < 0) return false;
  socket_path_ = path;
  std::string wrong;
  memory_ = exchange::Scoreboard::create();
  if (memory_ < 0) wrong = std::string("no shared memory: ") + std::strerror(errno);
  if (wrong.empty() && !scoreboard_.map(memory_, &wrong) && wrong.empty()) wrong = "the scoreboard cannot be mapped";
  if (wrong.empty() && ::pipe2(lifeline_, O_CLOEXEC) != 0) wrong = std::string("no pipe: ") + std::strerror(errno);
  if (wrong.empty()) return true;
  *problem = {Code::kSharedMemoryFailed, "process group \"" + name() + "\" cannot start: " + wrong +
                                             "; raise the limits on open files and memory"};
  return false;
}

// Not a pipe: that would hold 64 KiB only, and the reader may begin long after.
int Supervisor::config_descriptor() const {
  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "nwsgi-config", 1u /* MFD_CLOEXEC */));
  if (fd >= 0 && write_all(fd, plan_.config) && ::lseek(fd, 0, SEEK_SET) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

milliseconds Supervisor::pause() const {
  if (failures_ <= 1) return milliseconds(0);
  return std::min<milliseconds>(kLongestPause, seconds(1 << std::min(failures_ - 2, 5u)));
}

void Supervisor::start() {
  int control[2] = {-1, -1};
  int config = config_descriptor();
  close_all({&control_});
  Launch process;
  pid_ = -1;
  if (config >= 0 && ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) == 0) {
    control_ = control[0];
    process.identity = &plan_.identity;
    // It makes little garbage, and need not keep room for much.
    process.arguments = {plan_.files.node, "--max-semi-space-size=1", plan_.files.main_script, "--config-fd",
                         std::to_string(kConfigDescriptor)};
    process.files = {plan_.files.main_script, plan_.files.bridge};
    process.descriptors = {config, hello_, memory_, lifeline_[0], control[1]};
    process.not_for_it = lifelines();
    process.delay = pause();
    process.lifeline = lifeline_[0];
    process.ready_pid = &scoreboard_.header().supervisor_pid;
    pid_ = launch(process);
  }
  const int reason = errno;
  close_all({&config, &control[1]});
  announce(pid_ > 0 ? process.delay : kNoneStarts);
  started_ = Clock::now() + process.delay;
  waiting_ = process.delay.count() > 0;
  if (pid_ > 0) {
    watch();
    log_server(nullptr, APLOG_INFO, 0, Code::kGroupStarted, "process group \"%s\": its supervisor %s", name().c_str(),
               waiting_ ? "waits before it starts" : "starts");
    return;
  }
  pid_ = 0;
  log_server(nullptr, APLOG_CRIT, 0, Code::kSupervisorNotStarted,
             "process group \"%s\" has no supervisor: %s; raise the limits on processes, memory and open files, and "
             "restart httpd", name().c_str(), std::strerror(reason));
}

// Requests that need the supervisor need not wait for one that is far off.
void Supervisor::announce(milliseconds delay) {
  const auto due = std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()) + delay;
  scoreboard_.header().supervisor_due_ms = delay.count() == 0 ? 0 : static_cast<uint64_t>(due.count());
}

void Supervisor::watch() {
  apr_pool_create(&watch_pool_, process_pool_);
  process_.pid = pid_;
  apr_proc_other_child_register(&process_, note_child, this, nullptr, watch_pool_);
}

void Supervisor::stop_watching() {
  if (watch_pool_ == nullptr) return;
  apr_pool_t* pool = watch_pool_;
  watch_pool_ = nullptr;
  apr_proc_other_child_unregister(this);
  apr_pool_destroy(pool);
}

// httpd's main loop has reaped a process, or asks whether it is still there.
void Supervisor::note_child(int reason, void* data, int status) {
  auto* supervisor = static_cast<Supervisor*>(data);
  if (reason == APR_OC_REASON_DEATH) {
    supervisor->note_end(status);
  } else if (reason == APR_OC_REASON_LOST) {
    supervisor->note_end(0);
  }
}

// `status` is the exit code of the monitor.
void Supervisor::note_end(int status) {
  stop_watching();
  pid_ = 0;
  if (retired_) {
    log_server(nullptr, APLOG_INFO, 0, Code::kGroupRetired,
               "process group \"%s\": the supervisor of the old definition has ended", name().c_str());
    forget(this);
    return;
  }
  int state = 0;
  ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
  if (state == AP_MPMQ_STOPPING) return;  // a restart comes back by reload()
  const auto now = Clock::now();
  const bool asked = status == 0;
  failures_ = asked ? 0 : now - started_ >= kLongLife ? 1 : failures_ + 1;
  if (status == kCannotWork || status == kLaunchFailed) failures_ = std::max(failures_, 7u);
  log_end(status, pause());
  start();
}

void Supervisor::log_end(int status, milliseconds pause) const {
  std::string how;
  if (status > kSignalled) {
    const char* description = ::strsignal(status - kSignalled);
    how = " by signal " + std::to_string(status - kSignalled);
    if (description != nullptr) how += std::string(" (") + description + ')';
  } else if (status != 0) {
    how = " with exit code " + std::to_string(status);
  }
  const std::string when = pause.count() == 0 ? "now" : "in " + std::to_string(pause.count() / 1000) + " s";
  log_server(nullptr, status == 0 ? APLOG_NOTICE : APLOG_ERR, 0, Code::kSupervisorEnded,
             "process group \"%s\": its supervisor has ended%s; its workers finish their requests, a new supervisor "
             "starts %s", name().c_str(), how.c_str(), when.c_str());
}

void Supervisor::reload() {
  if (retired_) return;
  if (waiting_ && Clock::now() < started_) {
    kill_all();
    stop_watching();
    failures_ = 0;
  }
  if (pid_ <= 0) return start();
  send_descriptor(control_, STDERR_FILENO);
  signal(SIGHUP);
}

void Supervisor::retire() {
  retired_ = true;
  close_all({&lifeline_[1]});
  log_server(nullptr, APLOG_INFO, 0, Code::kGroupRetired,
             "process group \"%s\" has changed or is gone; its old workers serve until the last process of the old "
             "configuration has ended", name().c_str());
  if (pid_ <= 0) forget(this);
}

void Supervisor::signal(int number) {
  if (pid_ <= 0 || ::kill(pid_, number) == 0) return;
  // httpd -X: the only process has given its own privileges up.
  if (errno == EPERM) close_all({&lifeline_[1]});
}

bool Supervisor::reap() {
  if (pid_ <= 0) return true;
  int status = 0;
  const pid_t result = ::waitpid(pid_, &status, WNOHANG);
  if (result == 0 || (result < 0 && errno == EINTR)) return false;
  stop_watching();
  pid_ = 0;
  return true;
}

void Supervisor::kill_all() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
}

void Supervisor::remove_socket() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
  socket_path_.clear();
}

void Supervisor::close_in_child() { close_all({&hello_, &memory_, &lifeline_[0], &control_}); }

}  // namespace nwsgi::httpd_side
