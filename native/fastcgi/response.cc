// What goes out on a connection: see connection.h.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

#include "fastcgi/log_line.h"
#include "fastcgi/server.h"

namespace nwsgi::fastcgi {

using exchange::AbortReason;
using exchange::End;
using exchange::OutputItem;
using wire::Type;

namespace {
constexpr uint32_t kMostLingerTicks = 30;
}

void Connection::pump() {
  if (fd_ < 0) return;
  take_output();
  if (fd_ >= 0) flush();
}

void Connection::take_output() {
  if (!exchange_) return;
  exchange::Work work = exchange_->poll_on_server();
  for (OutputItem& item : work.output) {
    if (!exchange_) return;
    if (extended_) {
      add_extended(&item);
    } else {
      add_plain(&item);
    }
  }
  if (exchange_ && work.end != End::kOpen) conclude(work.end);
  // Also of a tunnel whose application has closed its side.
  if (exchange_ && work.body_wanted) want_body();
}

void Connection::add_extended(OutputItem* item) {
  switch (item->kind) {
    case OutputItem::Kind::kHead:
      return wire::append_text(queue_.records(), Type::kHead, id_, item->text);
    case OutputItem::Kind::kData:
      return queue_.add_block(id_, &item->chunk);
    case OutputItem::Kind::kFile:
      return queue_.add_descriptor(id_, std::exchange(item->fd, -1), item->offset, item->length);
    case OutputItem::Kind::kInterim:
      return wire::append_text(queue_.records(), Type::kInterim, id_, item->text);
    case OutputItem::Kind::kUpgrade:
      wire::append_text(queue_.records(), Type::kUpgrade, id_, item->text);
      tunnel_ = Tunnel::kAsked;
      return server_->slot().upgraded(true);
    case OutputItem::Kind::kTrailers:
      return wire::append_text(queue_.records(), Type::kTrailers, id_, item->text);
    case OutputItem::Kind::kLog:
      // A server that takes nothing at present would let them pile up.
      if (queue_.bytes() > exchange::kHighWater + exchange::kMostLogged) return server_->log(item->level, item->text);
      return wire::append_log(queue_.records(), id_, item->level, item->text);
  }
}

void Connection::add_plain(OutputItem* item) {
  switch (item->kind) {
    case OutputItem::Kind::kHead: {
      std::string text;
      if (!response_.take_head(std::move(item->text), &text)) return break_off("its head is malformed");
      return wire::append_stream(queue_.records(), Type::kStdout, id_, text);
    }
    case OutputItem::Kind::kData:
    case OutputItem::Kind::kFile:
      return add_plain_body(item);
    case OutputItem::Kind::kUpgrade:
      return refuse_upgrade();
    case OutputItem::Kind::kLog:
      server_->log(item->level, item->text);
      if (item->level <= exchange::kLogWarning) wire::append_stream(queue_.records(), Type::kStderr, id_, item->text + "\n");
      return;
    case OutputItem::Kind::kInterim:   // FastCGI 1.0 has no place for these two
    case OutputItem::Kind::kTrailers:
      return;
  }
}

void Connection::add_plain_body(OutputItem* item) {
  const bool is_file = item->kind == OutputItem::Kind::kFile;
  const uint64_t offered = is_file ? static_cast<uint64_t>(item->length) : item->chunk.size;
  const uint64_t size = response_.clip(offered);
  if (is_file) {
    if (size != 0) queue_.add_file(id_, std::exchange(item->fd, -1), item->offset, static_cast<int64_t>(size));
    return;
  }
  // What is left out counts as sent, or the application would wait for it.
  if (size != offered) exchange_->output_written_on_server(offered - size);
  item->chunk.size = size;
  queue_.add_block(id_, &item->chunk);
}

void Connection::want_body() {
  const size_t room = exchange_->body_room_on_server();
  if (!extended_) {
    if (room != 0 && std::exchange(paused_, false)) update_interest();
    return;
  }
  if (stdin_ended_) return;
  const size_t more = room > credit_ ? room - credit_ : 0;
  // The first one says that the application reads, whatever the credit.
  if (asked_for_body_ && more < exchange::kBodyWindow / 4) return;
  asked_for_body_ = true;
  credit_ += static_cast<uint32_t>(more);
  wire::append_want_body(queue_.records(), id_, static_cast<uint32_t>(more));
}

// ---- ends of a response ----

void Connection::conclude(End end) {
  if (tunnel_ != Tunnel::kNone) {
    conclude_tunnel(end);
  } else if (extended_) {
    conclude_extended(end);
  } else {
    conclude_plain(end);
  }
}

void Connection::conclude_extended(End end) {
  if (end == End::kComplete) return end_request(wire::kEndComplete);
  const exchange::Failure& failure = exchange_->failure_on_server();
  if (end == End::kFailed || !failure.message.empty()) wire::append_failure(queue_.records(), id_, failure);
  end_request(end == End::kFailed ? wire::kEndFailed : wire::kEndAborted);
}

// Each side closes for itself; an empty STDOUT is the application's end.
void Connection::conclude_tunnel(End end) {
  if (end != End::kComplete) return conclude_extended(end);
  if (!std::exchange(half_closed_, true)) wire::append_record(queue_.records(), Type::kStdout, id_, {});
  if (tunnel_ == Tunnel::kOpen && stdin_ended_) end_request(wire::kEndComplete);
}

void Connection::conclude_plain(End end) {
  const exchange::Failure& failure = exchange_->failure_on_server();
  if (end != End::kComplete && !failure.message.empty() && !failure.logged) {
    const std::string line = failure.code + " " + failure.message;
    server_->log(exchange::kLogError, line);
    wire::append_stream(queue_.records(), Type::kStderr, id_, line + "\n");
  }
  if (end == End::kAborted) return break_off(nullptr);
  if (end == End::kFailed || !response_.head_taken()) {
    wire::append_stream(queue_.records(), Type::kStdout, id_, PlainResponse::failure_page(failure, plain_.is_head));
  } else if (!response_.complete()) {
    const std::string sent = "it has " + std::to_string(response_.sent()) + " bytes, Content-Length says " +
                             std::to_string(response_.announced());
    return break_off(sent.c_str());
  }
  wire::append_record(queue_.records(), Type::kStdout, id_, {});
  end_request(0);
}

void Connection::refuse_upgrade() {
  exchange_->abort_on_server(AbortReason::kServerFault);
  exchange::Failure failure;
  failure.status = 501;
  server_->log(exchange::kLogInfo,
               "NWSGI4232 the application agreed to another protocol, which FastCGI cannot carry; let the server speak HTTP "
               "to nwsgi serve for it");
  wire::append_stream(queue_.records(), Type::kStdout, id_, PlainResponse::failure_page(failure, plain_.is_head));
  wire::append_record(queue_.records(), Type::kStdout, id_, {});
  end_request(0);
}

// FastCGI has no word for "incomplete", and NGINX (unbuffered) and Caddy take the bare end of a connection for the end of a
// response without Content-Length. Nobody goes on after a record of a version that does not exist.
void Connection::break_off(const char* why) {
  if (why != nullptr) {
    server_->log(exchange::kLogError,
                 std::string("NWSGI4233 a response is broken off so that the client notices: ") + why);
  }
  exchange_->abort_on_server(AbortReason::kServerFault);
  queue_.records()->append(wire::kHeaderSize, '\0');
  close_when_sent_ = true;
  input_ended_ = true;
  release_exchange();
  phase_ = Phase::kIdle;
  id_ = 0;
}

void Connection::end_request(uint32_t app_status) {
  if (tunnel_ != Tunnel::kNone || !keep_ || input_ended_) close_when_sent_ = true;
  wire::append_end(queue_.records(), id_, app_status);
  release_exchange();
  phase_ = Phase::kIdle;
  id_ = 0;
  paused_ = false;
}

// The exchange is over for this side; the application may go on with it and reaches nobody.
void Connection::release_exchange() {
  if (!exchange_) return;
  exchange_->finish_on_server();
  exchange_ = nullptr;
  if (std::exchange(tunnel_, Tunnel::kNone) != Tunnel::kNone) {
    server_->slot().upgrade_over();
  } else {
    server_->slot().finished(extended_);
  }
  server_->request_over();
}

// ---- the socket ----

void Connection::flush() {
  if (!blocked_) {
    size_t written = 0;
    const OutputQueue::Result result = queue_.send(fd_, &written);
    if (written != 0 && exchange_) exchange_->output_written_on_server(written);
    switch (result) {
      case OutputQueue::Result::kEmpty:
        break;
      case OutputQueue::Result::kBlocked:
        blocked_ = true;
        break;
      case OutputQueue::Result::kPaused:
        server_->mark(this);
        break;
      case OutputQueue::Result::kBadFile:
        queue_.clear();
        if (exchange_) {
          break_off("its file became shorter, or cannot be read");
        } else {  // the application has handed over the rest already
          queue_.records()->append(wire::kHeaderSize, '\0');
          close_when_sent_ = input_ended_ = true;
        }
        return flush();
      case OutputQueue::Result::kBroken:
        return gone(AbortReason::kClientGone);
    }
  }
  if (queue_.empty() && phase_ == Phase::kIdle) {
    if (close_when_sent_) {
      if (extended_ || stdin_ended_ || input_ended_) return close();
      linger();
    } else if (server_->draining() && !shut_) {
      return shut_down();
    }
  }
  update_interest();
}

// Says that nothing that comes from now on is ever begun, and reads nothing more: a request that is sent in spite of it is
// known as unread to its sender when the connection ends.
void Connection::shut_down() {
  if (!extended_ && !stdin_ended_) return linger();
  shut_ = true;
  ::shutdown(fd_, SHUT_WR);
  update_interest();
}

// Servers send the whole request, whatever has been answered meanwhile, and take a connection that is closed before for an
// error; some of them send its end by itself.
void Connection::linger() {
  if (!std::exchange(lingering_, true)) ::shutdown(fd_, SHUT_WR);
  update_interest();
}

void Connection::tick() {
  if (lingering_ && ++linger_ticks_ > kMostLingerTicks) return close();
  if (phase_ == Phase::kServing && !extended_ && server_->request_timeout() != 0) check_request_time();
}

// Behind mod_nwsgi, the child that waits for the answer does this.
void Connection::check_request_time() {
  const std::chrono::milliseconds limit(server_->request_timeout());
  if (response_.head_taken() || std::chrono::steady_clock::now() - begun_ < limit) return;
  exchange::Failure failure;
  failure.status = 504;
  failure.code = "NWSGI1209";
  failure.message = "the application did not begin its answer within " + std::to_string(limit.count()) +
                    " ms (request-timeout); the client gets 504. Look for a promise that never settles, or raise the limit";
  give_up(failure, AbortReason::kTimeout);
}

void Connection::update_interest() {
  uint32_t interest = 0;
  if (!paused_ && !input_ended_ && !shut_) interest |= EPOLLIN;
  if (blocked_) interest |= EPOLLOUT;
  if (interest == interest_) return;
  interest_ = interest;
  server_->change_interest(this, interest);
}

}  // namespace nwsgi::fastcgi
