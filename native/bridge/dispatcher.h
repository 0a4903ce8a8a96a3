// Runs on the thread of one environment: takes batches from the mailbox and hands each to JavaScript in one call. In an
// embedded environment other threads wake it; in a daemon its owner calls deliver() when the loop has something for it.
#pragma once

#include <napi.h>
#include <uv.h>

#include <string>
#include <vector>

#include "exchange/bridge_context.h"

namespace nwsgi::bridge {

// Owned by the environment's instance data. The uv handle lives in a block of its own, because libuv may only let go
// of it in a close callback, which runs after the instance data is gone when the environment is torn down.
class Dispatcher {
 public:
  // How a daemon learns that something was posted, and whether JavaScript was stopped by it (which is no fault then).
  struct Owner {
    exchange::Mailbox::Waker wake = nullptr;
    bool (*stopped_javascript)(void* data) = nullptr;
    void (*log)(void* data, uint8_t level, const std::string& text) = nullptr;
    void* data = nullptr;
  };

  Dispatcher(Napi::Env env, exchange::BridgeContext* context) : Dispatcher(env, context, Owner()) {}
  Dispatcher(Napi::Env env, exchange::BridgeContext* context, Owner owner);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  exchange::BridgeContext& context() { return *context_; }
  exchange::Ref<exchange::Exchange> find(const Napi::Value& handle);
  // A line of a request that its server does not take.
  void log_for_site(uint8_t level, const std::string& text);

  // `records` is scratch space for the batch's records, `envelopes` takes four numbers for each request; both stay
  // referenced, so their memory does not move.
  bool attach(Napi::Uint8Array records, Napi::Float64Array envelopes, Napi::Function on_turn);
  void set_stop_callback(Napi::Function callback);
  bool attached() const { return attached_; }
  // Hands one batch over. False when there was nothing.
  bool deliver();

 private:
  struct Async;
  static constexpr size_t kBatch = 64;
  // Batches before other work of the loop (timers, sockets of the application) gets its turn.
  static constexpr int kTurnsPerWake = 4;
  static constexpr size_t kEnvelopeStride = 4;

  bool attach_to_loop();
  void on_wake();
  void deliver_stop();
  void deliver_batch();
  void call(const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments);

  Napi::Env env_;
  exchange::BridgeContext* context_;
  Owner owner_;
  bool attached_ = false;
  Async* async_ = nullptr;
  Napi::FunctionReference on_turn_;
  Napi::FunctionReference on_stop_;
  Napi::ObjectReference records_reference_;
  Napi::ObjectReference envelopes_reference_;
  uint8_t* records_ = nullptr;
  size_t records_size_ = 0;
  double* envelopes_ = nullptr;
  size_t envelope_slots_ = 0;
  std::vector<exchange::Envelope> batch_;
};

}  // namespace nwsgi::bridge
