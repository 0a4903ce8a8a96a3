#include "runtime/platform.h"

#include <node.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <uv.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/compat.h"

namespace nwsgi::runtime {

namespace {

// libuv starts its threads with the first work, from the thread that has it. Were that an environment's, they would share
// its working directory.
void start_thread_pool() {
  uv_loop_t loop;
  if (uv_loop_init(&loop) != 0) return;
  uv_work_t work;
  uv_queue_work(&loop, &work, [](uv_work_t*) {}, [](uv_work_t*, int) {});
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
}

}  // namespace

Platform::Platform() = default;
// V8 cannot be started twice in a process and is used until the process ends, so nothing is taken down here.
Platform::~Platform() { static_cast<void>(platform_.release()); }

std::unique_ptr<Platform> Platform::start(const std::vector<std::string>& node_options, exchange::Failure* error) {
  std::vector<std::string> args{"nwsgi"};
  args.insert(args.end(), node_options.begin(), node_options.end());
  const std::optional<DebuggerAddress> debugger = take_debugger_address(&args);
  const auto result = compat::initialize_once_per_process(args);
  if (result->early_return() || result->exit_code() != 0) {
    error->code = "NWSGI3001";
    error->message = "Node refused to start in this process";
    for (const std::string& line : result->errors()) error->message += ": " + line;
    error->message += ". Check WSGINodeOptions";
    return nullptr;
  }
  std::unique_ptr<Platform> platform(new Platform());
  platform->debugger_ = debugger;
  platform->args_ = result->args();
  platform->exec_args_ = result->exec_args();
  const SignalsBlocked blocked;
  const unsigned cpus = std::max(1u, std::thread::hardware_concurrency());
  platform->platform_ = node::MultiIsolatePlatform::Create(static_cast<int>(std::min(cpus, 4u)));
  v8::V8::InitializePlatform(platform->platform_.get());
  v8::V8::Initialize();
  start_thread_pool();
  std::thread([&platform] { platform->own_directories_ = separate_directory(); }).join();
  return platform;
}

static_assert(sizeof(sigset_t) <= 128);

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  // Faults of the thread itself must reach their handlers.
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, reinterpret_cast<sigset_t*>(previous_));
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, reinterpret_cast<sigset_t*>(previous_), nullptr); }

bool separate_directory() { return ::unshare(CLONE_FS) == 0; }

void unblock_child_signal() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  pthread_sigmask(SIG_UNBLOCK, &child, nullptr);
}

}  // namespace nwsgi::runtime
