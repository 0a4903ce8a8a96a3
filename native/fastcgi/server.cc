#include "fastcgi/server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "fastcgi/log_line.h"

namespace nwsgi::fastcgi {

namespace {

// What an event is about: connections have addresses, the others odd numbers.
constexpr uint64_t kWakeEvent = 1;
constexpr uint64_t listener_event(int fd) { return static_cast<uint64_t>(fd) << 2 | 3; }

constexpr std::chrono::seconds kLameTime{1};

bool prepare(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

}  // namespace

Server::Server(exchange::Ref<exchange::Mailbox> mailbox, ServerOptions options)
    : mailbox_(std::move(mailbox)),
      options_(std::move(options)),
      plain_records_(options_.plain),
      thread_(std::this_thread::get_id()),
      scratch_(new char[kScratch]) {}

Server::~Server() {
  close_all();
  for (const int listener : listeners_) ::close(listener);
  if (event_ >= 0) ::close(event_);
  if (epoll_ >= 0) ::close(epoll_);
}

bool Server::start(std::string* error) {
  if (options_.scoreboard_fd >= 0 && !slot_.open(options_.scoreboard_fd, options_.slot, options_.generation, error)) {
    return false;
  }
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeEvent;
  if (epoll_ >= 0 && event_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event) == 0) return true;
  *error = std::string("epoll: ") + std::strerror(errno);
  return false;
}

void Server::log(uint8_t level, const std::string& text) const {
  if (level <= options_.log_level) write_log(level, text);
}

// ---- sockets ----

Connection* Server::unused_connection() {
  if (!unused_.empty()) {
    Connection* const connection = unused_.back();
    unused_.pop_back();
    return connection;
  }
  return connections_.emplace_back(std::make_unique<Connection>(this)).get();
}

bool Server::adopt(int fd, bool trusted) {
  if (!prepare(fd)) return false;
  Connection* const connection = unused_connection();
  connection->open(fd, trusted);
  if (!watch(connection)) return false;
  if (draining_) connection->drain();
  return true;
}

bool Server::watch(Connection* connection) {
  epoll_event event{};
  event.events = connection->initial_interest();
  event.data.ptr = connection;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd(), &event) == 0) {
    ++open_;
    return true;
  }
  const int problem = errno;
  connection->disown();
  unused_.push_back(connection);
  errno = problem;
  return false;
}

void Server::change_interest(Connection* connection, uint32_t interest) {
  epoll_event event{};
  event.events = interest;
  event.data.ptr = connection;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection->fd(), &event);
}

// Removed by hand: the socket may be open in another process as well. The object is used again only after the events of
// this turn, which may name it.
void Server::closed(Connection* connection) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, connection->fd(), nullptr);
  --open_;
  closed_.push_back(connection);
  if (out_of_descriptors_) resume_listening();
}

bool Server::listen(int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLEXCLUSIVE;  // several workers wait for the same socket: one is woken
  event.data.u64 = listener_event(fd);
  if (!prepare(fd) || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
  listeners_.push_back(fd);
  return true;
}

void Server::stop_listening() {
  for (const int listener : listeners_) {
    if (!listening_paused_) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener, nullptr);
    ::close(listener);
  }
  listeners_.clear();
}

void Server::pause_listening() {
  if (std::exchange(listening_paused_, true)) return;
  for (const int listener : listeners_) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener, nullptr);
}

void Server::resume_listening() {
  out_of_descriptors_ = false;
  if (!std::exchange(listening_paused_, false)) return;
  for (const int listener : listeners_) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLEXCLUSIVE;
    event.data.u64 = listener_event(listener);
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, listener, &event);
  }
}

void Server::accept_from(int listener) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (full()) return pause_listening();
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        log(exchange::kLogError, std::string("NWSGI4234 connections wait, because none can be accepted: ") +
                                     std::strerror(errno) + "; raise the limit of open files (ulimit -n)");
        out_of_descriptors_ = true;
        pause_listening();
      }
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a unix socket refuses, which is fine
    Connection* const connection = unused_connection();
    connection->open(fd, false);
    if (!watch(connection)) {
      ::close(fd);
      return;
    }
    connection->on_socket(EPOLLIN);  // the request is there as a rule
  }
}

bool Server::full() const { return options_.most_requests != 0 && slot_.active() >= options_.most_requests; }

void Server::request_over() {
  if (listening_paused_ && !out_of_descriptors_ && !full()) resume_listening();
}

// ---- turns ----

bool Server::turn() {
  epoll_event events[kEvents];
  const int count = ::epoll_wait(epoll_, events, kEvents, 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t about = events[i].data.u64;
    if (about == kWakeEvent) {
      take_marks_of_threads();
    } else if ((about & 3) == 3) {
      const int listener = static_cast<int>(about >> 2);
      if (std::find(listeners_.begin(), listeners_.end(), listener) != listeners_.end()) accept_from(listener);
    } else {
      auto* const connection = static_cast<Connection*>(events[i].data.ptr);
      if (connection->is_open()) connection->on_socket(events[i].events);
    }
  }
  unused_.insert(unused_.end(), closed_.begin(), closed_.end());
  closed_.clear();
  return count > 0;
}

void Server::mark(Connection* connection) {
  if (!std::exchange(connection->marked, true)) marked_.push_back(connection);
}

void Server::mark_from_thread(Connection* connection) {
  {
    std::lock_guard lock(mutex_);
    marked_by_threads_.push_back(connection);
  }
  wake();
}

void Server::wake() {
  const uint64_t one = 1;
  // An eventfd only fails to take a 1 when it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
}

void Server::take_marks_of_threads() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(event_, &count, sizeof count);
  std::vector<Connection*> marked;
  {
    std::lock_guard lock(mutex_);
    marked.swap(marked_by_threads_);
  }
  for (Connection* const connection : marked) mark(connection);
}

void Server::flush() {
  pumping_.swap(marked_);
  for (Connection* const connection : pumping_) {
    connection->marked = false;
    connection->pump();
  }
  pumping_.clear();
}

void Server::tick() {
  slot_.reconcile();
  for (const auto& connection : connections_) {
    connection->tick();
    if (draining_) connection->drain();
  }
  if (out_of_descriptors_) resume_listening();
}

// ---- ends ----

void Server::drain() {
  if (!std::exchange(draining_, true)) lame_until_ = std::chrono::steady_clock::now() + kLameTime;
  for (const auto& connection : connections_) connection->drain();
}

void Server::fail_all(const exchange::Failure& failure) {
  for (const auto& connection : connections_) connection->fail(failure);
}

void Server::close_all() {
  for (const auto& connection : connections_) connection->close();
}

void Server::interrupted() {
  exchange::Failure failure;
  failure.status = 503;
  failure.code = "NWSGI4237";
  failure.message = "JavaScript was interrupted, because something in this worker did not let go of the event loop (see NWSGI4235 "
                    "above); what became of this request is not known";
  for (const auto& connection : connections_) {
    if (!connection->is_tunnel()) connection->give_up(failure);
  }
}

uint32_t Server::pending() const {
  const bool lame = draining_ && this->lame();
  return static_cast<uint32_t>(std::count_if(connections_.begin(), connections_.end(), [lame](const auto& connection) {
    return connection->is_open() && (connection->idle() ? lame && connection->is_spared() : !connection->is_tunnel());
  }));
}

bool Server::flush_blocking(int milliseconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  for (;;) {
    while (has_news()) flush();
    std::vector<pollfd> waiting;
    for (const auto& connection : connections_) {
      if (connection->is_open() && connection->has_unsent()) waiting.push_back({connection->fd(), POLLOUT, 0});
    }
    if (waiting.empty()) return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0 || ::poll(waiting.data(), waiting.size(), static_cast<int>(left)) <= 0) return false;
    for (const auto& connection : connections_) {
      if (connection->is_open() && connection->has_unsent()) connection->unblock();
    }
  }
}

}  // namespace nwsgi::fastcgi
