// How a child gets a connection to a worker: it says hello on the socket of the process group's supervisor, which answers
// when a worker is there and hands the connection over to it.
//
// Question, in host byte order: u32 magic, u32 slot (kAnySlot: any), u32 generation, u32 length of the name, u32 length of
// the blob, name of the application group, blob (unused). Answer: u32 magic, u32 status (0: the connection is the worker's
// now), u32 slot, u32 generation, u32 pid, u32 HTTP status, u32 Retry-After, u32 length of the code, u32 length of the
// message, code, message. A worker that the supervisor chose is claimed for the asker.
//
// Nothing blocks: ask() and proceed() do what can be done now, awaits() says what to wait for.
#pragma once

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "exchange/server_leg.h"
#include "module/daemon_connections.h"

namespace nwsgi::httpd_side {

class Hello {
 public:
  enum class Status {
    kPending,      // no answer yet: proceed() when what it awaits has come
    kConnected,    // take_connection()
    kRefused,      // failure() says why
    kUnreachable,  // error()
  };

  Hello() = default;
  ~Hello();
  Hello(const Hello&) = delete;
  Hello& operator=(const Hello&) = delete;

  // Connects and asks for this worker, or any of the pool where it is null. The path stays the caller's.
  Status ask(const char* socket_path, std::string_view application_group, const exchange::Claim* worker);
  Status proceed();
  exchange::ServerLeg::Awaited awaits() const;
  // False: the supervisor's queue of connections is full.
  bool asked() const { return asked_; }

  // `buffer_size`: of what is sent to the worker; 0: the system's.
  std::unique_ptr<DaemonConnection> take_connection(int buffer_size);
  const exchange::Failure& failure() const { return failure_; }
  int error() const { return error_; }  // errno; 0: the supervisor hung up, or talked nonsense
  // Unreachable because the supervisor ended after it had taken the connection.
  bool hung_up() const { return connected_ && (error_ == 0 || error_ == ECONNRESET || error_ == EPIPE); }

 private:
  Status connect();
  Status send_question();
  Status read_answer();
  Status unreachable(int error);
  Status parse();

  int fd_ = -1;
  const char* socket_path_ = nullptr;
  bool connected_ = false;
  bool asked_ = false;
  exchange::Clock::time_point retry_at_{};  // to connect
  std::string question_;
  std::string received_;
  exchange::Claim worker_;
  exchange::Failure failure_;
  int error_ = 0;
};

}  // namespace nwsgi::httpd_side
