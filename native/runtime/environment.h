// One Node environment (isolate, context, event loop) on a thread of its own.
//
// Threads: start, stop, interrupt, join and the getters by any thread of the host; EnvironmentOwner's calls come from
// the environment's thread. Life: starting → ready → (asked to stop | ended by itself) → ended; an environment is
// never reused. Its mailbox is closed before it ends, so that no request hangs on it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "exchange/bridge_context.h"
#include "runtime/debugger.h"
#include "runtime/platform.h"

namespace node {
class CommonEnvironmentSetup;
class Environment;
}

namespace nwsgi::runtime {

class Environment;

// Why an environment ended; decides what its requests are told and whether it counts as a crash.
enum class EndReason : uint8_t {
  kStopped,      // the host asked for it
  kExited,       // process.exit(), or an exception that nobody caught
  kHeap,         // the heap limit was near
  kInterrupted,  // its loop was blocked beyond the request time-out
  kNotStarted,   // Node could not create it
};

class EnvironmentOwner {
 public:
  virtual void on_ready(Environment* environment, const std::string& failure) = 0;
  virtual void on_load_failed(Environment* environment, const std::string& script) = 0;
  virtual void on_watch(Environment* environment, const exchange::LoadedScript& script) = 0;
  // Requests that the environment never began; the owner has another one serve them.
  virtual void on_unserved(Environment* environment, std::vector<exchange::Ref<exchange::Exchange>> requests) = 0;
  // The last call for this environment; its thread returns right after it and may be joined.
  virtual void on_ended(Environment* environment) = 0;
  virtual void log(uint8_t level, const std::string& text) = 0;

 protected:
  ~EnvironmentOwner() = default;
};

class Environment final : public exchange::RefCounted<Environment>, private exchange::EnvironmentEvents {
 public:
  static exchange::Ref<Environment> create(const Platform* platform, EnvironmentOwner* owner, std::string name,
                                           std::string gateway_directory, std::string config_json);

  bool start();
  // Asks the gateway to finish and end within `milliseconds`; stop() is the host's answer when it does not.
  void request_stop(const std::string& reason, uint32_t milliseconds);
  // Ends JavaScript wherever it is; safe at any time, also from within JavaScript.
  void stop(EndReason reason);
  // Logs what JavaScript is doing, then stops it.
  void interrupt();
  void join();

  exchange::Mailbox& mailbox() { return *context_.mailbox; }
  const std::string& name() const { return name_; }
  EndReason end_reason() const { return reason_.load(); }
  int exit_code() const { return exit_code_.load(); }
  // What requests in flight are told when the environment ends for its reason.
  exchange::Failure failure() const;

 private:
  friend class exchange::RefCounted<Environment>;
  Environment(const Platform* platform, EnvironmentOwner* owner, std::string name, std::string gateway_directory,
              std::string config_json);
  ~Environment() = default;

  void run();
  void serve(node::CommonEnvironmentSetup& setup);
  void close_mailbox();
  std::string main_source() const;
  void announce_debugger(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> opened);
  void publish(node::Environment* env, v8::Isolate* isolate);
  static size_t on_near_heap_limit(void* data, size_t current, size_t initial);
  static void on_interrupt(v8::Isolate* isolate, void* data);

  void on_ready(std::string failure) override { owner_->on_ready(this, failure); }
  void on_load_failed(std::string script) override { owner_->on_load_failed(this, script); }
  void on_watch(const exchange::LoadedScript& script) override { owner_->on_watch(this, script); }
  void on_stopped() override { stop(EndReason::kStopped); }
  void log(uint8_t level, const std::string& text) override { owner_->log(level, text); }

  const Platform* const platform_;
  EnvironmentOwner* const owner_;
  const std::string name_;
  const std::string gateway_directory_;
  Debugger debugger_;  // the environment's thread
  exchange::BridgeContext context_;
  std::thread thread_;
  std::atomic<EndReason> reason_{EndReason::kExited};
  std::atomic<bool> reason_set_{false};
  std::atomic<int> exit_code_{0};
  std::atomic<bool> stop_requested_{false};

  std::mutex mutex_;  // guards env_ and isolate_: null unless the environment is running
  node::Environment* env_ = nullptr;
  v8::Isolate* isolate_ = nullptr;
};

}  // namespace nwsgi::runtime
