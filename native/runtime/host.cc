#include "runtime/host.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exchange/find_node.h"
#include "runtime/node_version.h"

namespace nwsgi::runtime {

using exchange::Clock;
using exchange::Ref;
using std::chrono::milliseconds;

namespace {

constexpr auto kTick = milliseconds(100);

// httpd that has detached from its terminal has /dev/null there: what child processes and worker threads of applications
// print would be lost. It joins the error log, unless somebody gave it a meaning (-D FOREGROUND in a container).
void keep_standard_output() {
  struct stat output {}, null {};
  if (::fstat(STDOUT_FILENO, &output) != 0 || ::stat("/dev/null", &null) != 0) return;
  if (S_ISCHR(output.st_mode) && output.st_rdev == null.st_rdev) ::dup2(STDERR_FILENO, STDOUT_FILENO);
}

}  // namespace

Host* Host::start(const exchange::HostOptions& options, const exchange::ServerServices& services,
                  exchange::Failure* error) {
  std::unique_ptr<Platform> platform = Platform::start(options.node_options, error);
  if (!platform) return nullptr;
  keep_standard_output();
  return new Host(std::move(platform), options, services);
}

Host::Host(std::unique_ptr<Platform> platform, const exchange::HostOptions& options,
           const exchange::ServerServices& services)
    : platform_(std::move(platform)), services_(services) {
  settings_.platform = platform_.get();
  settings_.services = &services_;
  settings_.gateway_directory = options.gateway_directory;
  settings_.server_software = options.server_software;
  settings_.python_json = options.python_json;
  // child_process.fork() and cluster start process.execPath; in a server that would be httpd.
  settings_.exec_path = exchange::find_node();
  settings_.drain_time = options.drain_time;
  if (!platform_->own_directories()) {
    services_.log(nullptr, exchange::kLogDebug,
                  "applications cannot have working directories of their own: unshare(CLONE_FS) is not allowed here");
  }
  const SignalsBlocked blocked;
  supervisor_ = std::thread([this] { supervise(); });
}

Group& Host::group(std::string_view name, void* site) {
  {
    std::shared_lock lock(groups_mutex_);
    if (const auto found = groups_.find(name); found != groups_.end()) return *found->second;
  }
  std::unique_lock lock(groups_mutex_);
  auto& group = groups_[std::string(name)];
  if (!group) group = std::make_unique<Group>(&settings_, std::string(name), site);
  return *group;
}

template <typename Visit>
void Host::each_group(Visit visit) {
  std::shared_lock lock(groups_mutex_);
  for (const auto& [name, group] : groups_) visit(*group);
}

void Host::submit(const exchange::GroupRef& ref, Ref<exchange::Exchange> exchange) {
  group(ref.application_group, ref.site).submit(std::move(exchange));
}

void Host::preload(const exchange::Preload& preload) { group(preload.application_group, preload.site).preload(preload); }

void Host::report_timeout(const exchange::GroupRef& ref) { group(ref.application_group, ref.site).report_timeout(); }

void Host::begin_stop(bool graceful) {
  each_group([graceful](Group& group) { group.begin_stop(graceful); });
}

bool Host::all_ended() {
  bool ended = true;
  each_group([&ended](Group& group) { ended = group.reap() && ended; });
  return ended;
}

bool Host::shutdown(milliseconds limit) {
  {
    std::lock_guard lock(supervisor_mutex_);
    ending_ = true;
  }
  supervisor_wake_.notify_all();
  supervisor_.join();
  const auto start = Clock::now();
  const auto asked = limit / 2;
  each_group([asked](Group& group) { group.end_all(false, static_cast<uint32_t>((asked * 4 / 5).count())); });
  bool forced = false;
  while (!all_ended()) {
    const auto waited = Clock::now() - start;
    if (waited >= limit) return false;
    if (!forced && waited >= asked) {
      forced = true;
      each_group([](Group& group) { group.end_all(true, 0); });
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

void Host::supervise() {
  pthread_setname_np(pthread_self(), "nwsgi-super");
  std::unique_lock lock(supervisor_mutex_);
  while (!supervisor_wake_.wait_for(lock, kTick, [this] { return ending_; })) {
    lock.unlock();
    const auto now = Clock::now();
    each_group([now](Group& group) { group.tick(now); });
    lock.lock();
  }
}

const char* Host::runtime_version() const { return linked_node_version(); }

}  // namespace nwsgi::runtime
