#include "module/daemon_leg.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

namespace fastcgi = exchange::fastcgi;
using exchange::Clock;
using exchange::End;
using exchange::Failure;
using fastcgi::Type;
using std::chrono::milliseconds;

constexpr int kGatewayTimeout = 504;

size_t size_of(const iovec* parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  return size;
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
  just_sent_ = route_ != nullptr;
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

}  // namespace nwsgi::httpd_side
