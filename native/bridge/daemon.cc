#include "bridge/daemon.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "bridge/values.h"
#include "exchange/brief_wait.h"
#include "exchange/scoreboard.h"
#include "fastcgi/log_line.h"

namespace nwsgi::bridge {

namespace {

constexpr uint64_t kTick = 1000;
// Turns of the server before the loop goes round.
constexpr int kTurns = 4;
// So many vain waits in a row, and only one in so many is tried.
constexpr int kMostLuck = 4;
constexpr uint32_t kLeftOut = 32;
constexpr int kFlushTime = 200;  // for those who have to take what an interrupted worker tells them
// Batches before other work of the loop (timers, sockets of the application) gets its turn.
constexpr int kBatchesPerTurn = 4;

void throw_error(const Napi::CallbackInfo& info, const std::string& message) {
  Napi::Error::New(info.Env(), message).ThrowAsJavaScriptException();
}

int to_int(const Napi::Value& value) { return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : -1; }

uint32_t to_uint(const Napi::Value& value) { return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0; }

// The caller keeps its descriptor.
int duplicate(const Napi::Value& value) { return ::fcntl(to_int(value), F_DUPFD_CLOEXEC, 3); }

fastcgi::ServerOptions to_options(const Napi::Object& settings) {
  fastcgi::ServerOptions options;
  options.scoreboard_fd = to_int(settings.Get("scoreboardFd"));
  options.slot = to_uint(settings.Get("slot"));
  options.generation = to_uint(settings.Get("generation"));
  options.most_requests = to_uint(settings.Get("mostRequests"));
  options.request_timeout = to_uint(settings.Get("requestTimeout"));
  if (settings.Get("logLevel").IsNumber()) options.log_level = static_cast<uint8_t>(to_uint(settings.Get("logLevel")));
  if (settings.Get("plain").IsObject()) {
    const auto plain = settings.Get("plain").As<Napi::Object>();
    options.plain.pairs = to_latin1(plain.Get("pairs"));
    options.plain.mount = to_latin1(plain.Get("mount"));
  }
  return options;
}

// Whether this Node was started with an option.
bool has_option(Napi::Env env, const char* option) {
  const Napi::Value process = env.Global().Get("process");
  const Napi::Value options = process.IsObject() ? process.As<Napi::Object>().Get("execArgv") : env.Undefined();
  if (!options.IsArray()) return false;
  const auto list = options.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    if (to_utf8(list.Get(i)) == option) return true;
  }
  return false;
}

}  // namespace

Daemon* Daemon::create(Napi::Env env) {
  static Daemon* only = nullptr;
  if (only != nullptr || ::getpid() != static_cast<pid_t>(::syscall(SYS_gettid))) return nullptr;
  only = new Daemon(env);
  only->context_.mailbox = exchange::Mailbox::create();
  only->dispatcher_ = new Dispatcher(env, &only->context_, {on_mail, on_stopped_javascript, on_log, only});
  env.SetInstanceData<Dispatcher>(only->dispatcher_);
  return only;
}

template <auto Function>
void Daemon::define_one(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name, this));
}

void Daemon::define(Napi::Object exports) {
  define_one<start_server>(exports, "startServer");
  define_one<adopt>(exports, "adopt");
  define_one<listen>(exports, "listen");
  define_one<stop_listening>(exports, "stopListening");
  define_one<drain>(exports, "drain");
  define_one<pending>(exports, "pending");
  define_one<fail_all>(exports, "failAll");
  define_one<count>(exports, "count");
  define_one<flush>(exports, "flush");
  define_one<close>(exports, "close");
  define_one<map_scoreboard>(exports, "mapScoreboard");
  define_one<create_scoreboard>(exports, "createScoreboard");
  define_one<futex_wake>(exports, "futexWake");
}

// ---- for JavaScript ----

fastcgi::Server* Daemon::server(Info info) {
  if (!server_) throw_error(info, "startServer() was not called");
  return server_.get();
}

void Daemon::start_server(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  if (self->server_ || !info[0].IsObject()) return throw_error(info, "startServer() takes settings, once");
  auto server = std::make_unique<fastcgi::Server>(self->context_.mailbox, to_options(info[0].As<Napi::Object>()));
  std::string error;
  if (!server->start(&error)) return throw_error(info, error);
  self->server_ = std::move(server);
  if (!self->start_loop(&error)) {
    self->server_ = nullptr;
    return throw_error(info, error);
  }
  self->start_watchdog(has_option(info.Env(), fastcgi::Watchdog::kNoAsyncHooksChecks));
}

// A request that Node's own HTTP server has got: it is counted with those of FastCGI.
void Daemon::count(Info info) {
  fastcgi::Server* const server = static_cast<Daemon*>(info.Data())->server(info);
  if (server == nullptr) return;
  switch (to_uint(info[0])) {
    case 0:
      return server->slot().begun(false);
    case 1:
      server->slot().finished(false);
      break;
    case 2:
      server->slot().upgraded(false);
      break;
    default:
      return server->slot().upgrade_over();
  }
  server->request_over();
}

void Daemon::adopt(Info info) {
  fastcgi::Server* const server = static_cast<Daemon*>(info.Data())->server(info);
  if (server == nullptr) return;
  const int fd = duplicate(info[0]);
  if (fd >= 0 && server->adopt(fd)) return;
  const int problem = errno;
  if (fd >= 0) ::close(fd);
  throw_error(info, std::string("adopt(): ") + std::strerror(problem));
}

void Daemon::listen(Info info) {
  fastcgi::Server* const server = static_cast<Daemon*>(info.Data())->server(info);
  if (server == nullptr) return;
  const int fd = duplicate(info[0]);
  if (fd >= 0 && server->listen(fd)) return;
  const int problem = errno;
  if (fd >= 0) ::close(fd);
  throw_error(info, std::string("listen(): ") + std::strerror(problem));
}

void Daemon::stop_listening(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  if (self->server_) self->server_->stop_listening();
}

void Daemon::drain(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  if (self->server_) self->server_->drain();
}

Napi::Value Daemon::pending(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  return Napi::Number::New(info.Env(), self->server_ ? self->server_->pending() : 0);
}

void Daemon::fail_all(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  if (!self->server_) return;
  exchange::Failure failure;
  failure.status = to_int(info[0]);
  failure.code = to_utf8(info[1]);
  failure.message = to_utf8(info[2]);
  failure.logged = true;
  self->server_->fail_all(failure);
}

Napi::Value Daemon::flush(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  return Napi::Boolean::New(info.Env(), !self->server_ || self->server_->flush_blocking(to_int(info[0])));
}

void Daemon::close(Info info) {
  auto* const self = static_cast<Daemon*>(info.Data());
  if (!self->server_) return;
  self->server_->stop_listening();
  self->server_->drain();
  self->server_->close_all();
  self->stop_loop();
}

Napi::Value Daemon::map_scoreboard(Info info) {
  exchange::Scoreboard board;
  std::string error;
  if (!board.map(to_int(info[0]), &error)) {
    throw_error(info, error);
    return info.Env().Undefined();
  }
  napi_value buffer = nullptr;
  // The collector unmaps it.
  const napi_status status = napi_create_external_arraybuffer(
      info.Env(), board.base(), board.mapped_size(),
      [](napi_env, void*, void* hint) {
        auto* const mapped = static_cast<exchange::Scoreboard*>(hint);
        mapped->unmap();
        delete mapped;
      },
      new exchange::Scoreboard(board), &buffer);
  if (status != napi_ok) {
    throw_error(info, "this Node takes no memory from outside for an ArrayBuffer");
    return info.Env().Undefined();
  }
  return Napi::Value(info.Env(), buffer);
}

Napi::Value Daemon::create_scoreboard(Info info) {
  const int fd = exchange::Scoreboard::create();
  if (fd < 0) throw_error(info, std::string("the scoreboard cannot be made: ") + std::strerror(errno));
  return Napi::Number::New(info.Env(), fd);
}

// futexWake(buffer, byteOffset, most = all): adds nothing, only wakes.
void Daemon::futex_wake(Info info) {
  if (!info[0].IsArrayBuffer() || !info[1].IsNumber()) return throw_error(info, "futexWake() takes an ArrayBuffer and an offset");
  auto buffer = info[0].As<Napi::ArrayBuffer>();
  const auto offset = static_cast<size_t>(to_uint(info[1]));
  if (offset % 4 != 0 || buffer.ByteLength() < 4 || offset > buffer.ByteLength() - 4) {
    return throw_error(info, "futexWake(): there is no word at this offset");
  }
  auto* const word = reinterpret_cast<std::atomic<uint32_t>*>(static_cast<char*>(buffer.Data()) + offset);
  exchange::futex_wake(word, info[2].IsNumber() ? to_int(info[2]) : INT_MAX);
}

// ---- the loop ----

bool Daemon::start_loop(std::string* error) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok) {
    *error = "there is no event loop";
    return false;
  }
  poll_.data = prepare_.data = idle_.data = tick_.data = this;
  const int problem = uv_poll_init(loop, &poll_, server_->poll_fd());
  if (problem != 0) {
    *error = std::string("uv_poll: ") + uv_strerror(problem);
    return false;
  }
  uv_prepare_init(loop, &prepare_);
  uv_idle_init(loop, &idle_);
  uv_timer_init(loop, &tick_);
  open_handles_ = 4;
  running_ = true;
  uv_poll_start(&poll_, UV_READABLE, on_socket);
  uv_prepare_start(&prepare_, on_prepare);
  uv_timer_start(&tick_, on_tick, kTick, kTick);
  // The server alone keeps the process alive.
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&tick_));
  napi_add_async_cleanup_hook(env_, on_cleanup, this, &cleanup_);
  return true;
}

void Daemon::start_watchdog(bool survives) {
  exchange::ScoreboardWorker* const worker = server_->slot().worker();
  std::string error;
  if (worker == nullptr || watchdog_.start(worker, survives, on_interrupt, this, &error)) return;
  server_->log(exchange::kLogWarning, "NWSGI4236 " + error +
                                          ": a worker whose event loop is blocked cannot be interrupted, only ended; use "
                                          "a release of Node from nodejs.org or of the distribution");
}

void Daemon::on_socket(uv_poll_t* handle, int, int) {
  auto* const self = static_cast<Daemon*>(handle->data);
  self->watchdog_.loop_turned();
  for (int turn = 0; turn < kTurns; ++turn) {
    if (!self->server_->turn() && !self->stay_awake()) return;
    self->pump();
  }
}

// Waits a moment for the next request, as long as that is worth it: where cores are busy with other things it is not.
bool Daemon::stay_awake() {
  if (luck_ == 0 && ++waits_left_out_ % kLeftOut != 0) return false;
  const bool found = exchange::wait_a_moment([this] { return server_->turn(); });
  luck_ = found ? kMostLuck : std::max(luck_ - 1, 0);
  return found;
}

void Daemon::on_prepare(uv_prepare_t* handle) {
  auto* const self = static_cast<Daemon*>(handle->data);
  self->watchdog_.loop_turned();
  on_stopped_javascript(self);  // it may also have been stopped in a callback that was none of ours
  self->pump();
}

void Daemon::on_tick(uv_timer_t* handle) { static_cast<Daemon*>(handle->data)->server_->tick(); }

// Any thread. What the loop's own thread posts is seen before the loop sleeps.
void Daemon::on_mail(void* data) {
  fastcgi::Server* const server = static_cast<Daemon*>(data)->server_.get();
  if (server != nullptr && !server->on_loop_thread()) server->wake();
}

// Delivers what came in and sends what went out, until nothing is left or others are to have their turn; the loop does
// not sleep in the latter case.
void Daemon::pump() {
  bool more = true;
  for (int i = 0; more && i < kBatchesPerTurn; ++i) {
    if (context_.mailbox->has_mail_on_loop()) dispatcher_->deliver();
    if (server_->has_news()) server_->flush();
    more = server_->has_news() || (dispatcher_->attached() && context_.mailbox->has_mail_on_loop());
  }
  if (!running_ || more == idling_) return;
  idling_ = more;
  if (more) {
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
}

void Daemon::on_log(void* data, uint8_t level, const std::string& text) {
  const auto* const self = static_cast<Daemon*>(data);
  if (self->server_) self->server_->log(level, text);
}

bool Daemon::on_stopped_javascript(void* data) { return static_cast<Daemon*>(data)->watchdog_.take_interrupted(); }

// In the middle of JavaScript, which holds none of our locks: requests end before anything else can happen to them.
void Daemon::on_interrupt(void* data) {
  fastcgi::Server* const server = static_cast<Daemon*>(data)->server_.get();
  server->interrupted();
  server->flush_blocking(kFlushTime);
}

void Daemon::stop_loop() {
  if (!std::exchange(running_, false)) return;
  context_.mailbox->set_waker_on_loop(nullptr, nullptr);
  watchdog_.stop();
  const uv_close_cb closed = [](uv_handle_t* handle) { static_cast<Daemon*>(handle->data)->handle_closed(); };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&tick_), closed);
}

void Daemon::handle_closed() {
  if (--open_handles_ == 0 && ending_) napi_remove_async_cleanup_hook(cleanup_);
}

// The environment ends: connections are closed with it, so that nobody waits for an answer.
void Daemon::on_cleanup(napi_async_cleanup_hook_handle cleanup, void* data) {
  auto* const self = static_cast<Daemon*>(data);
  self->ending_ = true;
  self->server_->close_all();
  self->stop_loop();
  if (self->open_handles_ == 0) napi_remove_async_cleanup_hook(cleanup);
}

}  // namespace nwsgi::bridge
