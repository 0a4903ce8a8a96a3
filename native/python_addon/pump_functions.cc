#include "python_addon/pump_functions.h"

#include <utility>

#include "python_addon/pumps.h"
#include "python_addon/values.h"

namespace nwsgi::python_addon {

namespace {

using exchange::OutputItem;
using Info = const Napi::CallbackInfo&;
using FindSession = std::function<std::shared_ptr<Session>(Napi::Env)>;

// Bound to the functions as their data; one for each environment, freed by nobody (see Pumps).
struct Bound {
  FindSession session;
  Pumps* pumps = nullptr;
};

Bound& bound(Info info) { return *static_cast<Bound*>(info.Data()); }

Ref<Exchange> exchange_of(Info info) {
  Pumps* const pumps = bound(info).pumps;
  return pumps == nullptr ? nullptr : pumps->find(to_handle(info[0]));
}

Napi::Value open(Info info) {
  Bound& self = bound(info);
  const std::shared_ptr<Session> session = self.session(info.Env());
  if (!session) return Napi::Number::New(info.Env(), 0);
  if (self.pumps == nullptr) {
    self.pumps = Pumps::create([session](uint64_t token) {
      auto news = std::make_unique<News>(News::Kind::kServe);
      news->token = token;
      session->post(std::move(news));
    });
  }
  Pumps::Pumped pumped = self.pumps->open(to_latin1(info[1]), info[2].ToBoolean().Value());
  session->serve_on_loop(static_cast<uint32_t>(to_number(info[0])), std::move(pumped.exchange));
  return Napi::Number::New(info.Env(), static_cast<double>(pumped.token));
}

Napi::Value from_item(Napi::Env env, const OutputItem& item) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", static_cast<double>(item.kind));
  switch (item.kind) {
    case OutputItem::Kind::kData:
      object.Set("data", Napi::Buffer<char>::Copy(env, item.chunk.data, item.chunk.size));
      break;
    case OutputItem::Kind::kFile:
      object.Set("fd", item.fd);
      object.Set("offset", static_cast<double>(item.offset));
      object.Set("length", static_cast<double>(item.length));
      break;
    case OutputItem::Kind::kLog:
      object.Set("level", item.level);
      object.Set("text", from_utf8(env, item.text));
      break;
    default: {
      napi_value text = nullptr;
      napi_create_string_latin1(env, item.text.data(), item.text.size(), &text);
      object.Set("text", text);
    }
  }
  return object;
}

Napi::Value take(Info info) {
  const Napi::Env env = info.Env();
  Pumps* const pumps = bound(info).pumps;
  const exchange::Work* const work = pumps == nullptr ? nullptr : pumps->take(to_handle(info[0]));
  if (work == nullptr) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  Napi::Array items = Napi::Array::New(env, work->output.size());
  for (uint32_t i = 0; i < work->output.size(); ++i) items.Set(i, from_item(env, work->output[i]));
  object.Set("items", items);
  object.Set("bodyWanted", work->body_wanted);
  object.Set("end", static_cast<double>(work->end));
  if (work->end == exchange::End::kFailed) {
    const exchange::Failure& failure = exchange_of(info)->failure_on_server();
    object.Set("status", failure.status);
    object.Set("code", from_utf8(env, failure.code));
    object.Set("message", from_utf8(env, failure.message));
    object.Set("logged", failure.logged);
  }
  return object;
}

Napi::Value room(Info info) {
  const Ref<Exchange> exchange = exchange_of(info);
  return Napi::Number::New(info.Env(), exchange ? static_cast<double>(exchange->body_room_on_server()) : 0);
}

void push(Info info) {
  const Ref<Exchange> exchange = exchange_of(info);
  if (!exchange || !info[1].IsTypedArray()) return;
  const auto bytes = info[1].As<Napi::Uint8Array>();
  exchange->push_body_on_server(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
}

void end_body(Info info) {
  if (const Ref<Exchange> exchange = exchange_of(info)) exchange->end_body_on_server();
}

void fail_body(Info info) {
  if (const Ref<Exchange> exchange = exchange_of(info)) exchange->fail_body_on_server(to_utf8(info[1]));
}

void written(Info info) {
  if (const Ref<Exchange> exchange = exchange_of(info)) exchange->output_written_on_server(static_cast<size_t>(to_number(info[1])));
}

void abort_request(Info info) {
  const Ref<Exchange> exchange = exchange_of(info);
  const double reason = to_number(info[1]);
  if (exchange && reason >= 1 && reason <= 4) exchange->abort_on_server(static_cast<exchange::AbortReason>(reason));
}

void finish(Info info) {
  if (Pumps* const pumps = bound(info).pumps) pumps->finish(to_handle(info[0]));
}

}  // namespace

void define_pumps(Napi::Object exports, FindSession session) {
  const Napi::Env env = exports.Env();
  auto* const data = new Bound{std::move(session), nullptr};
  Napi::Object functions = Napi::Object::New(env);
  const auto define = [&](const char* name, auto function) { functions.Set(name, Napi::Function::New(env, function, name, data)); };
  define("open", open);
  define("take", take);
  define("room", room);
  define("push", push);
  define("endBody", end_body);
  define("failBody", fail_body);
  define("written", written);
  define("abort", abort_request);
  define("finish", finish);
  exports.Set("pumps", functions);
}

}  // namespace nwsgi::python_addon
