// The serving side of one request, as the thread that serves the client sees it: what the application hands over comes out
// here, what the client sends goes in. Where the application runs - on a thread of this process (Exchange), or behind a
// socket in a daemon process - is no business of whoever holds a leg.
//
// Threads: the thread that serves the client, only. No method blocks except wait_on_server().
#pragma once

#include <string>

#include "exchange/work.h"

namespace nwsgi::exchange {

class Phases;
class Sink;

class ServerLeg {
 public:
  // A body was announced (Content-Length > 0, or chunked).
  virtual bool has_body() const = 0;

  // Body bytes that may be pushed before the window is full.
  virtual size_t body_room_on_server() = 0;
  virtual void push_body_on_server(const char* bytes, size_t size) = 0;
  // The same, but the application is told only by the next push, which may be of no bytes, or by the end.
  virtual void add_body_on_server(const char* bytes, size_t size) { push_body_on_server(bytes, size); }
  virtual void end_body_on_server() = 0;
  virtual void fail_body_on_server(std::string message) = 0;
  // The request's trailers, "Name:value\n…"; before end_body_on_server().
  virtual void set_trailers_on_server(std::string lines) = 0;
  // The client was sent the 101 that the application asked for: what is pushed from now on are the raw bytes of the new
  // protocol, and the end of the body is the end of what the client sends.
  virtual void begin_tunnel_on_server() = 0;
  // True once the application asked for body bytes (the moment for "100 Continue").
  virtual bool body_requested_on_server() = 0;

  // Waits until there is something to do or the time has come; returns an empty Work on time-out.
  virtual Work wait_on_server(Clock::time_point until) = 0;
  // Like wait_on_server(), without waiting.
  virtual Work poll_on_server() = 0;
  // From now on every new piece of work also makes this eventfd readable (-1: stop doing so). The fd stays the
  // caller's; it is cleared by the caller. Lets the server wait for the client's socket and the application at once.
  virtual void set_wake_fd_on_server(int fd) = 0;
  // Legs behind a descriptor of their own have no use for an eventfd: true, and what to poll(2) for until the next call. The
  // descriptor may be another one after each call.
  struct Awaited {
    int fd = -1;  // -1: nothing to poll for; only the time, or the sink, brings something
    short events = 0;
    Clock::time_point until = Clock::time_point::max();  // look again then, whatever has come
  };
  virtual bool awaits_on_server(Awaited*) { return false; }
  // From now on news are told to the sink (see exchange.h), but for those that a descriptor of the leg's own brings.
  virtual void set_sink_on_server(Sink*) {}
  // The server handed `bytes` of output to the client (or dropped them); the application may go on writing.
  virtual void output_written_on_server(size_t bytes) = 0;
  // Nobody waits for the rest of the response any more; the application is told.
  virtual void abort_on_server(AbortReason reason) = 0;
  // The request is over for the server. Must be the server's last call.
  virtual void finish_on_server() = 0;
  virtual const Failure& failure_on_server() const = 0;
  // Notes the points that the request passes from now on, and returns where. Before it is handed to anybody.
  virtual Phases* note_phases() = 0;

 protected:
  ~ServerLeg() = default;
};

}  // namespace nwsgi::exchange
