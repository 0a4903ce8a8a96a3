#include "python_addon/news.h"

#include <strings.h>

#include <string_view>
#include <utility>

#include "exchange/record.h"
#include "python_addon/values.h"

namespace nwsgi::python_addon {

// Lives until the thread-safe function is finalised, which is the last thing that touches it.
struct NewsChannel::State {
  std::mutex mutex;
  napi_threadsafe_function function = nullptr;  // null once it must not be called any more; guarded by mutex
  Napi::ObjectReference events;
  Session* session = nullptr;  // loop only; null once the environment has let go of it
};

namespace {

using State = NewsChannel::State;

// What the record says for a log line and about the page for developers.
void add_request(Napi::Env env, Napi::Object object, const std::string& record) {
  exchange::RecordReader reader(record);
  std::string_view name;
  std::string_view value;
  bool page = false;
  while (reader.next(&name, &value)) {
    if (name == "nwsgi.x-error-page") page = value.size() == 11 && ::strncasecmp(value.data(), "development", 11) == 0;
    if (name == "REQUEST_METHOD") object.Set("method", from_utf8(env, std::string(value)));
    if (name == "REQUEST_URI") object.Set("uri", from_utf8(env, std::string(value)));
  }
  object.Set("developmentPage", page);
}

Napi::Value from_request_fault(Napi::Env env, const python::RequestFault& request) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("fault", from_fault(env, request.fault));
  object.Set("script", from_utf8(env, request.script));
  object.Set("callable", from_utf8(env, request.callable));
  object.Set("headSent", request.head_sent);
  add_request(env, object, request.exchange->record());
  object.Set("abortReason", static_cast<double>(request.exchange->abort_reason()));
  Napi::Array variables = Napi::Array::New(env, request.variables.size());
  for (uint32_t i = 0; i < request.variables.size(); ++i) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair.Set(0u, from_utf8(env, request.variables[i].first));
    pair.Set(1u, from_utf8(env, request.variables[i].second));
    variables.Set(i, pair);
  }
  object.Set("variables", variables);
  return object;
}

void call(Napi::Env env, const State& state, const char* name, std::initializer_list<napi_value> arguments) {
  const Napi::Value function = state.events.Value().Get(name);
  if (function.IsEmpty() || !function.IsFunction()) return;
  napi_value result = nullptr;
  const napi_status status =
      napi_make_callback(env, nullptr, state.events.Value(), function, arguments.size(), arguments.begin(), &result);
  if (status != napi_pending_exception) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void deliver(Napi::Env env, State& state, News& news) {
  switch (news.kind) {
    case News::Kind::kLoaded: {
      const bool loaded = static_cast<bool>(news.application);
      const double id = loaded ? state.session->keep_on_loop(std::move(news.application)) : 0;
      const Napi::Value fault = loaded ? env.Null() : from_fault(env, news.fault);
      return call(env, state, "loaded", {Napi::Number::New(env, news.ticket), Napi::Number::New(env, id), fault});
    }
    case News::Kind::kFault: {
      const Napi::Value fault = from_request_fault(env, news.request);
      const auto token = static_cast<double>(state.session->await_answer_on_loop(std::move(news.request.exchange)));
      return call(env, state, "fault", {Napi::Number::New(env, token), fault});
    }
    case News::Kind::kOver:
      return call(env, state, "over", {});
    case News::Kind::kLog:
      return call(env, state, "log", {Napi::Number::New(env, news.level), from_utf8(env, news.text)});
    case News::Kind::kStuck:
      return call(env, state, "stuck", {from_utf8(env, news.text), from_utf8(env, news.stack)});
    case News::Kind::kServe:
      return call(env, state, "serve", {Napi::Number::New(env, static_cast<double>(news.token))});
  }
}

// `env` is null when the environment is being torn down.
void on_news(napi_env env, napi_value, void* context, void* data) {
  auto& state = **static_cast<std::shared_ptr<State>*>(context);
  const std::unique_ptr<News> news(static_cast<News*>(data));
  if (env != nullptr && state.session != nullptr) {
    Napi::HandleScope scope(env);
    return deliver(Napi::Env(env), state, *news);
  }
  if (news->kind == News::Kind::kFault) news->request.exchange->fail({500, "NWSGI2201", news->request.fault.summary, false, 0});
}

void on_finalised(napi_env, void*, void* hint) {
  const std::unique_ptr<std::shared_ptr<State>> state(static_cast<std::shared_ptr<State>*>(hint));
  std::lock_guard lock((*state)->mutex);
  (*state)->function = nullptr;
}

}  // namespace

NewsChannel::NewsChannel(Napi::Env env, Napi::Object events) : state_(std::make_shared<State>()) {
  state_->events = Napi::Persistent(events);
  auto* const context = new std::shared_ptr<State>(state_);
  napi_threadsafe_function function = nullptr;
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "nwsgi_python"), 0, 1, context, on_finalised,
                                  context, on_news, &function);
  if (function != nullptr) napi_unref_threadsafe_function(env, function);
  state_->function = function;
}

NewsChannel::~NewsChannel() {
  state_->session = nullptr;
  state_->events.SuppressDestruct();
}

Session::Post NewsChannel::sender() {
  return [state = state_](std::unique_ptr<News>* news) {
    std::lock_guard lock(state->mutex);
    if (state->function == nullptr) return false;
    if (napi_call_threadsafe_function(state->function, news->get(), napi_tsfn_nonblocking) != napi_ok) return false;
    news->release();
    return true;
  };
}

void NewsChannel::deliver_on_loop(Napi::Env env, News& news) {
  Napi::HandleScope scope(env);
  deliver(env, *state_, news);
}

void NewsChannel::deliver_to(Session* session) { state_->session = session; }

}  // namespace nwsgi::python_addon
