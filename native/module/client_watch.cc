#include "module/client_watch.h"

#include <apr_portable.h>
#include <http_core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace nwsgi::httpd_side {
namespace {

using std::chrono::milliseconds;

// HTTP/2 streams have no socket of their own; their state is looked at this often.
constexpr milliseconds kStreamSlice{250};
// Their input too, while the application waits for it: short at first, as data is usually under way.
constexpr milliseconds kStreamBodySlice{10};

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

int socket_of(conn_rec* c) {
  if (c->master != nullptr) return -1;
  apr_socket_t* socket = nullptr;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 129)
  apr_pollfd_t watched{};
  if (ap_get_pollfd_from_conn(c, &watched, nullptr) != APR_SUCCESS || watched.desc_type != APR_POLL_SOCKET) return -1;
  socket = watched.desc.s;
#else
  socket = ap_get_conn_socket(c);
#endif
  apr_os_sock_t descriptor = -1;
  if (socket == nullptr || apr_os_sock_get(&descriptor, socket) != APR_SUCCESS) return -1;
  return descriptor;
}

}  // namespace

ClientWatch::ClientWatch(request_rec* r) : r_(r), timeout_(r->server->timeout) {}

ClientWatch::~ClientWatch() {
  if (exchange_ != nullptr) exchange_->set_wake_fd_on_server(-1);
}

void ClientWatch::attach(exchange::Exchange* exchange) {
  if (exchange_ != nullptr) return;
  socket_ = socket_of(r_->connection);
  wake_fd_ = thread_wake_fd.get();
  if (wake_fd_ < 0) return;
  drain(wake_fd_);
  exchange_ = exchange;
  exchange->set_wake_fd_on_server(wake_fd_);
}

ClientWatch::Event ClientWatch::wait(milliseconds longest, bool for_body, bool mind_half_close) {
  if (r_->connection->aborted) return Event::kGone;
  if (wake_fd_ < 0) {
    // Out of descriptors: look again after a short while.
    std::this_thread::sleep_for(std::min(longest, milliseconds(5)));
    return for_body ? Event::kReadable : Event::kWork;
  }
  pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {socket_, 0, 0}};
  if (socket_ < 0) {
    longest = std::min(longest, for_body ? kStreamBodySlice : kStreamSlice);
  } else {
    fds[1].events = static_cast<short>((for_body ? POLLIN : 0) | (mind_half_close ? POLLRDHUP : 0));
  }
  const int ready = ::poll(fds, socket_ < 0 ? 1 : 2, static_cast<int>(std::max<int64_t>(longest.count(), 0)));
  if (r_->connection->aborted) return Event::kGone;
  if (ready <= 0) return socket_ < 0 && for_body ? Event::kReadable : Event::kNothing;
  if ((fds[0].revents & POLLIN) != 0) {
    drain(wake_fd_);
    return Event::kWork;
  }
  if ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return Event::kGone;
  if (for_body && (fds[1].revents & POLLIN) != 0) return Event::kReadable;
  if ((fds[1].revents & POLLRDHUP) != 0) return Event::kHalfClosed;
  return Event::kNothing;
}

}  // namespace nwsgi::httpd_side
