// What one environment has to do with Python: the requests that its mailbox lets go to Python's threads at once, and the news
// of those threads for its loop.
//
// Threads: methods ending in _on_loop by the environment's thread only, everything else by any thread. One mutex; nothing of
// the host is called with it held.
// Lifetime: shared by the environment, the mailbox's taker and the observer that loaded applications hold. Its applications hold
// the observer: close() breaks that circle.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exchange/mailbox.h"
#include "python/host.h"

namespace nwsgi::python_addon {

using exchange::Exchange;
using exchange::Ref;
using python::Application;

// Something that the loop is to hear of.
struct News {
  enum class Kind : uint8_t { kLoaded, kFault, kOver, kLog, kStuck, kServe } kind;
  uint32_t ticket = 0;
  Ref<Application> application;  // kLoaded
  python::Fault fault;           // kLoaded without an application
  python::RequestFault request;  // kFault
  uint8_t level = 0;             // kLog
  std::string text;              // kLog; kStuck: where
  std::string stack;             // kStuck
  uint64_t token = 0;            // kServe: see pumps.h

  explicit News(Kind k) : kind(k) {}
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `post` brings news to the loop; false when it cannot. Called with the session's lock held.
  using Post = std::function<bool(std::unique_ptr<News>*)>;
  static std::shared_ptr<Session> create(python::Host* host, Ref<exchange::Mailbox> mailbox, Post post);

  // ---- the mailbox's side ----
  bool take(const Ref<Exchange>& exchange) noexcept;
  size_t in_progress() const noexcept { return running_.load() + unanswered_.load(); }
  void close(const exchange::Failure& failure) noexcept;
  // The loop stands still: news waits in here until it is taken out.
  void hold_on_loop();
  std::vector<std::unique_ptr<News>> take_held_on_loop();
  // The loop hears nothing any more. Afterwards `post` is not called again.
  void leave_on_loop();

  // ---- Python's side ----
  // Ends the request by itself when the loop cannot be told.
  void post_fault(python::RequestFault fault) noexcept;
  bool post(std::unique_ptr<News> news) noexcept;
  void request_over() noexcept;

  // ---- the gateway's side ----
  void load_on_loop(uint32_t ticket, const python::ScriptOptions& script);
  // Gives the application a number.
  uint32_t keep_on_loop(Ref<Application> application);
  void route_on_loop(const std::string& target, uint32_t application);
  void begin_on_loop(uint32_t application, uint64_t handle);
  // The same for an exchange that no mailbox knows.
  void serve_on_loop(uint32_t application, Ref<Exchange> exchange);
  void release_on_loop(uint32_t application);
  // Requests whose answer somebody awaits: not those that a thread is still busy with although the client has gone. Also asks for
  // News::kOver once nothing is in progress any more.
  size_t in_flight_on_loop();
  // A failed request that waits for its answer: find it, and forget it once it was answered.
  uint64_t await_answer_on_loop(Ref<Exchange> exchange);
  Ref<Exchange> unanswered_on_loop(uint64_t token) const;
  void answered_on_loop(uint64_t token);

 private:
  Session(python::Host* host, Ref<exchange::Mailbox> mailbox, Post post)
      : host_(host), mailbox_(std::move(mailbox)), post_(std::move(post)) {}
  void run(Ref<Application> application, Ref<Exchange> exchange);
  void note_locked(const Ref<Exchange>& exchange);

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  python::Host* const host_;
  const Ref<exchange::Mailbox> mailbox_;
  Ref<python::Observer> observer_;

  std::mutex mutex_;
  Post post_;
  bool closed_ = false;
  bool holding_ = false;
  std::vector<std::unique_ptr<News>> held_;
  std::unordered_map<std::string, Ref<Application>, Hash, std::equal_to<>> routes_;
  // Requests that were begun; those that are over leave it from time to time.
  std::vector<Ref<Exchange>> begun_;
  size_t tidy_at_ = 64;

  std::atomic<size_t> running_{0};     // with Python's threads
  std::atomic<size_t> unanswered_{0};  // with the gateway, after a fault
  std::atomic<bool> awaits_end_{false};

  // Loop only.
  std::map<uint32_t, Ref<Application>> applications_;
  uint32_t last_application_ = 0;
  std::map<uint64_t, Ref<Exchange>> failed_;
  uint64_t last_token_ = 0;
};

// What set_taker_on_loop() gets.
Ref<exchange::RequestTaker> taker_for(std::shared_ptr<Session> session);

// The target in a record's first pair; empty when it begins with something else.
std::string_view target_of(std::string_view record);

}  // namespace nwsgi::python_addon
