// Interrupts JavaScript that does not let go of the loop, when the supervisor asks for it.
//
// A thread waits for the slot's `interrupt` word. Node-API cannot stop JavaScript, so V8's own functions are looked up by
// name in the Node that loaded us; where one is missing, the log says so and only the supervisor's kill remains.
// Threads: start() and stop() by the loop's thread; the interruption itself runs on it too, inside V8, where no JavaScript may
// be called. The word's memory and the object live as long as the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "exchange/scoreboard.h"
#include "exchange/work.h"

namespace nwsgi::fastcgi {

class Watchdog {
 public:
  // What is done for the requests in progress; called in the middle of JavaScript. Whatever it has to say has to be sent.
  using GiveUp = void (*)(void* data);
  // `survives`: Node was started with kNoAsyncHooksChecks. Without it Node would end the process after an interruption,
  // because the stopped JavaScript did not take its ids from the stack of async_hooks; then we do that ourselves.
  // False with a message when this Node has none of the functions; nothing is watched then.
  bool start(exchange::ScoreboardWorker* worker, bool survives, GiveUp give_up, void* data, std::string* error);
  static constexpr const char* kNoAsyncHooksChecks = "--no-force-async-hooks-checks";
  // V8 is about to end.
  void stop();

  // The loop goes round: whatever ran when the supervisor asked is not running any more.
  void loop_turned() { turns_.fetch_add(1, std::memory_order_relaxed); }
  // Whether JavaScript was interrupted since this was asked; makes V8 run again.
  bool take_interrupted();

 private:
  void run();
  void request();
  static void on_interrupt(void* isolate, void* data);

  exchange::ScoreboardWorker* worker_ = nullptr;
  bool survives_ = false;
  GiveUp give_up_ = nullptr;
  void* give_up_data_ = nullptr;
  std::mutex mutex_;
  void* isolate_ = nullptr;  // guarded by mutex_ for other threads
  std::atomic<uint64_t> turns_{0};
  std::atomic<uint64_t> asked_at_{0};  // turns_ when the supervisor asked
  std::atomic<bool> interrupted_{false};
};

}  // namespace nwsgi::fastcgi
