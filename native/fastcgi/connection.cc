#include "fastcgi/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "exchange/record.h"
#include "fastcgi/server.h"

namespace nwsgi::fastcgi {

using exchange::AbortReason;
using exchange::Exchange;
using wire::Type;

namespace {

// Reads of one connection before others have their turn.
constexpr int kReadsPerTurn = 4;
// PARAMS of strangers. Servers limit header fields to far less.
constexpr size_t kLongestPlainParams = 1024 * 1024;

bool is_unix(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.ss_family == AF_UNIX;
}

}  // namespace

Connection::~Connection() {
  if (fd_ >= 0) ::close(fd_);
}

void Connection::open(int fd, bool trusted) {
  fd_ = fd;
  trusted_ = trusted;
  phase_ = Phase::kIdle;
  blocked_ = paused_ = input_ended_ = shut_ = close_when_sent_ = lingering_ = false;
  extended_ = false;
  stdin_ended_ = true;
  linger_ticks_ = 0;
  id_ = 0;
  tunnel_ = Tunnel::kNone;
  params_.clear();
  control_.clear();
  parser_.reset();
  joiner_.reset();
  queue_.clear();
}

uint32_t Connection::initial_interest() { return interest_ = EPOLLIN; }

void Connection::unblock() {
  blocked_ = false;
  server_->mark(this);
}

void Connection::close() {
  if (fd_ < 0) return;
  if (exchange_) exchange_->abort_on_server(AbortReason::kClientGone);
  release_exchange();
  phase_ = Phase::kIdle;
  server_->closed(this);
  ::close(std::exchange(fd_, -1));
  queue_.clear();
  params_ = std::string();
  interest_ = 0;
}

exchange::Sink::Told Connection::on_news(Exchange*) noexcept {
  if (server_->on_loop_thread()) {
    server_->mark(this);
  } else {
    server_->mark_from_thread(this);
  }
  return {};
}

void Connection::on_socket(uint32_t events) {
  const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLOUT) != 0 && std::exchange(blocked_, false)) server_->mark(this);
  if (shut_ && idle()) {
    if (hung_up) close();
    return;
  }
  if (hung_up && (paused_ || input_ended_)) {
    gone(AbortReason::kClientGone);
  } else if (hung_up || (events & EPOLLIN) != 0) {
    read();
    // What a dead peer has sent before was read; whether it lives is known by the end of its bytes.
    if (hung_up && input_ended_) gone(AbortReason::kClientGone);
  }
  if (fd_ >= 0) update_interest();
}

void Connection::read() {
  char* const buffer = server_->scratch();
  for (int i = 0; i < kReadsPerTurn && !paused_ && !input_ended_ && !shut_; ++i) {
    const ssize_t size = ::recv(fd_, buffer, Server::kScratch, MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) gone(AbortReason::kClientGone);
      return;
    }
    if (size == 0) return end_of_input();
    const bool understood =
        parser_.feed({buffer, static_cast<size_t>(size)},
                     [this](const wire::Header& header, std::string_view bytes, bool last) {
                       return on_piece(header, bytes, last);
                     });
    if (fd_ < 0) return;
    if (!understood) {
      protocol_error("bytes that are no FastCGI records");
      return;
    }
    if (static_cast<size_t>(size) < Server::kScratch) return;
  }
}

// ---- records ----

bool Connection::on_piece(const wire::Header& header, std::string_view bytes, bool last) {
  if (phase_ == Phase::kIdle && header.type == Type::kStdin && header.length == 0) stdin_ended_ = true;
  if (lingering_) {
    if (stdin_ended_) close();
    return fd_ >= 0;
  }
  if (header.type == Type::kStdin) {
    if (header.id != id_ || (phase_ != Phase::kServing && phase_ != Phase::kFirstStdin)) return true;  // late
    return header.length == 0 ? on_stdin_end() : on_stdin(bytes);
  }
  if (header.type == Type::kParams) return on_params(header, bytes, last);
  if (last && control_.empty()) return on_record(header, bytes);
  control_.append(bytes);
  if (!last) return true;
  const std::string content = std::exchange(control_, {});
  return on_record(header, content);
}

bool Connection::on_record(const wire::Header& header, std::string_view content) {
  if (header.type == Type::kBeginRequest) return on_begin(header, content);
  if (header.id == 0) return on_management(header, content);
  if (header.id != id_ || phase_ == Phase::kIdle) return true;  // of a request that is over
  if (header.type == Type::kAbortRequest) return on_abort(content);
  if (!extended_) return true;
  std::string_view text;
  switch (header.type) {
    case Type::kBodyError:
    case Type::kRequestTrailers:
      if (!exchange_) return protocol_error("a record of the body before the end of PARAMS");
      switch (joiner_.add(header, content, &text)) {
        case wire::TextJoiner::Result::kMore:
          return true;
        case wire::TextJoiner::Result::kTooLong:
          return protocol_error("a text that is too long");
        case wire::TextJoiner::Result::kComplete:
          break;
      }
      if (header.type == Type::kBodyError) {
        exchange_->fail_body_on_server(std::string(text));
      } else {
        exchange_->set_trailers_on_server(std::string(text));
      }
      return true;
    case Type::kTunnel:
      if (tunnel_ != Tunnel::kAsked) return protocol_error("TUNNEL without UPGRADE");
      tunnel_ = Tunnel::kOpen;
      credit_ = wire::kInitialCredit;
      stdin_ended_ = asked_for_body_ = false;
      exchange_->begin_tunnel_on_server();
      server_->mark(this);
      return true;
    default:
      return true;
  }
}

bool Connection::on_management(const wire::Header& header, std::string_view content) {
  if (header.type != Type::kGetValues) {
    const char type[8] = {static_cast<char>(header.type)};
    wire::append_record(queue_.records(), Type::kUnknownType, 0, {type, sizeof type});
    server_->mark(this);
    return true;
  }
  exchange::RecordWriter answer(64);
  exchange::RecordReader reader(content);
  std::string_view name;
  std::string_view value;
  while (!reader.at_end()) {
    if (!reader.next(&name, &value)) return protocol_error("GET_VALUES with a length that points past its end");
    if (name == "FCGI_MPXS_CONNS") answer.add(name, "0");
    if (name == "FCGI_MAX_CONNS" || name == "FCGI_MAX_REQS") answer.add(name, std::to_string(server_->most_requests()));
  }
  wire::append_record(queue_.records(), Type::kGetValuesResult, 0, answer.take());
  server_->mark(this);
  return true;
}

bool Connection::on_begin(const wire::Header& header, std::string_view content) {
  wire::Begin begin;
  if (header.id == 0 || !wire::get_begin(content, &begin)) return protocol_error("a malformed BEGIN_REQUEST");
  if (phase_ != Phase::kIdle) {
    if (extended_ || header.id == id_) return protocol_error("BEGIN_REQUEST before the end of another request");
    wire::append_end(queue_.records(), header.id, 0, wire::kCannotMultiplex);
    server_->mark(this);
    return true;
  }
  keep_ = (begin.flags & wire::kKeepConnection) != 0;
  if (begin.role != wire::kResponder) {
    wire::append_end(queue_.records(), header.id, 0, wire::kUnknownRole);
    if (!keep_) close_when_sent_ = true;
    server_->mark(this);
    return true;
  }
  phase_ = Phase::kParams;
  id_ = header.id;
  extended_ = trusted_ && (begin.flags & wire::kExtended) != 0;
  has_body_ = (begin.flags & wire::kHasBody) != 0;
  stdin_ended_ = asked_for_body_ = half_closed_ = false;
  tunnel_ = Tunnel::kNone;
  credit_ = wire::kInitialCredit;
  received_ = 0;
  joiner_.reset();
  params_.clear();
  return true;
}

bool Connection::on_params(const wire::Header& header, std::string_view bytes, bool last) {
  if (phase_ != Phase::kParams || header.id != id_) return true;
  if (header.length == 0) {
    if (extended_) {
      begin_extended();
      return true;
    }
    return begin_plain();
  }
  const size_t most = extended_ ? wire::kLongestText : kLongestPlainParams;
  if (bytes.size() > most - params_.size()) return protocol_error("PARAMS that are too long");
  // Nearly always all of them come in one piece; the string becomes the exchange's record as it is.
  if (params_.empty() && last) params_.reserve(bytes.size());
  params_.append(bytes);
  return true;
}

void Connection::begin_extended() { submit(std::exchange(params_, {}), has_body_); }

// A client that does not say how long the body is: its first STDIN record says whether there is one.
bool Connection::begin_plain() {
  plain_ = PlainRequest();
  if (!server_->plain_records().make(params_, &plain_)) {
    return protocol_error("PARAMS with a length that points past their end");
  }
  params_.clear();
  response_ = PlainResponse(plain_.is_head);
  if (!plain_.length_known) {
    phase_ = Phase::kFirstStdin;
    return true;
  }
  submit(std::move(plain_.record), plain_.content_length != 0);
  return true;
}

void Connection::submit(std::string record, bool has_body) {
  phase_ = Phase::kServing;
  if (!extended_ && server_->request_timeout() != 0) begun_ = std::chrono::steady_clock::now();
  exchange_ = Exchange::create(std::move(record), has_body);
  exchange_->set_sink_on_server(this);
  server_->slot().begun(extended_);
  if (server_->mailbox().submit(exchange_)) return;
  exchange::Failure failure;
  failure.status = 503;
  failure.code = "NWSGI4230";
  failure.message = "this worker is about to end and takes no further requests";
  failure.retry_after = 1;
  exchange_->fail(std::move(failure));
}

bool Connection::on_stdin(std::string_view bytes) {
  if (phase_ == Phase::kFirstStdin) submit(std::move(plain_.record), true);
  if (stdin_ended_) return protocol_error("STDIN after its end");
  if (extended_) {
    if (bytes.size() > credit_) return protocol_error("more STDIN than was asked for");
    credit_ -= static_cast<uint32_t>(bytes.size());
  } else {
    // What goes beyond the announced length is no part of the body.
    if (plain_.length_known) bytes = bytes.substr(0, std::min<uint64_t>(bytes.size(), plain_.content_length - received_));
    received_ += bytes.size();
  }
  exchange_->push_body_on_server(bytes.data(), bytes.size());
  if (!extended_ && exchange_->body_room_on_server() == 0) paused_ = true;
  return true;
}

bool Connection::on_stdin_end() {
  if (phase_ == Phase::kFirstStdin) submit(std::move(plain_.record), false);
  if (stdin_ended_) return true;
  stdin_ended_ = true;
  if (!extended_ && plain_.length_known && received_ < plain_.content_length) {
    exchange_->fail_body_on_server("the request's body ended after " + std::to_string(received_) + " of " +
                                   std::to_string(plain_.content_length) + " bytes");
  } else {
    exchange_->end_body_on_server();
  }
  if (half_closed_) server_->mark(this);  // both directions of the tunnel are closed now
  return true;
}

bool Connection::on_abort(std::string_view content) {
  if (exchange_) exchange_->abort_on_server(extended_ ? wire::get_abort(content) : AbortReason::kClientGone);
  if (exchange_) {
    end_request(wire::kEndAborted);
  } else {  // the application has not been told of it yet
    phase_ = Phase::kIdle;
    wire::append_end(queue_.records(), std::exchange(id_, 0), wire::kEndAborted);
    if (!keep_) close_when_sent_ = true;
  }
  server_->mark(this);
  return true;
}

// ---- ends ----

// The peer sends nothing more. A plain client on a unix socket may still read its answer; elsewhere an end of the bytes is
// the only sign by which a client that has left is known.
void Connection::end_of_input() {
  input_ended_ = true;
  if (idle()) return close();
  if (phase_ == Phase::kIdle) {
    close_when_sent_ = true;
    return;
  }
  if (!extended_ && phase_ == Phase::kServing && stdin_ended_ && is_unix(fd_)) return;
  gone(AbortReason::kClientGone);
}

bool Connection::protocol_error(const char* what) {
  server_->log(exchange::kLogError, std::string("NWSGI4231 a FastCGI connection is closed, because its peer sent ") + what +
                                        "; look for something that is no FastCGI client of this version of nwsgi");
  gone(AbortReason::kServerFault);
  return false;
}

void Connection::gone(AbortReason reason) {
  if (exchange_) exchange_->abort_on_server(reason);
  close();
}

void Connection::fail(const exchange::Failure& failure) {
  if (exchange_) {
    exchange_->fail(failure);
  } else if (phase_ != Phase::kIdle) {
    close();
  }
}

void Connection::give_up(const exchange::Failure& failure, AbortReason reason) {
  take_output();
  if (!exchange_) return;
  exchange_->fail(failure);
  exchange_->abort_on_server(reason);
  take_output();
  server_->mark(this);
}

void Connection::drain() {
  if (fd_ < 0 || shut_ || lingering_ || !idle() || (is_spared() && server_->lame())) return;
  shut_down();
}

}  // namespace nwsgi::fastcgi
