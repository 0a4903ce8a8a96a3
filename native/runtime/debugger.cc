#include "runtime/debugger.h"

#include "exchange/json.h"

namespace nwsgi::runtime {
namespace {

std::string element(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Array> array, uint32_t index) {
  v8::Local<v8::Value> value;
  if (!array->Get(context, index).ToLocal(&value) || !value->IsString()) return {};
  const v8::String::Utf8Value text(isolate, value);
  return {*text, static_cast<size_t>(text.length())};
}

}  // namespace

std::string Debugger::open_source(const DebuggerAddress& address) {
  return R"((() => {
    const inspector = require('inspector');
    const close = inspector.close;
    let problem = '';
    for (const port of [)" + exchange::json_string(address.port) + R"(, '0']) {
      try {
        inspector.open(Number(port), )" + exchange::json_string(address.host) + R"();
      } catch (error) {
        problem = error.message;
      }
      const url = inspector.url();
      if (url !== undefined) return [close, url, ''];
    }
    return [close, '', problem];
  })())";
}

std::string Debugger::accept(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> opened,
                             std::string* problem) {
  if (!opened->IsArray()) return {};
  const auto array = opened.As<v8::Array>();
  v8::Local<v8::Value> close;
  if (array->Get(context, 0).ToLocal(&close) && close->IsFunction()) close_.Reset(isolate, close.As<v8::Function>());
  *problem = element(isolate, context, array, 2);
  return element(isolate, context, array, 1);
}

void Debugger::close(v8::Isolate* isolate) {
  if (close_.IsEmpty()) return;
  const v8::HandleScope scope(isolate);
  const v8::Local<v8::Function> function = close_.Get(isolate);
  close_.Reset();
  isolate->CancelTerminateExecution();
  const v8::TryCatch catcher(isolate);
  static_cast<void>(function->Call(isolate->GetCurrentContext(), v8::Undefined(isolate), 0, nullptr));
}

}  // namespace nwsgi::runtime
