#include "module/client_watch.h"

#include <apr_portable.h>
#include <http_core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

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
  if (exchange_ != nullptr) exchange_->set_wake_fd_on_server(-1);
}

void ClientWatch::attach(exchange::Exchange* exchange) {
  if (exchange_ != nullptr) return;
  input_fd_ = input_descriptor(r_->connection);
  wake_fd_ = thread_wake_fd.get();
  if (wake_fd_ < 0) return;
  drain(wake_fd_);
  exchange_ = exchange;
  exchange->set_wake_fd_on_server(wake_fd_);
}

ClientWatch::Event ClientWatch::wait(milliseconds longest, bool for_body, bool mind_half_close) {
  if (r_->connection->aborted) return Event::kGone;
  const StopWindow window;
  if (wake_fd_ < 0) {
    // Out of descriptors: look again after a short while.
    std::this_thread::sleep_for(std::min(longest, milliseconds(5)));
    return for_body ? Event::kReadable : Event::kWork;
  }
  // A stream's pipe says nothing about the client having gone.
  const bool watch_input = input_fd_ >= 0 && (for_body || !is_stream_);
  const bool blind = input_fd_ < 0 && for_body;
  if (is_stream_) longest = std::min(longest, kStreamSlice);
  if (blind) longest = std::min(longest, kBlindSlice);
  pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {input_fd_, 0, 0}};
  fds[1].events = static_cast<short>((for_body ? POLLIN : 0) | (mind_half_close && !is_stream_ ? POLLRDHUP : 0));
  const int ready = ::poll(fds, watch_input ? 2 : 1, static_cast<int>(std::max<int64_t>(longest.count(), 0)));
  if (r_->connection->aborted) return Event::kGone;
  if (ready <= 0) return blind ? Event::kReadable : Event::kNothing;
  if ((fds[0].revents & POLLIN) != 0) {
    drain(wake_fd_);
    return Event::kWork;
  }
  if (for_body && (fds[1].revents & POLLIN) != 0) return Event::kReadable;
  if ((fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) return is_stream_ ? Event::kReadable : Event::kGone;
  if ((fds[1].revents & POLLRDHUP) != 0) return Event::kHalfClosed;
  return Event::kNothing;
}

}  // namespace nwsgi::httpd_side
