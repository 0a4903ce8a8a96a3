#include "runtime/environment.h"

#include <node.h>
#include <pthread.h>
#include <unistd.h>
#include <v8.h>

#include "bridge/bridge.h"
#include "exchange/json.h"
#include "runtime/compat.h"

namespace nwsgi::runtime {

using exchange::Failure;
using exchange::Ref;

namespace {
// V8 assumes about 1 MB; native addons and deep recursion of applications want the usual main-thread size.
constexpr size_t kStackBytes = 8u << 20;
// What a heap may grow beyond its limit until the environment has noticed that it is stopped.
constexpr size_t kHeapSlack = 64u << 20;
constexpr int32_t kNodeApiVersion = 8;  // the newest that Node 18, 20 and 24 all have
}  // namespace

Ref<Environment> Environment::create(const Platform* platform, EnvironmentOwner* owner, std::string name,
                                     std::string gateway_directory, std::string config_json) {
  return Ref<Environment>::adopt(new Environment(platform, owner, std::move(name), std::move(gateway_directory),
                                                 std::move(config_json)));
}

Environment::Environment(const Platform* platform, EnvironmentOwner* owner, std::string name,
                         std::string gateway_directory, std::string config_json)
    : platform_(platform),
      owner_(owner),
      name_(std::move(name)),
      gateway_directory_(std::move(gateway_directory)) {
  context_.mailbox = exchange::Mailbox::create();
  context_.events = this;
  context_.config_json = std::move(config_json);
}

bool Environment::start() {
  const SignalsBlocked blocked;
  // std::thread takes no stack size: the default attribute of the process is changed around the call. Creating
  // threads is rare and the host's lock is held, so nobody else of ours sees the change; httpd sets its own attributes.
  pthread_attr_t previous;
  pthread_getattr_default_np(&previous);
  pthread_attr_t large;
  pthread_getattr_default_np(&large);
  pthread_attr_setstacksize(&large, kStackBytes);
  pthread_setattr_default_np(&large);
  bool started = true;
  retain();  // for the thread
  try {
    thread_ = std::thread([this] {
      run();
      release();
    });
  } catch (const std::exception&) {
    started = false;
    release();
  }
  pthread_setattr_default_np(&previous);
  pthread_attr_destroy(&previous);
  pthread_attr_destroy(&large);
  return started;
}

void Environment::join() {
  if (thread_.joinable()) thread_.join();
}

void Environment::request_stop(const std::string& reason, uint32_t milliseconds) {
  stop_requested_ = true;
  context_.mailbox->request_stop({reason, milliseconds});
}

void Environment::stop(EndReason reason) {
  if (!reason_set_.exchange(true)) reason_.store(reason);
  std::lock_guard lock(mutex_);
  if (env_ != nullptr) node::Stop(env_);
}

void Environment::interrupt() {
  std::lock_guard lock(mutex_);
  if (isolate_ != nullptr) isolate_->RequestInterrupt(on_interrupt, this);
}

// Runs on the environment's thread, in the middle of whatever its JavaScript does.
void Environment::on_interrupt(v8::Isolate* isolate, void* data) {
  auto* self = static_cast<Environment*>(data);
  v8::HandleScope scope(isolate);
  std::string text = "NWSGI3006 application group '" + self->name_ + "': the event loop was blocked; it was at";
  const v8::Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, 20);
  for (int i = 0; i < trace->GetFrameCount(); ++i) {
    const v8::Local<v8::StackFrame> frame = trace->GetFrame(isolate, static_cast<uint32_t>(i));
    const v8::String::Utf8Value function(isolate, frame->GetFunctionName());
    const v8::String::Utf8Value script(isolate, frame->GetScriptName());
    text += "\n    at " + std::string(*function != nullptr && function.length() != 0 ? *function : "<anonymous>") +
            " (" + (*script != nullptr ? *script : "?") + ":" + std::to_string(frame->GetLineNumber()) + ":" +
            std::to_string(frame->GetColumn()) + ")";
  }
  self->owner_->log(exchange::kLogError, text);
  self->stop(EndReason::kInterrupted);
  self->close_mailbox();
}

size_t Environment::on_near_heap_limit(void* data, size_t current, size_t) {
  auto* self = static_cast<Environment*>(data);
  // Only node::Stop tells the environment that it is ending; terminating the isolate alone makes Node abort.
  self->stop(EndReason::kHeap);
  return current + kHeapSlack;
}

void Environment::close_mailbox() {
  auto unserved = context_.mailbox->close(failure());
  if (!unserved.empty()) owner_->on_unserved(this, std::move(unserved));
}

void Environment::publish(node::Environment* env, v8::Isolate* isolate) {
  std::lock_guard lock(mutex_);
  env_ = env;
  isolate_ = isolate;
  if (env != nullptr && reason_set_.load()) node::Stop(env);  // stopped before it was running
}

void Environment::run() {
  pthread_setname_np(pthread_self(), "nwsgi-node");
  unblock_child_signal();
  if (platform_->own_directories()) separate_directory();
  exchange::set_current_bridge_context(&context_);
  std::vector<std::string> errors;
  auto setup = node::CommonEnvironmentSetup::Create(platform_->node_platform(), &errors, platform_->args(),
                                                    platform_->exec_args(), compat::kEnvironmentFlags);
  if (setup) {
    serve(*setup);
    if (!context_.mailbox->attached() && reason_.load() == EndReason::kExited) reason_.store(EndReason::kNotStarted);
    close_mailbox();
    setup.reset();
  } else {
    stop(EndReason::kNotStarted);
    std::string text = "NWSGI3002 application group '" + name_ + "': Node could not create an environment";
    for (const std::string& error : errors) text += ": " + error;
    owner_->log(exchange::kLogCritical, text);
  }
  exchange::set_current_bridge_context(nullptr);
  context_.mailbox->drop_all();
  owner_->on_ended(this);
}

void Environment::serve(node::CommonEnvironmentSetup& setup) {
  node::Environment* const env = setup.env();
  v8::Isolate* const isolate = setup.isolate();
  const v8::Locker locker(isolate);
  const v8::Isolate::Scope isolate_scope(isolate);
  const v8::HandleScope handle_scope(isolate);
  const v8::Context::Scope context_scope(setup.context());
  node::SetProcessExitHandler(env, [this](node::Environment*, int code) {
    exit_code_.store(code);
    // Asked to end, many applications do so themselves: server.close(() => process.exit()).
    stop(stop_requested_ ? EndReason::kStopped : EndReason::kExited);
  });
  isolate->AddNearHeapLimitCallback(on_near_heap_limit, this);
  node::AddLinkedBinding(env, "nwsgi_bridge", nwsgi_bridge_init, kNodeApiVersion);
  publish(env, isolate);
  // process.exit() waits for debuggers too.
  node::AtExit(env, [](void* data) { static_cast<Environment*>(data)->debugger_.close(v8::Isolate::GetCurrent()); }, this);
  v8::Local<v8::Value> opened;
  if (node::LoadEnvironment(env, main_source().c_str()).ToLocal(&opened)) {
    announce_debugger(isolate, setup.context(), opened);
    static_cast<void>(node::SpinEventLoop(env));
  }
  // Whoever comes now finds no environment to stop or interrupt.
  publish(nullptr, nullptr);
  debugger_.close(isolate);
  isolate->RemoveNearHeapLimitCallback(on_near_heap_limit, 0);
  node::Stop(env);
}

std::string Environment::main_source() const {
  std::string source;
  if (platform_->debugger()) source = "const opened = " + Debugger::open_source(*platform_->debugger()) + ";\n";
  source += "require('module').createRequire(" + exchange::json_string(gateway_directory_ + "/") + ")('./bootstrap.cjs');\n";
  if (platform_->debugger()) source += "return opened;\n";
  return source;
}

void Environment::announce_debugger(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> opened) {
  if (!platform_->debugger()) return;
  std::string problem;
  const std::string url = debugger_.accept(isolate, context, opened, &problem);
  const std::string who = " application group '" + name_ + "' in process " + std::to_string(::getpid());
  if (url.empty()) {
    owner_->log(exchange::kLogWarning, "NWSGI3016" + who + ": no debugger can attach" +
                                           (problem.empty() ? "" : ": " + problem) + ". Check --inspect in WSGINodeOptions");
  } else {
    owner_->log(exchange::kLogNotice, "NWSGI3015" + who + ": a debugger can attach at " + url);
  }
}

Failure Environment::failure() const {
  Failure failure;
  const std::string who = "application group '" + name_ + "': ";
  switch (reason_.load()) {
    case EndReason::kStopped:
      failure = {503, "NWSGI3003", who + "its environment was stopped before the request was answered", false, 1};
      break;
    case EndReason::kExited:
      failure = {500, "NWSGI3004",
                 who + "its environment ended (exit code " + std::to_string(exit_code_.load()) +
                     ") while the request was in progress: process.exit() was called or an exception was not caught",
                 false, 0};
      break;
    case EndReason::kHeap:
      failure = {500, "NWSGI3005",
                 who + "its heap was exhausted while the request was in progress. Look for a leak, or raise the limit "
                       "with WSGINodeOptions --max-old-space-size=…",
                 false, 0};
      break;
    case EndReason::kInterrupted:
      failure = {503, "NWSGI3006",
                 who + "its event loop was blocked beyond WSGIRequestTimeout by another request; the environment was "
                       "replaced",
                 false, 1};
      break;
    case EndReason::kNotStarted:
      failure = {500, "NWSGI3002", who + "its environment could not be started; the lines before this one say why", false, 0};
      break;
  }
  return failure;
}

}  // namespace nwsgi::runtime
