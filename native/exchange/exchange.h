// One request in flight, shared by the thread that serves the client ("server": an Apache worker thread, or the
// FastCGI transport of a daemon) and the thread that runs the application ("loop": a Node environment's thread).
//
// Threads: methods that end in _on_server are called by the serving thread only, those that end in _on_loop by the
// thread of the environment only (or by a thread of the application that took its place: serve_by_thread()); everything else
// may be called by any thread. One mutex for each exchange; no method blocks except wait_…_on_server() and …_on_thread().
// Lifetime: reference counted; the server holds one reference for the whole request, the mailbox one while the
// exchange is queued or live. After finish_on_server() nothing that the loop does reaches the client any more:
// loop-side calls return kOver.
// Memory: both directions count their bytes; the loop is told when to pause (queued bytes above kHighWater) and gets
// kWritable when it may go on, the server reads the client's body only while body_room_on_server() is positive.
// Ends: a response is ended by exactly one of complete, abort (an incomplete response never looks complete) or
// fail (nothing was sent yet: the server answers with its own error page). The first one wins; only in a tunnel, where
// the client may go on after complete, an abort or failure can still follow.
// Tunnels: after upgrade_on_loop() both directions carry the bytes of another protocol, with the same events and limits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "exchange/phases.h"
#include "exchange/ref_counted.h"
#include "exchange/server_leg.h"

namespace nwsgi::exchange {

class Mailbox;

// What the loop is told about an exchange; bits, coalesced until the loop's next turn.
enum Event : uint32_t {
  kRequest = 1,    // a new request: read its record
  kBody = 2,       // body bytes, the end of the body or a body error can be read
  kWritable = 4,   // queued output fell below the low-water mark after write() had reported more than kHighWater
  kAborted = 8,    // the client is gone, or the server gave up waiting (see abort_reason)
  kHasBody = 16,   // with kRequest: the request has a body (possibly empty, if chunked)
};

enum class ReadStatus : uint8_t { kData, kPending, kEnd, kError };
struct BodyRead {
  ReadStatus status;
  std::string bytes;  // kData: the bytes; kError: the message
};

class Exchange;

// Whoever sleeps until there are news. Lives as long as the process.
class Wakeup {
 public:
  // Any thread.
  virtual void wake() noexcept = 0;

 protected:
  ~Wakeup() = default;
};

// Told of news for the serving side instead of a waiting thread: for a server that lives on the loop's own thread (a daemon
// process), or whose requests hold no thread while they wait (parking). Called by whatever thread brought the news, with the
// exchange's lock held: once another sink is set, or none, the former one is called no more and may go. It must not call the
// exchange.
class Sink {
 public:
  struct Told {
    Wakeup* sleeper = nullptr;  // to be woken by the caller, once it holds no lock; null: nobody
    bool urgent = true;         // else after its batch, see NewsBatch
  };
  virtual Told on_news(Exchange* exchange) noexcept = 0;

 protected:
  ~Sink() = default;
};

// While it exists on a thread, this thread wakes sleepers that are not in a hurry only once, at its end: an application that
// answers many requests in one turn of its loop wakes whoever sends the answers when there are that many to send. A sleeper
// in no hurry looks by itself within a millisecond, so a turn may take its time.
class NewsBatch {
 public:
  NewsBatch();
  ~NewsBatch();
  NewsBatch(const NewsBatch&) = delete;
  NewsBatch& operator=(const NewsBatch&) = delete;
  // Any thread, batch or not. Wakes now, or at the end of the calling thread's batch.
  static void wake(const Sink::Told& told);

 private:
  Wakeup* sleeper_ = nullptr;
  NewsBatch* const outer_;
};

// Told of the end of a request that a thread serves (see Exchange::serve_by_thread). Called with the exchange's lock held, by
// the server's thread: it must neither call the exchange nor wait for whoever may.
class ThreadSide {
 public:
  virtual void on_abort(Exchange* exchange, AbortReason reason) noexcept = 0;

 protected:
  ~ThreadSide() = default;
};

class Exchange final : public RefCounted<Exchange>, public ServerLeg {
 public:
  // `record` as written by RecordWriter. `has_body`: a body was announced (Content-Length > 0, or chunked).
  static Ref<Exchange> create(std::string record, bool has_body);

  const std::string& record() const { return record_; }
  bool has_body() const override { return has_body_; }
  // Null unless they are noted.
  Phases* phases() const { return phases_.get(); }

  // ---- server: see ServerLeg ----
  size_t body_room_on_server() override;
  void push_body_on_server(const char* bytes, size_t size) override;
  void add_body_on_server(const char* bytes, size_t size) override;
  void end_body_on_server() override;
  void fail_body_on_server(std::string message) override;
  void set_trailers_on_server(std::string lines) override;
  void begin_tunnel_on_server() override;
  bool body_requested_on_server() override;
  Work wait_on_server(Clock::time_point until) override;
  Work poll_on_server() override;
  void set_wake_fd_on_server(int fd) override;
  // May produce kWritable.
  void output_written_on_server(size_t bytes) override;
  // The application is told by kAborted.
  void abort_on_server(AbortReason reason) override;
  void finish_on_server() override;
  const Failure& failure_on_server() const override { return failure_; }
  Phases* note_phases() override;
  // Not combined with waiting. Null: nobody is told any more. News that are there already are told at once.
  void set_sink_on_server(Sink* sink) override;

  // ---- loop ----
  enum class Accept : uint8_t { kOk, kOver };
  Accept head_on_loop(std::string packed_head);
  // Takes ownership of chunk.data. `queued` receives the bytes not yet written, this chunk included.
  Accept write_on_loop(Chunk chunk, size_t* queued);
  Accept send_file_on_loop(int fd, int64_t offset, int64_t length);
  Accept interim_on_loop(std::string packed_head);
  Accept complete_on_loop();
  Accept abort_on_loop();
  // head + optional single block + complete, with one lock and one wake-up: the common case.
  Accept respond_on_loop(std::string packed_head, Chunk chunk);
  // Asks for a 101 response with these headers. Afterwards only write, complete (no more is sent, the client may go on),
  // abort and read are left to the application. kOver also after a head.
  Accept upgrade_on_loop(std::string packed_head);
  // Lines to send after the body.
  Accept trailers_on_loop(std::string lines);
  // The request's trailers; empty until the body was read to its end.
  std::string request_trailers_on_loop();
  // Takes what has arrived, at most `most` bytes; asks the server for more when there is room.
  BodyRead read_body_on_loop(size_t most);
  // The same for memory of the caller's: how many bytes there are (it grows only), and so many of them.
  size_t body_ready_on_loop();
  void take_body_on_loop(char* into, size_t size);

  // ---- a thread that may wait, in the place of a loop ----
  // From now on the ..._on_loop methods belong to whoever calls this, one thread at a time; no mailbox hears of events any
  // more. Before the exchange was submitted to a mailbox, or on the loop. `side` outlives the exchange; null: nobody is told.
  void serve_by_thread(ThreadSide* side);
  // Like read_body_on_loop(), but into the caller's memory, and waits until there is something: never kPending. `got` is 0 unless
  // kData is returned, `error` is set with kError.
  ReadStatus wait_body_on_thread(char* into, size_t most, size_t* got, std::string* error);
  // Waits until write_on_loop(), which had reported more than kHighWater, may go on. False when the request is over.
  bool wait_writable_on_thread();

  // ---- any thread ----
  // Ends the exchange unless it has ended: as a failure when no head was handed over, else as an abort.
  void fail(Failure failure);
  // Queues a line for the request's error log. False when the caller has to log it for the site instead: the server no longer
  // listens, or it takes lines more slowly than they come. `before` then gets those that wait: they are to be logged first.
  // Without `before`, for single lines only, there is no limit.
  bool log(uint8_t level, std::string text, std::vector<OutputItem>* before = nullptr);
  AbortReason abort_reason();
  bool over();  // the server has finished or aborted it

  // ---- mailbox (see mailbox.h) ----
  // The mailbox that receives this exchange's events and the handle it gave. Set once, before the first event.
  void attach(Ref<Mailbox> mailbox, uint64_t handle);
  uint64_t handle() const { return handle_; }
  uint32_t add_events(uint32_t events) { return pending_events_.fetch_or(events, std::memory_order_acq_rel); }
  uint32_t take_events() { return pending_events_.exchange(0, std::memory_order_acq_rel); }

  ~Exchange();

 private:
  friend class RefCounted<Exchange>;
  Exchange(std::string record, bool has_body);
  Accept push_output(OutputItem item, End end, size_t* queued);
  Accept push_text(OutputItem::Kind kind, std::string text);
  Accept end_on_loop(End end);
  void take_work_locked(Work* work);
  void take_lines_locked(std::vector<OutputItem>* lines);
  size_t body_ready_locked() const;
  void add_body_locked(const char* bytes, size_t size);
  // True when the serving side has to hear that there is room again. It looks by itself as long as it has seen that there is.
  bool body_taken_locked(size_t size);
  // Nothing of the body can be taken now: why. Sets *error with kError.
  ReadStatus body_state_locked(std::string* error);
  void ask_for_body(std::unique_lock<std::mutex> lock);
  bool has_work_locked() const;
  bool body_wanted_locked() const;
  bool over_locked() const;
  bool half_closed_locked() const;
  bool fits_locked(OutputItem::Kind kind) const;
  void notify(std::unique_lock<std::mutex> lock);
  void post_locked(uint32_t events);
  void post_body_locked();
  void wake_thread_locked() {
    if (by_thread_) thread_ready_.notify_all();
  }

  void pass(Phases::Point point) {
    if (phases_) phases_->pass(point);
  }

  const std::string record_;
  const bool has_body_;
  std::unique_ptr<Phases> phases_;

  std::mutex mutex_;
  std::condition_variable work_ready_;
  std::atomic<bool> has_news_{false};  // a hint for waiting without the lock
  bool waiting_ = false;  // the server sleeps on work_ready_
  int wake_fd_ = -1;
  Sink* sink_ = nullptr;

  // loop → server
  std::vector<OutputItem> output_;
  size_t queued_bytes_ = 0;
  size_t logged_bytes_ = 0;  // of the lines in output_
  bool above_high_water_ = false;
  bool head_handed_over_ = false;
  End end_ = End::kOpen;
  bool end_taken_ = false;  // the server knows of the end and looks for nothing more
  enum class Tunnel : uint8_t { kNone, kAsked, kOpen } tunnel_ = Tunnel::kNone;
  Failure failure_;

  // server → loop
  std::string body_;
  size_t body_read_ = 0;
  bool body_requested_ = false;
  bool body_waiting_ = false;  // a read returned kPending; the next push posts kBody
  bool body_ended_ = false;
  std::string body_error_;
  std::string trailers_;
  AbortReason abort_reason_ = AbortReason::kNone;
  bool finished_ = false;

  Ref<Mailbox> mailbox_;  // guarded by mutex_
  bool by_thread_ = false;
  ThreadSide* thread_side_ = nullptr;
  std::condition_variable thread_ready_;  // for who waits in a ..._on_thread method
  uint64_t handle_ = 0;
  std::atomic<uint32_t> pending_events_{0};
};

}  // namespace nwsgi::exchange
