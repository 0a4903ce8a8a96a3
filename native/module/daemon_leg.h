// The serving side of a request whose application runs in a daemon process: a ServerLeg over a unix socket.
//
// Threads: the thread that serves the request, only; no locks. The socket is never waited for except in
// wait_on_server(), which returns at once while there is no worker; whoever waits for other things too polls what
// awaits_on_server() names.
// Memory: the socket is read only while less than kHighWater of the output waits for the client, so a slow client slows
// the worker; body bytes are sent only within the credit that the worker gives.
// Life: submit() sends the request over a connection, which goes back to its pool as soon as the answer is complete; any
// other end closes it. When the worker ends before it has begun the request, the same leg can be submitted again: what
// was sent of the body until then is kept.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "exchange/exchange.h"
#include "exchange/phases.h"
#include "exchange/server_leg.h"
#include "module/answer_reader.h"
#include "module/daemon_connections.h"

namespace nwsgi::httpd_side {

// What brings a leg's request to a worker, and to another one when the worker has gone. The leg calls it when it is looked at.
class LegRoute {
 public:
  // The request has no worker at present, or its worker has gone. The leg's end is not told to anybody meanwhile.
  virtual bool under_way() const = 0;
  // While under way: does all that can be done now. In the end it has submitted the request, or failed it.
  virtual void advance() = 0;
  virtual exchange::ServerLeg::Awaited awaits() = 0;
  virtual void set_sink(exchange::Sink* sink) = 0;
  // The worker has gone (see loss()). From now on it may be under way again.
  virtual void lost() = 0;

 protected:
  ~LegRoute() = default;
};

class DaemonLeg final : public exchange::ServerLeg {
 public:
  struct Limits {
    size_t longest_line = 0;            // of a response's head; 0: none
    bool (*grace_has_ended)() = nullptr;  // requests of this process have to end now
    std::chrono::milliseconds stuck{0};  // how long the worker may take nothing of what is sent to it; 0: for ever
  };
  // `pool` outlives the leg.
  DaemonLeg(std::string record, bool has_body, DaemonConnections* pool, Limits limits);
  ~DaemonLeg();
  DaemonLeg(const DaemonLeg&) = delete;
  DaemonLeg& operator=(const DaemonLeg&) = delete;

  // Outlives the leg. Without one, the end of a connection is the leg's.
  void set_route(LegRoute* route) { route_ = route; }

  // Sends the request. False when the connection did not take a single byte: use another one.
  bool submit(std::unique_ptr<DaemonConnection> connection);

  // How the connection ended before its answer did.
  enum class Loss : uint8_t {
    kNone,
    kNotBegun,  // the worker has certainly not begun the request
    kUnread,    // the worker ended with a part of the request unread, so it has hardly begun
    kInFlight,  // the worker may have done everything but answer
  };
  Loss loss() const { return loss_; }
  // The worker of the last submit().
  const exchange::Claim& worker() const { return worker_; }
  // Ends the request, or says more of why it has ended.
  void fail(exchange::Failure failure);
  // Ends it because the child has no time left; false while it has.
  bool fail_at_end_of_grace();

  bool has_body() const override { return has_body_; }
  size_t body_room_on_server() override;
  void push_body_on_server(const char* bytes, size_t size) override;
  void end_body_on_server() override;
  void fail_body_on_server(std::string message) override;
  void set_trailers_on_server(std::string lines) override;
  void begin_tunnel_on_server() override;
  bool body_requested_on_server() override { return body_asked_; }
  exchange::Work wait_on_server(exchange::Clock::time_point until) override;
  exchange::Work poll_on_server() override;
  void set_wake_fd_on_server(int) override {}
  bool awaits_on_server(Awaited* awaited) override;
  void set_sink_on_server(exchange::Sink* sink) override;
  void output_written_on_server(size_t bytes) override;
  void abort_on_server(exchange::AbortReason reason) override;
  void finish_on_server() override;
  const exchange::Failure& failure_on_server() const override { return failure_; }
  exchange::Phases* note_phases() override {
    phases_ = std::make_unique<exchange::Phases>();
    return phases_.get();
  }

 private:
  bool connected() const { return connection_ != nullptr; }
  bool under_way() const { return route_ != nullptr && route_->under_way(); }
  bool may_send_body() const;
  void send_request();
  void send(iovec* parts, int count);
  void keep(const iovec* parts, int count, size_t sent);
  void flush();
  void check_stuck();
  void receive(int flags);
  void receive_now();
  void collect();
  void settle();
  void lose(Loss loss);
  Loss loss_by(int error) const;
  exchange::Work take_work();

  std::unique_ptr<exchange::Phases> phases_;
  const std::string record_;
  const bool has_body_;
  DaemonConnections* const pool_;
  const Limits limits_;
  LegRoute* route_ = nullptr;
  bool told_by_sink_ = false;
  bool just_sent_ = false;  // nothing can have come before somebody has waited

  std::unique_ptr<DaemonConnection> connection_;  // null: before submit(), and when there is nothing more to say
  exchange::Claim worker_;
  uint16_t id_ = 0;
  std::optional<AnswerReader> reader_;

  // to the worker
  std::string pending_;      // whole records, begun or not, that the socket did not take
  size_t pending_sent_ = 0;
  exchange::Clock::time_point pending_since_{};  // the socket took something last
  size_t sent_ = 0;          // bytes that the socket took since submit()
  bool send_failed_ = false;
  size_t credit_ = 0;        // body bytes that may be sent
  bool body_asked_ = false;
  bool body_ended_;
  std::string body_error_;
  std::string first_body_;   // body that goes with the request; kept until the worker has begun
  std::string trailers_;
  bool tunnel_ = false;
  bool aborted_ = false;

  // from the worker
  std::vector<exchange::OutputItem> output_;
  bool head_given_ = false;  // to whoever writes to the client
  size_t queued_ = 0;  // bytes of data handed out and not yet written to the client
  exchange::End end_ = exchange::End::kOpen;
  exchange::Failure failure_;
  Loss loss_ = Loss::kNone;
};

}  // namespace nwsgi::httpd_side
