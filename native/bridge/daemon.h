// The bridge of a daemon's worker: brings the FastCGI server, the loop and the dispatcher together.
//
// Thread: the main thread of the process. Requests come in and answers go out on the loop's own thread: what sockets bring is
// delivered to JavaScript at once, what JavaScript leaves behind goes out at the end of the same turn, or before the loop
// sleeps. No thread has to be woken for a request.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>

#include "bridge/dispatcher.h"
#include "exchange/bridge_context.h"
#include "fastcgi/server.h"
#include "fastcgi/watchdog.h"

namespace nwsgi::bridge {

// One for the process; lives until it ends.
class Daemon {
 public:
  // Null outside of the main thread, and the second time. The dispatcher becomes the environment's instance data.
  static Daemon* create(Napi::Env env);
  // Adds the functions of src/worker/addon.ts.
  void define(Napi::Object exports);

 private:
  explicit Daemon(Napi::Env env) : env_(env) {}

  // ---- for JavaScript ----
  using Info = const Napi::CallbackInfo&;
  static void start_server(Info info);
  static void adopt(Info info);
  static void listen(Info info);
  static void stop_listening(Info info);
  static void drain(Info info);
  static Napi::Value pending(Info info);
  static void fail_all(Info info);
  static void count(Info info);
  static Napi::Value flush(Info info);
  static void close(Info info);
  static Napi::Value map_scoreboard(Info info);
  static Napi::Value create_scoreboard(Info info);
  static void futex_wake(Info info);
  template <auto Function>
  void define_one(Napi::Object exports, const char* name);

  // ---- the loop ----
  static void on_socket(uv_poll_t* handle, int status, int events);
  static void on_prepare(uv_prepare_t* handle);
  static void on_tick(uv_timer_t* handle);
  static void on_mail(void* data);
  static bool on_stopped_javascript(void* data);
  static void on_log(void* data, uint8_t level, const std::string& text);
  static void on_interrupt(void* data);
  static void on_cleanup(napi_async_cleanup_hook_handle cleanup, void* data);
  bool start_loop(std::string* error);
  void start_watchdog(bool survives);
  bool stay_awake();
  void pump();
  void stop_loop();
  void handle_closed();
  fastcgi::Server* server(Info info);

  Napi::Env env_;
  exchange::BridgeContext context_;
  Dispatcher* dispatcher_ = nullptr;
  std::unique_ptr<fastcgi::Server> server_;
  fastcgi::Watchdog watchdog_;
  bool running_ = false;  // the handles are open
  bool idling_ = false;
  int luck_ = 0;  // of waiting for requests
  uint32_t waits_left_out_ = 0;
  int open_handles_ = 0;
  uv_poll_t poll_{};
  uv_prepare_t prepare_{};
  uv_idle_t idle_{};
  uv_timer_t tick_{};
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool ending_ = false;  // the environment waits for the handles
};

}  // namespace nwsgi::bridge
