// A client's connection that belongs to the module, because a handler has suspended a request on it.
//
// The event MPM of httpd 2.4 does not take back what a handler has suspended. So from the first parked request to its
// close the connection is served by the parking service's threads: the request, the requests after it (of whatever
// handler), output that the client has not taken, the pause between two requests, the lingering close. Every step does
// what the MPM would do (process_socket() in event.c) and returns instead of waiting.
// Threads: made by the MPM's thread in the handler, which stays the only one until it has run suspend_connection's hooks;
// then the service's. What the connection's pools hold is touched by one thread at a time.
// Lifetime: made with new, deleted by the service. The connection's pool is cleared in the last step.
#pragma once

#include <httpd.h>

#include <ap_mmn.h>
#include <scoreboard.h>

#include "exchange/exchange.h"
#include "module/conversation.h"
#include "module/head_gate.h"
#include "module/parking.h"

// The MPM waits for the client on behalf of other modules, too.
#define NWSGI_ASYNC_WAITIO AP_MODULE_MAGIC_AT_LEAST(20120211, 135)

namespace nwsgi::httpd_side {

// A request with what carries it, in memory of the request's pool. Destroyed when its answer is over.
class ServedRequest {
 public:
  virtual ~ServedRequest() = default;
  virtual Conversation& conversation() = 0;
  virtual exchange::ServerLeg& leg() = 0;
};

class ParkedConnection final : public Parked, private exchange::Sink {
 public:
  // Whether the handler may return SUSPENDED for this request.
  static bool possible(const request_rec* r);
  // The module's already: the thread is one of the service's, of which there are few.
  static bool owns(const conn_rec* c);
  // Takes a request over that waits. False: it cannot be parked, and stays the caller's. True: the handler has to return
  // SUSPENDED, and may not touch the request any more.
  static bool park(request_rec* r, ServedRequest* served);
  // Hook: the MPM lets go of a connection.
  static void note_suspension(conn_rec* c, request_rec* r) noexcept;

  // Hooks about the requests of connections that are the module's (parked_hooks.cc).
  static void begin_request(request_rec* r, conn_rec* c) noexcept;
  static int note_server(request_rec* r) noexcept;
  static int begin_handling(request_rec* r, int lookup) noexcept;
  static int count_request(request_rec* r) noexcept;

  ~ParkedConnection() override;

 private:
  enum class Phase : uint8_t {
    kHandedOver,  // the MPM's thread is about to let go of it
    kRequest,     // a request waits
    kWaitIo,      // some module waits for the client (CONN_STATE_ASYNC_WAITIO)
    kWriting,     // httpd's filters hold output that the client has not taken
    kKeptAlive,   // between two requests, or while the head of the next one comes in pieces
    kLingering,   // our side is closed
    kClosed,
  };

  ParkedConnection(Parking* service, conn_rec* c);
  static ParkedConnection* of(const conn_rec* c);
  static ParkedConnection* served_here(const conn_rec* c);
  static apr_status_t request_counted(void* parked) noexcept;
  void note_timeouts(const request_rec* r);
  Told on_news(exchange::Exchange*) noexcept override { return wake_later(kNews); }
  Wants run(uint32_t why, uint32_t client_events, apr_thread_t* thread) noexcept override;
  void take_over(apr_thread_t* thread);
  void attach(request_rec* r, ServedRequest* served);
  void step_request(uint32_t why, uint32_t client_events);
  void end_request(int result);
  void await_request(bool client);
  bool head_is_here();
  void process();
  void advance();
  bool after_processing();
  void linger();
  void discard_input();
  void close();
  bool too_many() const;
  bool expired() const { return exchange::Clock::now() >= until_; }
  Wants wants() const;
  Wants request_wants() const;

  Parking* const parking_;
  conn_rec* const c_;
  // The MPM's scoreboard handle, of the thread that had the connection last: that is where its requests are counted. The
  // thread counts there, too; now and then one of two counts may be lost.
  ap_sb_handle_t* const scoreboard_;
  ap_sb_handle_t* unseen_ = nullptr;  // of no thread: what the connection has else (parked_hooks.cc)
  int fd_ = -1;
  Phase phase_ = Phase::kHandedOver;
  HeadGate* gate_ = nullptr;  // from the first look for a next request on
  request_rec* r_ = nullptr;         // while a request waits
  ServedRequest* served_ = nullptr;  // the same
  apr_interval_time_t timeout_;
  apr_interval_time_t keep_alive_timeout_;
  exchange::Clock::time_point taken_over_at_{};
  exchange::Clock::time_point until_ = exchange::Clock::time_point::max();  // of all phases but kRequest
};

}  // namespace nwsgi::httpd_side
