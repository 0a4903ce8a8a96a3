// A connection, or a stream of HTTP/2, after "101 Switching Protocols": carries raw bytes both ways between the client
// and the application, through the connection's own filters (TLS included), until both sides have closed or one broke
// off.
//
// All of it runs on the thread that serves the request. step() never waits, except that a stream's output blocks while
// its window is closed. Whoever waits between steps calls it again when exchange, socket or clock say so.
// Memory: at most what the exchange allows for in each direction, and one portion in httpd's output filters.
#pragma once

#include <httpd.h>

#include <apr_buckets.h>

#include <vector>

#include "exchange/server_leg.h"
#include "exchange/response_head.h"
#include "module/client_watch.h"

namespace nwsgi::httpd_side {

class Tunnel {
 public:
  Tunnel(request_rec* r, exchange::ServerLeg* leg);
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // Whether the client asked for another protocol and can be given one.
  static bool possible(const request_rec* r);

  // Sends the 101 and takes the connection from the request's filters. Nothing else may be written to it afterwards.
  void open(const exchange::ResponseHead& head);
  // Takes output of the application that came together with the request for the tunnel.
  void take(std::vector<exchange::OutputItem>* output);
  // Moves all that can be moved now. False when the tunnel is over; httpd closes the connection when the handler has
  // returned.
  bool step();
  // What to watch the client for until the next step, and for how long at most.
  unsigned interests() const;
  std::chrono::milliseconds patience() const;
  // What the watch found.
  void note(const ClientWatch::Found& found);

 private:
  bool send();
  bool send_pending();
  void close_sending();
  bool receive();
  bool push_input();
  void end_input();
  bool limits_hold();
  bool client_left(apr_status_t reason);
  bool abandon(exchange::AbortReason reason);
  void break_off();

  request_rec* const r_;
  conn_rec* const c_;
  exchange::ServerLeg* const leg_;
  const bool is_stream_;  // of HTTP/2
  apr_bucket_brigade* outgoing_;        // not yet handed to the filters
  apr_bucket_brigade* rest_;            // empty between calls
  apr_bucket_brigade* const incoming_;  // empty between calls
  bool input_wanted_ = false;  // the application reads, and there is room
  bool maybe_input_ = true;    // no read has come back empty since the client was last heard of
  bool hung_up_ = false;
  bool end_asked_ = false;     // the application sends nothing more
  bool sending_ = true;        // the sending side is open
  bool receiving_ = true;      // the client has not closed its side
  bool pending_ = false;       // httpd's filters hold bytes that the client has not taken
  bool writable_ = false;      // the socket was found to take more since
  exchange::Clock::time_point pending_since_{};
  exchange::Clock::time_point leave_at_{};  // the client's time to close its side, once ours is closed
  exchange::Clock::time_point stop_at_{};   // the server stops: the time left
};

}  // namespace nwsgi::httpd_side
