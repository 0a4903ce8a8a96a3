#include "bridge/dispatcher.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "bridge/values.h"

namespace nwsgi::bridge {

using exchange::Mailbox;

struct Dispatcher::Async {
  uv_async_t handle{};
  Dispatcher* dispatcher = nullptr;  // null once the dispatcher is gone
  exchange::Ref<Mailbox> mailbox;
  napi_async_cleanup_hook_handle cleanup = nullptr;

  static void on_wake(uv_async_t* handle) {
    auto* self = static_cast<Async*>(handle->data);
    if (self->dispatcher != nullptr) self->dispatcher->on_wake();
  }
  // May be called by any thread: the mailbox's lock keeps it from running after clear_waker().
  static void wake(void* data) { uv_async_send(&static_cast<Async*>(data)->handle); }
  // The environment is torn down: nothing may wake the loop any more, then the handle is closed.
  static void on_cleanup(napi_async_cleanup_hook_handle, void* data) {
    auto* self = static_cast<Async*>(data);
    self->mailbox->set_waker_on_loop(nullptr, nullptr);
    // Whichever of the two goes first tells the other.
    if (self->dispatcher != nullptr) std::exchange(self->dispatcher, nullptr)->async_ = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&self->handle), [](uv_handle_t* handle) {
      auto* closed = static_cast<Async*>(handle->data);
      const napi_async_cleanup_hook_handle cleanup = closed->cleanup;
      delete closed;
      if (cleanup != nullptr) napi_remove_async_cleanup_hook(cleanup);
    });
  }
};

Dispatcher::Dispatcher(Napi::Env env, exchange::BridgeContext* context, Owner owner)
    : env_(env), context_(context), owner_(owner) {
  batch_.reserve(kBatch);
}

Dispatcher::~Dispatcher() {
  if (async_ != nullptr) async_->dispatcher = nullptr;
}

exchange::Ref<exchange::Exchange> Dispatcher::find(const Napi::Value& handle) {
  return context_->mailbox->find_on_loop(to_handle(handle));
}

void Dispatcher::log_for_site(uint8_t level, const std::string& text) {
  if (context_->events != nullptr) context_->events->log(level, text);
  else if (owner_.log != nullptr) owner_.log(owner_.data, level, text);
}

bool Dispatcher::attach(Napi::Uint8Array records, Napi::Float64Array envelopes, Napi::Function on_turn) {
  if (attached_) return false;
  records_reference_ = Napi::Persistent(records.As<Napi::Object>());
  envelopes_reference_ = Napi::Persistent(envelopes.As<Napi::Object>());
  on_turn_ = Napi::Persistent(on_turn);
  records_ = records.Data();
  records_size_ = records.ByteLength();
  envelopes_ = envelopes.Data();
  envelope_slots_ = std::min(kBatch, envelopes.ElementLength() / kEnvelopeStride);
  attached_ = owner_.wake != nullptr || attach_to_loop();
  if (attached_ && owner_.wake != nullptr) context_->mailbox->set_waker_on_loop(owner_.wake, owner_.data);
  return attached_;
}

bool Dispatcher::attach_to_loop() {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok) return false;
  async_ = new Async();
  async_->dispatcher = this;
  async_->mailbox = context_->mailbox;
  async_->handle.data = async_;
  if (uv_async_init(loop, &async_->handle, Async::on_wake) != 0) {
    delete std::exchange(async_, nullptr);
    return false;
  }
  napi_add_async_cleanup_hook(env_, Async::on_cleanup, async_, &async_->cleanup);
  context_->mailbox->set_waker_on_loop(Async::wake, async_);
  return true;
}

void Dispatcher::set_stop_callback(Napi::Function callback) { on_stop_ = Napi::Persistent(callback); }

bool Dispatcher::deliver() {
  if (!attached_) return false;
  Napi::HandleScope scope(env_);
  deliver_stop();
  if (!context_->mailbox->take_on_loop(&batch_, envelope_slots_)) return false;
  deliver_batch();
  return true;
}

void Dispatcher::on_wake() {
  for (int turn = 0; turn < kTurnsPerWake;) {
    if (deliver()) {
      ++turn;
    } else if (!context_->mailbox->stay_awake_on_loop()) {
      return;
    }
  }
  Async::wake(async_);
}

void Dispatcher::deliver_stop() {
  exchange::StopRequest stop;
  if (!context_->mailbox->take_stop_on_loop(&stop)) return;
  if (on_stop_.IsEmpty()) {
    if (context_->events != nullptr) context_->events->on_stopped();
    return;
  }
  call(on_stop_, {Napi::String::New(env_, stop.reason), Napi::Number::New(env_, stop.milliseconds)});
}

void Dispatcher::deliver_batch() {
  size_t used = 0;
  double* entry = envelopes_;
  for (const exchange::Envelope& envelope : batch_) {
    double offset = 0;
    double length = 0;
    if ((envelope.events & exchange::kRequest) != 0) {
      if (exchange::Phases* const phases = envelope.exchange->phases()) phases->pass(exchange::Phases::kTaken);
      const std::string& record = envelope.exchange->record();
      length = static_cast<double>(record.size());
      if (record.size() <= records_size_ - used) {
        std::memcpy(records_ + used, record.data(), record.size());
        offset = static_cast<double>(used);
        used += record.size();
      } else {
        offset = -1;
      }
    }
    entry[0] = static_cast<double>(envelope.handle);
    entry[1] = envelope.events;
    entry[2] = offset;
    entry[3] = length;
    entry += kEnvelopeStride;
  }
  const auto count = static_cast<double>(batch_.size());
  batch_.clear();
  const exchange::NewsBatch news;
  call(on_turn_, {Napi::Number::New(env_, count)});
}

// Runs the function as a callback of the event loop: ticks and microtasks follow before the loop goes on.
void Dispatcher::call(const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments) {
  Napi::HandleScope scope(env_);
  napi_value result = nullptr;
  const napi_status status = napi_make_callback(env_, nullptr, env_.Global(), function.Value(), arguments.size(),
                                                arguments.begin(), &result);
  const bool stopped = owner_.stopped_javascript != nullptr && owner_.stopped_javascript(owner_.data);
  if (status != napi_pending_exception) return;  // ok, or the environment is being stopped
  napi_value error = nullptr;
  if (stopped) {
    napi_get_and_clear_last_exception(env_, &error);
    return;
  }
  // The gateway's turn never throws; should it do so, it is an uncaught exception like any other.
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

}  // namespace nwsgi::bridge
