// One FastCGI connection of a worker: one request at a time, of mod_nwsgi (extended) or of any FastCGI client (plain).
//
// Thread: the loop's, for everything but on_news(). Nothing here calls JavaScript: what the exchange brings is taken when the
// server says pump().
// Life of a request: idle → reading its PARAMS → serving (its exchange is submitted) → idle. A connection is told to the
// end of its socket by close(); the object is kept by the server and used again, because an exchange may still name it as
// its sink.
// Memory: a body of an extended request comes by credit, a plain one is read while the exchange has room; output waits in
// the queue, and the exchange tells the application to pause.
#pragma once

#include <chrono>
#include <string>

#include "exchange/exchange.h"
#include "fastcgi/output_queue.h"
#include "fastcgi/parser.h"
#include "fastcgi/plain_record.h"
#include "fastcgi/plain_response.h"

namespace nwsgi::fastcgi {

class Server;

class Connection final : public exchange::Sink {
 public:
  explicit Connection(Server* server) : server_(server) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Takes the socket over, which does not block. `trusted`: the peer may be mod_nwsgi.
  void open(int fd, bool trusted);
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // Neither a request nor output that waits.
  bool idle() const { return phase_ == Phase::kIdle && queue_.empty(); }
  // Idle, and the worker that drains waits for a last request on it.
  bool is_spared() const { return !trusted_ && !shut_ && !lingering_; }
  bool serving() const { return phase_ == Phase::kServing; }
  bool is_tunnel() const { return tunnel_ != Tunnel::kNone; }
  bool has_unsent() const { return !queue_.empty(); }

  void on_socket(uint32_t events);
  Told on_news(exchange::Exchange* exchange) noexcept override;
  // Takes what the application has handed over and sends what the socket takes.
  void pump();
  // The worker takes no further requests: an idle connection says so, a busy one after its request.
  void drain();
  // About once a second: ends a linger, and a plain request, that takes too long.
  void tick();
  // The request in progress, if any, ends as a failure.
  void fail(const exchange::Failure& failure);
  // The same at once, and the application is told that nobody waits for it any more.
  void give_up(const exchange::Failure& failure, exchange::AbortReason reason = exchange::AbortReason::kServerFault);
  void close();
  // The socket was found to take bytes again.
  void unblock();
  // The socket is the caller's again; only directly after open().
  void disown() { fd_ = -1; }
  uint32_t initial_interest();

  bool marked = false;  // waits for the server's next flush

 private:
  enum class Phase : uint8_t { kIdle, kParams, kFirstStdin, kServing };
  enum class Tunnel : uint8_t { kNone, kAsked, kOpen };

  // connection.cc: what comes in
  void read();
  bool on_piece(const wire::Header& header, std::string_view bytes, bool last);
  bool on_record(const wire::Header& header, std::string_view content);
  bool on_management(const wire::Header& header, std::string_view content);
  bool on_begin(const wire::Header& header, std::string_view content);
  bool on_params(const wire::Header& header, std::string_view bytes, bool last);
  bool on_stdin(std::string_view bytes);
  bool on_stdin_end();
  bool on_abort(std::string_view content);
  void begin_extended();
  bool begin_plain();
  void submit(std::string record, bool has_body);
  void end_of_input();
  bool protocol_error(const char* what);
  void gone(exchange::AbortReason reason);

  // response.cc: what goes out
  void take_output();
  void add_extended(exchange::OutputItem* item);
  void add_plain(exchange::OutputItem* item);
  void add_plain_body(exchange::OutputItem* item);
  void want_body();
  void conclude(exchange::End end);
  void conclude_extended(exchange::End end);
  void conclude_plain(exchange::End end);
  void conclude_tunnel(exchange::End end);
  void refuse_upgrade();
  void break_off(const char* why);
  void end_request(uint32_t app_status);
  void release_exchange();
  void flush();
  void shut_down();
  void linger();
  void check_request_time();
  void update_interest();

  Server* const server_;
  int fd_ = -1;
  uint32_t interest_ = 0;
  uint32_t linger_ticks_ = 0;
  Phase phase_ = Phase::kIdle;
  bool trusted_ = false;

  // The connection's state.
  bool blocked_ = false;          // the socket's buffer is full
  bool paused_ = false;           // the body is not read on
  bool input_ended_ = false;      // the peer sends nothing more
  bool shut_ = false;             // we have said that nothing more is begun
  bool close_when_sent_ = false;
  bool lingering_ = false;        // closes when the peer has sent the rest of its request

  // The request's state.
  uint16_t id_ = 0;
  bool extended_ = false;
  bool keep_ = false;
  bool has_body_ = false;
  bool stdin_ended_ = false;
  bool asked_for_body_ = false;
  bool half_closed_ = false;      // the application sends nothing more through its tunnel
  Tunnel tunnel_ = Tunnel::kNone;
  uint32_t credit_ = 0;           // bytes of STDIN that the peer may still send
  uint64_t received_ = 0;         // of a plain request's body
  std::chrono::steady_clock::time_point begun_;  // of a plain request, where its time is limited
  std::string params_;
  std::string control_;           // the begin of a record that came in pieces
  PlainRequest plain_;
  PlainResponse response_;
  exchange::Ref<exchange::Exchange> exchange_;

  RecordParser parser_;
  wire::TextJoiner joiner_;
  OutputQueue queue_;
};

}  // namespace nwsgi::fastcgi
