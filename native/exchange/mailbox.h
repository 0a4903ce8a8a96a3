// The hand-over between serving threads and the loop of one environment.
//
// Any thread posts events about exchanges; the loop takes them in batches. The mailbox also gives out the handles by
// which JavaScript names exchanges: slot + generation, so that a handle of a finished request is recognised.
// Threads: submit, post, close, request_stop and the getters by any thread; methods ending in _on_loop by the
// environment's thread only. Lock order: an exchange's lock may be held when the mailbox is called, never the reverse.
// Lifetime: slots hold references to exchanges and exchanges refer to their mailbox; drop_all() breaks the cycle
// once the environment is gone.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "exchange/exchange.h"

namespace nwsgi::exchange {

struct Envelope {
  uint64_t handle;
  uint32_t events;
  Ref<Exchange> exchange;
};

// Takes requests before the loop sees them: those whose application runs on threads of its own. Lifetime: reference counted;
// the mailbox lets go of it when its environment is gone.
class RequestTaker : public RefCounted<RequestTaker> {
 public:
  virtual ~RequestTaker() = default;
  // True when the request is the taker's from now on; else nothing has happened to it. Any thread; must not block.
  virtual bool take(const Ref<Exchange>& exchange) noexcept = 0;
  // Requests that were taken and are not over. Any thread.
  virtual size_t in_progress() const noexcept = 0;
  // Nothing more is taken, and what is in progress fails. Any thread; idempotent.
  virtual void close(const Failure& failure) noexcept = 0;
};

struct StopRequest {
  std::string reason;
  uint32_t milliseconds = 0;
};

class Mailbox : public RefCounted<Mailbox> {
 public:
  static Ref<Mailbox> create() { return Ref<Mailbox>::adopt(new Mailbox()); }

  // Gives the exchange a handle and queues it as a new request. False when the mailbox is closed or has no slot left;
  // the exchange is untouched then.
  bool submit(const Ref<Exchange>& exchange);
  void post(Exchange* exchange, uint32_t events);
  // Asks the environment to end itself; delivered once, on the loop's next turn.
  void request_stop(StopRequest request);
  // Refuses further requests and fails those that the application has begun. Requests that the loop never took are
  // detached and returned: another environment can serve them as if nothing had happened. Idempotent.
  std::vector<Ref<Exchange>> close(const Failure& failure);
  // Forgets all exchanges. Only when the environment's thread runs no JavaScript any more.
  void drop_all();

  // Whether a loop has ever asked to be woken, i.e. the gateway has started.
  bool attached() const { return attached_.load(std::memory_order_relaxed); }
  // Requests that were submitted and are not over, those of the taker included.
  size_t live();
  // Of these, the ones that were upgraded: nobody awaits their end.
  size_t lasting() const { return lasting_.load(std::memory_order_relaxed); }
  // How long the oldest event has been waiting for the loop; zero when none waits.
  Clock::duration oldest_wait();

  // Once, before or after requests have come; requests that are queued already stay the loop's.
  void set_taker_on_loop(Ref<RequestTaker> taker);

  // Called by any thread when something was queued and the loop may sleep; must not block or call back. After
  // set_waker_on_loop(nullptr, nullptr) has returned, nobody calls the previous waker any more.
  using Waker = void (*)(void* data);
  void set_waker_on_loop(Waker waker, void* data);
  // Appends at most `most` envelopes; false when there were none. Nobody wakes the loop until it has found nothing by
  // stay_awake_on_loop().
  bool take_on_loop(std::vector<Envelope>* out, size_t most);
  // Waits a moment for events. False when none came: the next one wakes the loop, which may sleep now.
  bool stay_awake_on_loop();
  // The same without waiting, for a loop whose own thread brings the events.
  bool has_mail_on_loop();
  bool take_stop_on_loop(StopRequest* request);
  // Null when the handle is stale.
  Ref<Exchange> find_on_loop(uint64_t handle);
  void release_on_loop(uint64_t handle);
  // The request has become a connection that may last for days.
  void upgraded_on_loop(uint64_t handle);

  static constexpr uint64_t kSlotBits = 20;
  static constexpr uint64_t kMostSlots = uint64_t{1} << kSlotBits;

 private:
  friend class RefCounted<Mailbox>;
  Mailbox() = default;
  ~Mailbox() = default;

  struct Slot {
    uint32_t generation = 1;
    bool delivered = false;  // the loop has taken the request
    bool lasting = false;    // upgraded
    Ref<Exchange> exchange;
  };
  // An event's exchange with the handle it had when the event was posted: an exchange that was returned by close()
  // may have another one by the time the loop gets to it.
  struct Queued {
    uint64_t handle;
    Ref<Exchange> exchange;
  };
  // The caller's lock is released before the loop is woken, so that the loop does not run into it.
  void enqueue(std::unique_lock<std::mutex> lock, Queued queued);
  void wake(std::unique_lock<std::mutex> lock);
  Ref<RequestTaker> taker();
  bool take_back_locked(uint64_t handle);
  // The slot that the handle names, or null when the handle is stale.
  Slot* slot_locked(uint64_t handle);

  std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Queued> incoming_;
  Clock::time_point oldest_{};
  bool stop_requested_ = false;
  StopRequest stop_;
  bool closed_ = false;
  bool loop_awake_ = false;  // the loop will look again before it sleeps
  std::atomic<bool> has_mail_{false};  // a hint for waiting without the lock
  std::atomic<bool> attached_{false};
  std::atomic<int> waking_{0};
  Waker waker_ = nullptr;
  void* waker_data_ = nullptr;
  std::atomic<size_t> live_{0};
  std::atomic<size_t> lasting_{0};
  Ref<RequestTaker> taker_;             // guarded by mutex_
  std::atomic<bool> has_taker_{false};  // a hint, so that requests of other environments need no further lock

  // Loop only: what was taken out of incoming_ in one swap and not yet delivered.
  std::vector<Queued> taken_;
  size_t taken_next_ = 0;
};

}  // namespace nwsgi::exchange
