#include "bridge/bridge.h"

#include <fcntl.h>
#include <napi.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bridge/dispatcher.h"
#include "bridge/values.h"
#include "exchange/bridge_seam.h"
#ifndef NWSGI_EMBEDDED
#include "bridge/daemon.h"
#include "bridge/serve_support.h"
#endif

namespace nwsgi::bridge {

namespace {

using exchange::Exchange;
using exchange::Ref;
using Info = const Napi::CallbackInfo&;

constexpr uint32_t kBridgeAbi = 3;  // BRIDGE_ABI in src/native.ts
constexpr double kOver = -1;
constexpr double kReadPending = 0;
constexpr double kReadEnd = 1;
constexpr double kReadError = 2;

Dispatcher& dispatcher_of(Info info) { return *info.Env().GetInstanceData<Dispatcher>(); }

Napi::Value number(Info info, double value) { return Napi::Number::New(info.Env(), value); }

Napi::Value accepted(Info info, Exchange::Accept accept) {
  return number(info, accept == Exchange::Accept::kOk ? 0 : kOver);
}

Napi::Value from_latin1(Info info, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_latin1(info.Env(), text.data(), text.size(), &value);
  return Napi::Value(info.Env(), value);
}

void throw_type_error(Info info, const char* message) {
  Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
}

Napi::Value respond(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  exchange::Chunk chunk;
  if (!to_chunk(info[2], &chunk)) {
    throw_type_error(info, "respond(): the body has to be a Uint8Array or a string");
    return info.Env().Undefined();
  }
  return accepted(info, exchange->respond_on_loop(to_latin1(info[1]), chunk));
}

Napi::Value head(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  return accepted(info, exchange->head_on_loop(to_latin1(info[1])));
}

Napi::Value write(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  exchange::Chunk chunk;
  if (!to_chunk(info[1], &chunk)) {
    throw_type_error(info, "write(): the chunk has to be a Uint8Array or a string");
    return info.Env().Undefined();
  }
  size_t queued = 0;
  if (exchange->write_on_loop(chunk, &queued) == Exchange::Accept::kOver) return number(info, kOver);
  return number(info, static_cast<double>(queued));
}

Napi::Value file_info(Info info) {
  struct stat status {};
  const int fd = info[0].ToNumber().Int32Value();
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return info.Env().Null();
  const off_t position = ::lseek(fd, 0, SEEK_CUR);
  if (position < 0) return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("size", static_cast<double>(status.st_size));
  result.Set("position", static_cast<double>(position));
  return result;
}

Napi::Value send_file(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  struct stat status {};
  const int fd = info[1].ToNumber().Int32Value();
  int64_t offset = info[2].ToNumber().Int64Value();
  int64_t length = info[3].ToNumber().Int64Value();
  if (::fstat(fd, &status) != 0 || (offset < 0 && (offset = ::lseek(fd, 0, SEEK_CUR)) < 0)) {
    throw_type_error(info, std::strerror(errno));
    return info.Env().Undefined();
  }
  const int64_t rest = status.st_size > offset ? status.st_size - offset : 0;
  if (length < 0 || length > rest) length = rest;
  // The application may close its descriptor as soon as this call returns.
  const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (own < 0) {
    throw_type_error(info, std::strerror(errno));
    return info.Env().Undefined();
  }
  if (exchange->send_file_on_loop(own, offset, length) == Exchange::Accept::kOver) return number(info, kOver);
  return number(info, static_cast<double>(length));
}

Napi::Value interim(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  return accepted(info, exchange->interim_on_loop(to_latin1(info[1])));
}

Napi::Value upgrade(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  const Exchange::Accept accept = exchange->upgrade_on_loop(to_latin1(info[1]));
  if (accept == Exchange::Accept::kOk) dispatcher_of(info).context().mailbox->upgraded_on_loop(to_handle(info[0]));
  return accepted(info, accept);
}

Napi::Value trailers(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kOver);
  return accepted(info, exchange->trailers_on_loop(to_latin1(info[1])));
}

Napi::Value request_trailers(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  return from_latin1(info, exchange ? exchange->request_trailers_on_loop() : std::string());
}

Napi::Value end(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  return exchange ? accepted(info, exchange->complete_on_loop()) : number(info, kOver);
}

Napi::Value abort_response(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  return exchange ? accepted(info, exchange->abort_on_loop()) : number(info, kOver);
}

Napi::Value fail(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange || exchange->over()) return number(info, kOver);
  exchange::Failure failure;
  failure.status = info[1].ToNumber().Int32Value();
  failure.code = to_utf8(info[2]);
  failure.message = to_utf8(info[3]);
  failure.logged = true;  // the gateway has written more about it (stack, script) than fits here
  exchange->fail(std::move(failure));
  return number(info, 0);
}

void release(Info info) { dispatcher_of(info).context().mailbox->release_on_loop(to_handle(info[0])); }

Napi::Value record(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  return from_latin1(info, exchange ? exchange->record() : std::string());
}

Napi::Value read(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return number(info, kReadError);
  const size_t most = info[1].ToNumber().Uint32Value();
  if (const size_t ready = exchange->body_ready_on_loop(); ready != 0 && most != 0) {
    const size_t size = std::min(ready, most);
    Napi::Buffer<char> block = Napi::Buffer<char>::New(info.Env(), size);
    exchange->take_body_on_loop(block.Data(), size);
    return block;
  }
  const exchange::BodyRead result = exchange->read_body_on_loop(most);
  switch (result.status) {
    case exchange::ReadStatus::kData:
      return Napi::Buffer<char>::Copy(info.Env(), result.bytes.data(), result.bytes.size());
    case exchange::ReadStatus::kPending:
      return number(info, kReadPending);
    case exchange::ReadStatus::kEnd:
      return number(info, kReadEnd);
    case exchange::ReadStatus::kError:
      break;
  }
  return number(info, kReadError);
}

Napi::Value body_error(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  if (!exchange) return Napi::String::New(info.Env(), "the request is over");
  const exchange::BodyRead result = exchange->read_body_on_loop(0);
  return Napi::String::New(info.Env(), result.status == exchange::ReadStatus::kError ? result.bytes : "");
}

Napi::Value abort_reason(Info info) {
  const Ref<Exchange> exchange = dispatcher_of(info).find(info[0]);
  return number(info, exchange ? static_cast<double>(exchange->abort_reason()) : 0);
}

// True when the server logs it; a daemon's gateway writes other lines by itself.
Napi::Value log(Info info) {
  Dispatcher& dispatcher = dispatcher_of(info);
  const auto level = static_cast<uint8_t>(info[1].ToNumber().Uint32Value());
  std::string text = to_utf8(info[2]);
  const Ref<Exchange> exchange = dispatcher.find(info[0]);
  std::vector<exchange::OutputItem> before;
  const bool taken = exchange && exchange->log(level, text, &before);
  for (const exchange::OutputItem& line : before) dispatcher.log_for_site(line.level, line.text);
  if (!taken && dispatcher.context().events != nullptr) dispatcher.log_for_site(level, text);
  return Napi::Boolean::New(info.Env(), taken);
}

Napi::Value attach(Info info) {
  if (!info[0].IsTypedArray() || !info[1].IsTypedArray() || !info[2].IsFunction() ||
      !dispatcher_of(info).attach(info[0].As<Napi::Uint8Array>(), info[1].As<Napi::Float64Array>(),
                                  info[2].As<Napi::Function>())) {
    throw_type_error(info, "attach() takes a Uint8Array, a Float64Array and a function, once");
  }
  return info.Env().Undefined();
}

#ifdef NWSGI_EMBEDDED

Napi::Value change_directory(Info info) { return number(info, ::chdir(to_utf8(info[0]).c_str()) == 0 ? 0 : errno); }

void on_stop(Info info) { dispatcher_of(info).set_stop_callback(info[0].As<Napi::Function>()); }
void ready(Info info) { dispatcher_of(info).context().events->on_ready(to_utf8(info[0])); }
void load_failed(Info info) { dispatcher_of(info).context().events->on_load_failed(to_utf8(info[0])); }
void watch(Info info) {
  exchange::LoadedScript script{to_utf8(info[0]), to_utf8(info[1]), "auto", ""};
  if (info[2].IsString()) script.type = to_utf8(info[2]);
  if (info[3].IsString()) script.env = to_latin1(info[3]);
  dispatcher_of(info).context().events->on_watch(script);
}
void stopped(Info info) { dispatcher_of(info).context().events->on_stopped(); }

#endif

template <auto Function>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name));
}

// For add-ons that serve requests by threads of their own.
Napi::Value seam(Napi::Env env) {
  auto* const seam = new exchange::BridgeSeam{exchange::kSeamAbi, env.GetInstanceData<Dispatcher>()->context().mailbox.get()};
  return Napi::External<exchange::BridgeSeam>::New(env, seam, [](Napi::Env, exchange::BridgeSeam* data) { delete data; });
}

void define_request_functions(Napi::Object exports) {
  exports.Set("abi", kBridgeAbi);
  exports.Set("seam", seam(exports.Env()));
  define<attach>(exports, "attach");
  define<record>(exports, "record");
  define<respond>(exports, "respond");
  define<head>(exports, "head");
  define<write>(exports, "write");
  define<file_info>(exports, "fileInfo");
  define<send_file>(exports, "sendFile");
  define<interim>(exports, "interim");
  define<upgrade>(exports, "upgrade");
  define<trailers>(exports, "trailers");
  define<request_trailers>(exports, "requestTrailers");
  define<end>(exports, "end");
  define<abort_response>(exports, "abort");
  define<fail>(exports, "fail");
  define<release>(exports, "release");
  define<read>(exports, "read");
  define<body_error>(exports, "bodyError");
  define<abort_reason>(exports, "abortReason");
  define<log>(exports, "log");
}

#ifdef NWSGI_EMBEDDED

// What the gateway reports to its host; a daemon's gateway reports to its supervisor instead (src/worker/bridge.ts).
void define_host_functions(Napi::Object exports) {
  define<ready>(exports, "ready");
  define<load_failed>(exports, "loadFailed");
  define<watch>(exports, "watch");
  define<change_directory>(exports, "changeDirectory");
  define<on_stop>(exports, "onStop");
  define<stopped>(exports, "stopped");
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exchange::BridgeContext* context = exchange::current_bridge_context();
  if (context == nullptr) {
    Napi::Error::New(env, "nwsgi_bridge works only in the main thread of an environment that nwsgi started")
        .ThrowAsJavaScriptException();
    return exports;
  }
  env.SetInstanceData<Dispatcher>(new Dispatcher(env, context));
  exports.Set("config", context->config_json);
  define_request_functions(exports);
  define_host_functions(exports);
  return exports;
}

#else

Napi::Object init(Napi::Env env, Napi::Object exports) {
  Daemon* const daemon = Daemon::create(env);
  if (daemon == nullptr) {
    Napi::Error::New(env, "nwsgi_bridge works only in the main thread of a process, once").ThrowAsJavaScriptException();
    return exports;
  }
  define_request_functions(exports);
  daemon->define(exports);
  add_serve_functions(exports);
  return exports;
}

#endif

}  // namespace

}  // namespace nwsgi::bridge

#ifdef NWSGI_EMBEDDED
extern "C" napi_value nwsgi_bridge_init(napi_env env, napi_value exports) {
  return Napi::RegisterModule(env, exports, nwsgi::bridge::init);
}
#else
static Napi::Object initialise(Napi::Env env, Napi::Object exports) { return nwsgi::bridge::init(env, exports); }
NODE_API_MODULE(nwsgi_bridge, initialise)
#endif
