// The process's one host, as everybody reaches it.
#include "python/host.h"

#include <unistd.h>

#include <mutex>

#include "python/fork_guard.h"
#include "python/run_request.h"
#include "python/runtime.h"

namespace nwsgi::python {

namespace {

struct Place {
  std::mutex mutex;
  bool tried = false;
  std::string error;
  std::atomic<Runtime*> runtime{nullptr};  // of a Python that has started
};

Place& place() {
  static Place* const the = new Place();
  return *the;
}

void write_to_stderr(const std::string& text) {
  const std::string line = text + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

// CPython that failed to start cannot be started again: the first answer is the last.
Host* Host::start(const HostOptions& options, std::string* error) {
  Place& here = place();
  std::lock_guard lock(here.mutex);
  if (!std::exchange(here.tried, true)) {
    install_fork_guard();
    auto* const runtime = new Runtime(options);
    if (runtime->begin(&here.error)) here.runtime.store(runtime, std::memory_order_release);
  }
  Host* const host = here.runtime.load(std::memory_order_relaxed);
  if (host == nullptr) *error = here.error;
  return host;
}

Host* Host::running() { return place().runtime.load(std::memory_order_acquire); }

void log_for_site(uint8_t level, std::string text) {
  // Locks of a forked child may be held for ever by threads that it does not have.
  Runtime* const runtime = in_forked_child() ? nullptr : place().runtime.load(std::memory_order_acquire);
  if (runtime == nullptr || !runtime->log(level, text)) write_to_stderr(text);
}

}  // namespace nwsgi::python
