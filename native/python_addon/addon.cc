// nwsgi_python_<version>.node: what src/python/addon.ts calls. One CPython for the process, one session for each environment.
#include <napi.h>

#include <memory>
#include <utility>

#include "exchange/bridge_seam.h"
#include "python/host.h"
#include "python_addon/news.h"
#include "python_addon/pump_functions.h"
#include "python_addon/session.h"
#include "python_addon/values.h"

namespace nwsgi::python_addon {

namespace {

using Info = const Napi::CallbackInfo&;

constexpr uint32_t kPythonAbi = 1;  // PYTHON_ABI in src/python/addon.ts
#ifndef NWSGI_PYTHON_VERSION
#define NWSGI_PYTHON_VERSION ""
#endif

// Of one environment; freed with it.
struct Instance {
  std::shared_ptr<Session> session;
  std::unique_ptr<NewsChannel> channel;
  ~Instance() {
    if (session) session->leave_on_loop();
  }
};

Session* session_of(Info info) { return info.Env().GetInstanceData<Instance>()->session.get(); }

uint32_t number_of(Info info, size_t index) { return static_cast<uint32_t>(to_number(info[index])); }

void refuse(Info info, const std::string& why) { Napi::Error::New(info.Env(), why).ThrowAsJavaScriptException(); }

exchange::Mailbox* mailbox_of(Info info) {
  if (!info[0].IsExternal()) return nullptr;
  const auto* const seam = info[0].As<Napi::External<exchange::BridgeSeam>>().Data();
  return seam != nullptr && seam->abi == exchange::kSeamAbi ? seam->mailbox : nullptr;
}

Napi::Value start(Info info) {
  auto& instance = *info.Env().GetInstanceData<Instance>();
  if (instance.session) return Napi::String::New(info.Env(), python::Host::running()->version());
  exchange::Mailbox* const mailbox = mailbox_of(info);
  if (mailbox == nullptr) {
    refuse(info, "the add-on for Python and the bridge come from two builds of nwsgi");
    return info.Env().Undefined();
  }
  if (!info[1].IsObject() || !info[2].IsObject()) {
    refuse(info, "start() takes the seam, options and the functions for events");
    return info.Env().Undefined();
  }
  std::string error;
  python::Host* const host = python::Host::start(to_host_options(info[1].As<Napi::Object>()), &error);
  if (host == nullptr) {
    refuse(info, error);
    return info.Env().Undefined();
  }
  instance.channel = std::make_unique<NewsChannel>(info.Env(), info[2].As<Napi::Object>());
  instance.session = Session::create(host, Ref<exchange::Mailbox>::share(mailbox), instance.channel->sender());
  instance.channel->deliver_to(instance.session.get());
  mailbox->set_taker_on_loop(taker_for(instance.session));
  return Napi::String::New(info.Env(), host->version());
}

void load(Info info) {
  Session* const session = session_of(info);
  if (session == nullptr || !info[1].IsObject()) return;
  session->load_on_loop(number_of(info, 0), to_script_options(info[1].As<Napi::Object>()));
}

void route(Info info) {
  if (Session* const session = session_of(info)) session->route_on_loop(to_latin1(info[0]), number_of(info, 1));
}

void begin(Info info) {
  if (Session* const session = session_of(info)) session->begin_on_loop(number_of(info, 0), to_handle(info[1]));
}

void release(Info info) {
  if (Session* const session = session_of(info)) session->release_on_loop(number_of(info, 0));
}

// ---- what becomes of a request whose application failed ----

Ref<Exchange> failed(Info info) {
  Session* const session = session_of(info);
  return session == nullptr ? nullptr : session->unanswered_on_loop(to_handle(info[0]));
}

void respond(Info info) {
  const Ref<Exchange> exchange = failed(info);
  if (!exchange) return;
  exchange::Chunk body;
  bridge::to_chunk(info[2], &body);
  exchange->respond_on_loop(to_latin1(info[1]), body);
  session_of(info)->answered_on_loop(to_handle(info[0]));
}

void fail(Info info) {
  const Ref<Exchange> exchange = failed(info);
  if (!exchange) return;
  exchange::Failure failure;
  failure.status = static_cast<int>(to_number(info[1]));
  failure.code = to_utf8(info[2]);
  failure.message = to_utf8(info[3]);
  failure.logged = true;
  exchange->fail(std::move(failure));
  session_of(info)->answered_on_loop(to_handle(info[0]));
}

void abort_response(Info info) {
  const Ref<Exchange> exchange = failed(info);
  if (!exchange) return;
  exchange->abort_on_loop();
  session_of(info)->answered_on_loop(to_handle(info[0]));
}

Napi::Value log(Info info) {
  const Ref<Exchange> exchange = failed(info);
  const bool taken = exchange && exchange->log(static_cast<uint8_t>(number_of(info, 1)), to_utf8(info[2]));
  return Napi::Boolean::New(info.Env(), taken);
}

// ---- the process ----

Napi::Value in_flight(Info info) {
  Session* const session = session_of(info);
  return Napi::Number::New(info.Env(), session == nullptr ? 0 : static_cast<double>(session->in_flight_on_loop()));
}

Napi::Value stalled(Info info) {
  python::Host* const host = python::Host::running();
  return Napi::Number::New(info.Env(), host == nullptr ? 0 : static_cast<double>(host->stalled().count()));
}

Napi::Value stop(Info info) {
  auto& instance = *info.Env().GetInstanceData<Instance>();
  if (!instance.session) return Napi::Boolean::New(info.Env(), true);
  const auto limit = std::chrono::milliseconds(static_cast<int64_t>(to_number(info[1])));
  instance.session->hold_on_loop();
  const bool ended = python::Host::running()->stop(to_utf8(info[0]), limit);
  for (const std::unique_ptr<News>& news : instance.session->take_held_on_loop()) instance.channel->deliver_on_loop(info.Env(), *news);
  return Napi::Boolean::New(info.Env(), ended);
}

template <auto Function>
void define(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData<Instance>(new Instance());
  exports.Set("abi", kPythonAbi);
  exports.Set("version", NWSGI_PYTHON_VERSION);
  define<start>(exports, "start");
  define<load>(exports, "load");
  define<route>(exports, "route");
  define<begin>(exports, "begin");
  define<release>(exports, "release");
  define<respond>(exports, "respond");
  define<fail>(exports, "fail");
  define<abort_response>(exports, "abort");
  define<log>(exports, "log");
  define<in_flight>(exports, "inFlight");
  define<stalled>(exports, "stalled");
  define<stop>(exports, "stop");
  define_pumps(exports, [](Napi::Env of) { return of.GetInstanceData<Instance>()->session; });
  return exports;
}

}  // namespace

}  // namespace nwsgi::python_addon

static Napi::Object initialise(Napi::Env env, Napi::Object exports) { return nwsgi::python_addon::init(env, exports); }
NODE_API_MODULE(nwsgi_python, initialise)
