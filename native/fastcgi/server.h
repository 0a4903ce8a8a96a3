// The FastCGI server of a worker: its connections, its listening sockets, what they have to do next.
//
// Thread: the loop's, for everything but wake(). The server knows nothing of the loop: it has one descriptor that becomes
// readable when turn() has something to do, and the loop's side (bridge/daemon.cc) delivers to JavaScript between turn(),
// which brings requests in, and flush(), which takes answers out. Neither calls JavaScript.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "exchange/mailbox.h"
#include "fastcgi/connection.h"
#include "fastcgi/plain_record.h"
#include "fastcgi/slot.h"

namespace nwsgi::fastcgi {

struct ServerOptions {
  int scoreboard_fd = -1;  // -1: none
  uint32_t slot = 0;
  uint32_t generation = 0;
  PlainOptions plain;
  uint32_t request_timeout = 0;  // milliseconds until a plain request's answer begins; 0: no limit
  uint32_t most_requests = 0;    // accepted connections wait while that many are in progress; 0: no limit
  uint8_t log_level = exchange::kLogNotice;
};

class Server {
 public:
  Server(exchange::Ref<exchange::Mailbox> mailbox, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  bool start(std::string* error);
  int poll_fd() const { return epoll_; }

  // Takes over a connected socket, whose peer may be mod_nwsgi. False with errno.
  bool adopt(int fd) { return adopt(fd, true); }
  bool adopt_untrusted(int fd) { return adopt(fd, false); }
  // Accepts connections of FastCGI clients that are not trusted. Takes the descriptor over. False with errno.
  bool listen(int fd);
  void stop_listening();
  // Nothing that comes from now on is begun; what is in progress is finished.
  void drain();
  bool draining() const { return draining_; }
  // A drain has just begun: idle connections of plain clients, which do not repeat a request that was lost on one, are still
  // served.
  bool lame() const { return std::chrono::steady_clock::now() < lame_until_; }
  // Requests in progress end as failures; connections on which one is just coming in are closed.
  void fail_all(const exchange::Failure& failure);
  // JavaScript was stopped in the middle: continuations of any request may be lost, so all of them end.
  void interrupted();
  // Sends all that waits, blocking until then or at most so long. False when something is left.
  bool flush_blocking(int milliseconds);
  void close_all();

  // Handles what has happened on sockets; false when nothing had.
  bool turn();
  // Pumps the connections that have something to send.
  void flush();
  // flush() has something to do.
  bool has_news() const { return !marked_.empty(); }
  // About once a second.
  void tick();
  // Makes the descriptor readable; any thread.
  void wake();

  uint32_t connections() const { return open_; }
  // Requests whose answer is not yet completely with the system; tunnels do not count, those that may still come do.
  uint32_t pending() const;
  Slot& slot() { return slot_; }

  // ---- connections ----
  exchange::Mailbox& mailbox() { return *mailbox_; }
  uint32_t most_requests() const { return options_.most_requests != 0 ? options_.most_requests : 1024; }
  const PlainRecords& plain_records() const { return plain_records_; }
  void mark(Connection* connection);
  bool on_loop_thread() const { return std::this_thread::get_id() == thread_; }
  void mark_from_thread(Connection* connection);
  void change_interest(Connection* connection, uint32_t interest);
  void closed(Connection* connection);
  void request_over();
  uint32_t request_timeout() const { return options_.request_timeout; }
  void log(uint8_t level, const std::string& text) const;
  char* scratch() { return scratch_.get(); }
  static constexpr size_t kScratch = 64 * 1024;

 private:
  // Few at a time: answers to the first ones go out while the last ones still wait, and httpd works on them meanwhile.
  static constexpr int kEvents = 16;
  static constexpr int kAcceptsPerTurn = 16;

  Connection* unused_connection();
  bool adopt(int fd, bool trusted);
  bool watch(Connection* connection);
  bool full() const;
  void accept_from(int listener);
  void pause_listening();
  void resume_listening();
  void take_marks_of_threads();

  const exchange::Ref<exchange::Mailbox> mailbox_;
  const ServerOptions options_;
  const PlainRecords plain_records_;
  const std::thread::id thread_;
  Slot slot_;
  int epoll_ = -1;
  int event_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;  // never shrinks: see connection.h
  std::vector<Connection*> unused_;
  std::vector<Connection*> closed_;  // in this turn
  std::vector<Connection*> marked_;
  std::vector<Connection*> pumping_;
  std::vector<int> listeners_;
  uint32_t open_ = 0;
  bool draining_ = false;
  std::chrono::steady_clock::time_point lame_until_;
  bool listening_paused_ = false;
  bool out_of_descriptors_ = false;
  std::unique_ptr<char[]> scratch_;

  std::mutex mutex_;
  std::vector<Connection*> marked_by_threads_;  // guarded by mutex_
};

}  // namespace nwsgi::fastcgi
