// What a worker answers, and what its end means for the request.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "exchange/brief_wait.h"
#include "module/daemon_leg.h"
#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::Clock;
using exchange::End;
using exchange::Failure;
using exchange::Work;
using std::chrono::milliseconds;

// A request of this size lies in one buffer of the kernel, which a worker reads as a whole or not at all.
constexpr size_t kReadAtOnce = 16 * 1024;
constexpr int kMostDescriptors = 16;
constexpr int kBadGateway = 502;
// How often those that wait in place look whether the child has time left.
constexpr milliseconds kSlice{1000};

Failure server_stopping() {
  Failure failure;
  failure.status = 503;
  failure.code = "NWSGI3007";
  failure.message = "the server process is stopping";
  failure.retry_after = 1;
  return failure;
}

}  // namespace

// ---- for whoever serves the client ----

bool DaemonLeg::awaits_on_server(Awaited* awaited) {
  *awaited = {};
  just_sent_ = false;
  if (under_way()) *awaited = route_->awaits();
  if (!connected()) return true;
  // The end of the child's patience: who is told by a sink is told of that, too.
  if (!told_by_sink_) awaited->until = Clock::now() + kSlice;
  if (queued_ < exchange::kHighWater) awaited->events |= POLLIN;
  if (!pending_.empty() && !send_failed_) {
    awaited->events |= POLLOUT;
    if (limits_.stuck.count() != 0) awaited->until = std::min(awaited->until, pending_since_ + limits_.stuck);
  }
  if (awaited->events != 0) awaited->fd = connection_->fd;
  return true;
}

void DaemonLeg::set_sink_on_server(exchange::Sink* sink) {
  told_by_sink_ = sink != nullptr;
  if (route_ != nullptr) route_->set_sink(sink);
}

void DaemonLeg::output_written_on_server(size_t bytes) { queued_ -= std::min(bytes, queued_); }

Work DaemonLeg::take_work() {
  // A tunnel's connection is its end.
  const bool lost = loss_ != Loss::kNone && !aborted_ && !tunnel_;
  if (lost && route_ != nullptr && !route_->under_way()) route_->lost();
  Work work;
  work.output.swap(output_);
  for (const exchange::OutputItem& item : work.output) queued_ += item.weight();
  head_given_ = head_given_ || (!work.output.empty() && reader_->head_seen());
  work.body_wanted = may_send_body() && body_room_on_server() != 0;
  if (!under_way()) work.end = end_;
  return work;
}

// The server has lost its patience with a child that was to finish its requests first.
bool DaemonLeg::fail_at_end_of_grace() {
  if (limits_.grace_has_ended == nullptr || !limits_.grace_has_ended()) return false;
  abort_on_server(exchange::AbortReason::kServerStopping);
  connection_.reset();
  fail(server_stopping());
  return true;
}

Work DaemonLeg::poll_on_server() {
  for (;;) {
    if (under_way()) route_->advance();
    flush();
    receive_now();
    if (connected()) fail_at_end_of_grace();
    const bool was_under_way = under_way();
    Work work = take_work();
    // Its worker has gone: what can be done about that at once is done at once.
    if (work.any() || was_under_way || !under_way()) return work;
  }
}

Work DaemonLeg::wait_on_server(Clock::time_point until) {
  // The socket's own time-out saves a poll(2) where the wait is as long as that.
  constexpr milliseconds kNearlySocketWait = DaemonConnection::kSocketWait - milliseconds(5);
  if (under_way()) return poll_on_server();
  just_sent_ = false;
  flush();
  bool looked = false;
  exchange::wait_a_moment([this, &looked] {
    if (!std::exchange(looked, true)) return false;  // nothing can be there before somebody else has run
    receive_now();
    return !connected() || !output_.empty() || end_ != End::kOpen || may_send_body();
  });
  for (;;) {
    Work work = take_work();
    if (work.any() || !connected()) return work;
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0) return work;
    if (pending_.empty() && left >= kNearlySocketWait) {
      receive(0);
      continue;
    }
    Awaited awaited;
    awaits_on_server(&awaited);
    pollfd descriptor{awaited.fd, awaited.events, 0};
    ::poll(&descriptor, 1, static_cast<int>(left.count()));
    flush();
    receive_now();
  }
}

// ---- from the worker ----

void DaemonLeg::receive_now() {
  if (queued_ < exchange::kHighWater && !just_sent_) receive(MSG_DONTWAIT);
}

void DaemonLeg::receive(int flags) {
  if (!connected()) return;
  iovec places[2];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
  msghdr message{};
  message.msg_iov = places;
  message.msg_iovlen = static_cast<size_t>(reader_->places(places));
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(connection_->fd, &message, flags | MSG_CMSG_CLOEXEC);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return reader_->received(0);
  if (size <= 0) return lose(loss_by(size < 0 ? errno : 0));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      reader_->received_descriptor(fd);
    }
  }
  reader_->received(static_cast<size_t>(size));
  collect();
}

void DaemonLeg::collect() {
  for (exchange::OutputItem& item : reader_->take_output()) {
    if (!aborted_) output_.push_back(std::move(item));
  }
  credit_ += reader_->take_credit();
  if (reader_->take_body_asked()) body_asked_ = true;
  if (reader_->begun()) std::string().swap(first_body_);
  if (reader_->broken() != nullptr) {
    Failure failure;
    failure.status = reader_->line_too_long() ? 500 : kBadGateway;
    failure.code = code_name(reader_->line_too_long() ? Code::kHeadLineTooLong : Code::kAnswerMalformed);
    failure.message =
        reader_->line_too_long()
            ? "a line of the application's response head is longer than " + std::to_string(limits_.longest_line) +
                  " bytes (header-buffer-size); send less in it, or raise the limit"
            : "the answer of the worker process cannot be used: " + std::string(reader_->broken()) +
                  "; make sure that module and workers are of the same nwsgi, and report it if they are";
    abort_on_server(exchange::AbortReason::kServerFault);
    connection_.reset();
    fail(std::move(failure));
  } else if (reader_->end() != End::kOpen) {
    settle();
  }
}

// The worker has said that the answer is over.
void DaemonLeg::settle() {
  end_ = reader_->end();
  if (end_ == End::kFailed || end_ == End::kAborted) failure_ = reader_->failure();
  if (reader_->refused()) loss_ = Loss::kNotBegun;
  if (!reader_->over()) return;
  const bool reusable = !reader_->upgrade_seen() && !reader_->refused() && reader_->at_rest() && pending_.empty() &&
                        !send_failed_ && !aborted_;
  if (reusable) pool_->give_back(std::move(connection_));
  connection_.reset();
}

DaemonLeg::Loss DaemonLeg::loss_by(int error) const {
  if (reader_->begun()) return Loss::kInFlight;
  if (sent_ == 0) return Loss::kNotBegun;
  if (error == 0) {
    // A worker that drains closes its sending side only, and begins nothing that it reads afterwards. One that has died
    // has closed both.
    pollfd descriptor{connection_->fd, POLLIN, 0};
    const bool hung_up = ::poll(&descriptor, 1, 0) > 0 && (descriptor.revents & POLLHUP) != 0;
    return hung_up ? Loss::kInFlight : Loss::kNotBegun;
  }
  // The kernel's answer to whoever sent what the other side has not read.
  if (error == ECONNRESET) return sent_ <= kReadAtOnce ? Loss::kNotBegun : Loss::kUnread;
  return Loss::kInFlight;
}

void DaemonLeg::lose(Loss loss) {
  connection_.reset();
  Failure failure;
  failure.status = kBadGateway;
  failure.code = code_name(Code::kWorkerLost);
  failure.message = "the worker process ended before its answer was complete; its reason stands in the error log";
  fail(std::move(failure));
  loss_ = loss;
}

void DaemonLeg::fail(Failure failure) {
  const bool head_read = reader_ && reader_->head_seen();
  end_ = head_given_ || (head_read && !output_.empty()) ? End::kAborted : End::kFailed;
  failure_ = std::move(failure);
  loss_ = Loss::kNone;
}

}  // namespace nwsgi::httpd_side
