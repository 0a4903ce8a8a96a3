#include "module/client_watch.h"

#include <apr_portable.h>
#include <http_core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "module/stop_signals.h"

namespace nwsgi::httpd_side {
namespace {

using std::chrono::milliseconds;

// HTTP/2 streams have no socket of their own; whether the client has gone is looked at this often.
constexpr milliseconds kStreamSlice{250};
// Their input too, where not even a pipe announces it (httpd before 2.4.58).
constexpr milliseconds kBlindSlice{5};

// One eventfd for each worker thread, made when the thread first waits for a slow application.
class ThreadWakeFd {
 public:
  ~ThreadWakeFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() {
    if (fd_ < 0) fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd_;
  }

 private:
  int fd_ = -1;
};

thread_local ThreadWakeFd thread_wake_fd;

void drain(int fd) {
  uint64_t count;
  [[maybe_unused]] const ssize_t size = ::read(fd, &count, sizeof count);
}

// The descriptor that becomes readable with the client's input: the connection's socket, or the pipe by which mod_http2
// announces a stream's input (it empties the pipe when a read finds nothing more). -1 when there is none.
int input_descriptor(conn_rec* c) {
  apr_os_file_t file = -1;
  apr_os_sock_t socket = -1;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 129)
  apr_pollfd_t watched{};
  if (ap_get_pollfd_from_conn(c, &watched, nullptr) != APR_SUCCESS) return -1;
  if (watched.desc_type == APR_POLL_FILE) return apr_os_file_get(&file, watched.desc.f) == APR_SUCCESS ? file : -1;
  if (watched.desc_type != APR_POLL_SOCKET || watched.desc.s == nullptr) return -1;
  return apr_os_sock_get(&socket, watched.desc.s) == APR_SUCCESS ? socket : -1;
#else
  (void)file;
  apr_socket_t* connection = c->master == nullptr ? ap_get_conn_socket(c) : nullptr;
  return connection != nullptr && apr_os_sock_get(&socket, connection) == APR_SUCCESS ? socket : -1;
#endif
}

}  // namespace

ClientWatch::ClientWatch(request_rec* r)
    : r_(r), is_stream_(r->connection->master != nullptr), timeout_(r->server->timeout) {}

ClientWatch::~ClientWatch() {
  if (wake_fd_ >= 0) leg_->set_wake_fd_on_server(-1);
}

void ClientWatch::attach(exchange::ServerLeg* leg) {
  if (leg_ != nullptr) return;
  leg_ = leg;
  exchange::ServerLeg::Awaited own;
  if (leg->awaits_on_server(&own)) return;
  wake_fd_ = thread_wake_fd.get();
  if (wake_fd_ < 0) return;
  drain(wake_fd_);
  leg->set_wake_fd_on_server(wake_fd_);
}

void ClientWatch::find_input() {
  if (std::exchange(input_known_, true)) return;
  input_fd_ = input_descriptor(r_->connection);
}

// Where the application's news come from; nothing when there is no descriptor left for them.
std::optional<exchange::ServerLeg::Awaited> ClientWatch::source() {
  exchange::ServerLeg::Awaited own;
  if (wake_fd_ >= 0) return exchange::ServerLeg::Awaited{wake_fd_, POLLIN};
  if (leg_ != nullptr && leg_->awaits_on_server(&own)) return own;
  return std::nullopt;
}

ClientWatch::Found ClientWatch::poll(milliseconds longest, unsigned interests, bool mind_leg) {
  Found found;
  if ((found.broken = r_->connection->aborted)) return found;
  find_input();
  const unsigned reads = interests & kRead;
  const auto news = source();
  const StopWindow window;
  if (!news) {
    // Out of descriptors: look again after a short while.
    std::this_thread::sleep_for(std::min(longest, milliseconds(5)));
    return {.work = true, .client = interests & (kRead | kWrite)};
  }
  // A stream's pipe says nothing about the client having gone.
  const bool watch_input = input_fd_ >= 0 && (is_stream_ ? reads != 0 : interests != 0);
  const bool blind = input_fd_ < 0 && reads != 0;
  if (is_stream_) longest = std::min(longest, kStreamSlice);
  if (blind) longest = std::min(longest, kBlindSlice);
  pollfd fds[2] = {{mind_leg ? news->fd : -1, news->events, 0}, {input_fd_, 0, 0}};
  if (reads != 0) fds[1].events = POLLIN;
  if (!is_stream_ && (interests & kWrite) != 0) fds[1].events |= POLLOUT;
  if (!is_stream_ && (interests & kHalfClose) != 0) fds[1].events |= POLLRDHUP;
  const int ready = ::poll(fds, watch_input ? 2 : 1, static_cast<int>(std::max<int64_t>(longest.count(), 0)));
  found.broken = r_->connection->aborted;
  if (blind) found.client = kRead;
  if (ready <= 0) return found;
  if (fds[0].revents != 0) {
    if (news->fd == wake_fd_) drain(wake_fd_);
    found.work = true;
  }
  const auto client = fds[1].revents;
  if (is_stream_) {
    if (client != 0) found.client = kRead;
    return found;
  }
  if ((client & (POLLERR | POLLNVAL)) != 0) found.broken = true;
  if ((client & POLLHUP) != 0) found.client |= kHangUp;
  if ((client & POLLIN) != 0) found.client |= kRead;
  if ((client & POLLOUT) != 0) found.client |= kWrite;
  if ((client & POLLRDHUP) != 0) found.client |= kHalfClose;
  return found;
}

ClientWatch::Event ClientWatch::event(const Found& found) const {
  if (r_->connection->aborted) return Event::kGone;
  if (found.work) return Event::kWork;
  if ((found.client & kRead) != 0) return Event::kReadable;
  if (found.broken || (found.client & kHangUp) != 0) return Event::kGone;
  if ((found.client & kHalfClose) != 0) return Event::kHalfClosed;
  return Event::kNothing;
}

}  // namespace nwsgi::httpd_side
