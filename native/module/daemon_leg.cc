#include "module/daemon_leg.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "exchange/brief_wait.h"
#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

namespace fastcgi = exchange::fastcgi;
using exchange::Clock;
using exchange::End;
using exchange::Failure;
using exchange::Work;
using fastcgi::Type;
using std::chrono::milliseconds;

// A request of this size lies in one buffer of the kernel, which a worker reads as a whole or not at all.
constexpr size_t kReadAtOnce = 16 * 1024;
constexpr int kMostDescriptors = 16;
constexpr int kBadGateway = 502;
constexpr int kGatewayTimeout = 504;

size_t size_of(const iovec* parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return size;
}

Failure server_stopping() {
  Failure failure;
  failure.status = 503;
  failure.code = "NWSGI3007";
  failure.message = "the server process is stopping";
  failure.retry_after = 1;
  return failure;
}

iovec part(const void* bytes, size_t size) { return {const_cast<void*>(bytes), size}; }

}  // namespace

DaemonLeg::DaemonLeg(std::string record, bool has_body, DaemonConnections* pool, Limits limits)
    : record_(std::move(record)), has_body_(has_body), pool_(pool), limits_(limits), body_ended_(!has_body) {}

DaemonLeg::~DaemonLeg() = default;

// ---- the request ----

bool DaemonLeg::submit(std::unique_ptr<DaemonConnection> connection) {
  connection_ = std::move(connection);
  worker_ = connection_->worker;
  id_ = connection_->last_id = fastcgi::next_id(connection_->last_id);
  reader_.emplace(id_, limits_.longest_line);
  pending_.clear();
  pending_sent_ = 0;
  sent_ = 0;
  send_failed_ = false;
  credit_ = fastcgi::kInitialCredit - std::min<size_t>(first_body_.size(), fastcgi::kInitialCredit);
  body_asked_ = false;
  head_given_ = false;
  end_ = End::kOpen;
  failure_ = {};
  loss_ = Loss::kNone;
  send_request();
  if (!send_failed_ || sent_ != 0) return true;
  connection_.reset();
  loss_ = Loss::kNotBegun;
  return false;
}

// All of it leaves by one system call; the record is not copied.
void DaemonLeg::send_request() {
  const uint8_t flags = fastcgi::kKeepConnection | fastcgi::kExtended | (has_body_ ? fastcgi::kHasBody : 0);
  std::string front;
  fastcgi::append_begin(&front, id_, flags);
  const bool one_piece = record_.size() <= fastcgi::kLongestContent;
  if (one_piece) {
    char header[fastcgi::kHeaderSize];
    fastcgi::put_header(header, Type::kParams, id_, record_.size());
    front.append(header, sizeof header);
  } else {
    fastcgi::append_stream(&front, Type::kParams, id_, record_);
  }
  std::string rest;
  fastcgi::append_record(&rest, Type::kParams, id_, {});
  fastcgi::append_stream(&rest, Type::kStdin, id_, first_body_);
  if (!body_error_.empty()) {
    fastcgi::append_text(&rest, Type::kBodyError, id_, body_error_);
  } else if (body_ended_) {
    if (!trailers_.empty()) fastcgi::append_text(&rest, Type::kRequestTrailers, id_, trailers_);
    fastcgi::append_record(&rest, Type::kStdin, id_, {});
  }
  iovec parts[3] = {part(front.data(), front.size()), part(record_.data(), one_piece ? record_.size() : 0),
                    part(rest.data(), rest.size())};
  send(parts, 3);
}

// ---- to the worker ----

void DaemonLeg::send(iovec* parts, int count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = static_cast<size_t>(count);
  const ssize_t sent = ::sendmsg(connection_->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    send_failed_ = true;
    return;
  }
  const size_t taken = sent > 0 ? static_cast<size_t>(sent) : 0;
  sent_ += taken;
  if (taken != size_of(parts, count)) keep(parts, count, taken);
}

void DaemonLeg::keep(const iovec* parts, int count, size_t sent) {
  pending_since_ = Clock::now();
  for (int i = 0; i < count; ++i) {
    const size_t skipped = std::min(sent, parts[i].iov_len);
    sent -= skipped;
    pending_.append(static_cast<const char*>(parts[i].iov_base) + skipped, parts[i].iov_len - skipped);
  }
}

void DaemonLeg::flush() {
  if (pending_.empty() || !connected()) return;
  if (send_failed_) {
    // What the worker said before it closed is still to be read.
    pending_.clear();
    pending_sent_ = 0;
    return;
  }
  const ssize_t sent = ::send(connection_->fd, pending_.data() + pending_sent_, pending_.size() - pending_sent_,
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) send_failed_ = true;
    else check_stuck();
    return;
  }
  sent_ += static_cast<size_t>(sent);
  pending_sent_ += static_cast<size_t>(sent);
  pending_since_ = Clock::now();
  if (pending_sent_ != pending_.size()) return;
  pending_.clear();
  pending_sent_ = 0;
}

void DaemonLeg::check_stuck() {
  if (limits_.stuck.count() == 0 || Clock::now() - pending_since_ < limits_.stuck) return;
  Failure failure;
  failure.status = kGatewayTimeout;
  failure.code = code_name(Code::kWorkerStuck);
  failure.message = "the worker process took nothing of what was sent to it for " +
                    std::to_string(limits_.stuck.count()) +
                    " ms (socket-timeout); look for code that keeps the event loop of the application busy";
  connection_.reset();
  fail(std::move(failure));
}

bool DaemonLeg::may_send_body() const {
  const bool open = end_ == End::kOpen || (tunnel_ && end_ == End::kComplete);
  return connected() && open && body_asked_ && !body_ended_ && body_error_.empty() && !aborted_ &&
         (tunnel_ || !reader_->upgrade_seen());
}

// Before the worker has the request, what it takes unasked; afterwards what it has asked for and not been sent.
size_t DaemonLeg::body_room_on_server() {
  if (!connected()) return fastcgi::kInitialCredit - std::min<size_t>(first_body_.size(), fastcgi::kInitialCredit);
  const size_t unsent = pending_.size() - pending_sent_;
  return std::min(credit_, exchange::kBodyWindow - std::min(unsent, exchange::kBodyWindow));
}

// Leaves with the next look for work: what the client sends comes in small portions.
void DaemonLeg::push_body_on_server(const char* bytes, size_t size) {
  if (size == 0 || body_ended_ || !body_error_.empty()) return;
  if (!connected()) {
    first_body_.append(bytes, size);
    return;
  }
  if (pending_.empty()) pending_since_ = Clock::now();
  credit_ -= std::min(size, credit_);
  fastcgi::append_stream(&pending_, Type::kStdin, id_, {bytes, size});
}

void DaemonLeg::end_body_on_server() {
  if (body_ended_) return;
  body_ended_ = true;
  if (!connected() || !body_error_.empty()) return;
  if (!trailers_.empty() && !tunnel_) fastcgi::append_text(&pending_, Type::kRequestTrailers, id_, trailers_);
  fastcgi::append_record(&pending_, Type::kStdin, id_, {});
  flush();
}

void DaemonLeg::fail_body_on_server(std::string message) {
  body_error_ = message.empty() ? std::string("the request body could not be read") : std::move(message);
  if (!connected()) return;
  fastcgi::append_text(&pending_, Type::kBodyError, id_, body_error_);
  flush();
}

void DaemonLeg::set_trailers_on_server(std::string lines) { trailers_ = std::move(lines); }

void DaemonLeg::begin_tunnel_on_server() {
  tunnel_ = true;
  body_ended_ = false;
  body_error_.clear();
  body_asked_ = false;
  credit_ = fastcgi::kInitialCredit;
  if (!connected()) return;
  fastcgi::append_record(&pending_, Type::kTunnel, id_, {});
  flush();
}

void DaemonLeg::abort_on_server(exchange::AbortReason reason) {
  if (aborted_) return;
  aborted_ = true;
  output_.clear();
  if (!connected()) return;
  fastcgi::append_abort(&pending_, id_, reason);
  flush();
}

// An answer that has ended has already left its connection to others.
void DaemonLeg::finish_on_server() { connection_.reset(); }

// ---- from the worker ----

bool DaemonLeg::awaits_on_server(Awaited* awaited) {
  *awaited = {};
  if (!connected()) return true;
  if (queued_ < exchange::kHighWater) awaited->events |= POLLIN;
  if (!pending_.empty() && !send_failed_) awaited->events |= POLLOUT;
  if (awaited->events != 0) awaited->fd = connection_->fd;
  return true;
}

void DaemonLeg::output_written_on_server(size_t bytes) { queued_ -= std::min(bytes, queued_); }

Work DaemonLeg::take_work() {
  Work work;
  work.output.swap(output_);
  for (const exchange::OutputItem& item : work.output) queued_ += item.weight();
  head_given_ = head_given_ || (!work.output.empty() && reader_->head_seen());
  work.body_wanted = may_send_body() && body_room_on_server() != 0;
  work.end = end_;
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
  flush();
  receive_now();
  if (connected()) fail_at_end_of_grace();
  return take_work();
}

Work DaemonLeg::wait_on_server(Clock::time_point until) {
  // The socket's own time-out saves a poll(2) where the wait is as long as that.
  constexpr milliseconds kNearlySocketWait = DaemonConnection::kSocketWait - milliseconds(5);
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

void DaemonLeg::receive_now() {
  if (queued_ < exchange::kHighWater) receive(MSG_DONTWAIT);
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
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
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
