#include "module/runtime_loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Without symbolic links and ".."; the path itself when it cannot be resolved.
std::string resolved_path(const std::string& path) {
  char resolved[PATH_MAX];
  return !path.empty() && ::realpath(path.c_str(), resolved) != nullptr ? resolved : path;
}

std::string code_text(Code code) { return "NWSGI" + std::to_string(static_cast<int>(code)); }

exchange::Failure runtime_failure(Code code, std::string message) {
  exchange::Failure failure;
  failure.status = 500;
  failure.code = code_text(code);
  failure.message = std::move(message);
  return failure;
}

std::string first_existing(const std::vector<std::string>& candidates, std::vector<std::string>* tried) {
  for (const std::string& candidate : candidates) {
    if (::access(candidate.c_str(), R_OK) == 0) return candidate;
    tried->push_back(candidate);
  }
  return {};
}

struct Start {
  const exchange::HostOptions* options;
  const exchange::ServerServices* services;
  exchange::Failure* failure;
  exchange::HostEntry entry;
  exchange::ApplicationHost* host;
};

void* run_start(void* data) {
  auto* start = static_cast<Start*>(data);
  start->host = start->entry(start->options, start->services, start->failure);
  return nullptr;
}

// Node's start-up needs more stack than a worker thread may have (ThreadStackSize), so it gets a thread of its own. It
// is born with all signals blocked, and so is every thread that it creates: httpd's own threads handle signals.
bool run_on_own_thread(Start* start) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, size_t{8} << 20);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, run_start, start) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (started) pthread_join(thread, nullptr);
  return started;
}

}  // namespace

RuntimeFiles find_runtime_files() {
  RuntimeFiles files;
  Dl_info info;
  if (::dladdr(reinterpret_cast<void*>(&find_runtime_files), &info) == 0 || info.dli_fname == nullptr) return files;
  // A module that is a symbolic link belongs to the place it points to.
  const std::string directory = directory_of(resolved_path(info.dli_fname));
  files.module_directory = directory;
  // The loader looks for libnode relative to the path it is given ($ORIGIN), so that one is resolved too.
  files.runtime = resolved_path(
      first_existing({directory + "/nwsgi_runtime.so", directory + "/nwsgi/nwsgi_runtime.so"}, &files.tried));
  std::vector<std::string> not_reported;  // only process groups need it
  files.bridge = resolved_path(
      first_existing({directory + "/nwsgi_bridge.node", directory + "/nwsgi/nwsgi_bridge.node"}, &not_reported));
  const std::string bootstrap =
      first_existing({directory + "/../../dist/bootstrap.cjs", directory + "/nwsgi/dist/bootstrap.cjs",
                      directory + "/dist/bootstrap.cjs", directory + "/bootstrap.cjs"},
                     &files.tried);
  if (!bootstrap.empty()) files.gateway_directory = resolved_path(directory_of(bootstrap));
  return files;
}

std::string folder_of_addons(const RuntimeFiles& files) {
  const std::string& file = !files.runtime.empty() ? files.runtime : files.bridge;
  return file.empty() ? files.module_directory : directory_of(file);
}

exchange::ApplicationHost* load_runtime(const RuntimeFiles& files, const exchange::HostOptions& options,
                                        const exchange::ServerServices* services, exchange::Failure* failure) {
  if (files.runtime.empty()) {
    *failure = runtime_failure(Code::kRuntimeMissing, "nwsgi_runtime.so is not readable beside the module in " +
                                                          files.module_directory +
                                                          "; build or install nwsgi again, and check permissions for "
                                                          "the server's User");
    return nullptr;
  }
  if (files.gateway_directory.empty()) {
    *failure = runtime_failure(Code::kGatewayMissing, "bootstrap.cjs of the gateway is not readable relative to the "
                                                      "module in " + files.module_directory +
                                                          "; build or install nwsgi again, and check permissions for "
                                                          "the server's User");
    return nullptr;
  }
  // RTLD_GLOBAL: native addons of applications look for Node's symbols in the global scope. Never closed: Node cannot
  // be unloaded.
  void* library = ::dlopen(files.runtime.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* symbol = library != nullptr ? ::dlsym(library, exchange::kHostEntryPoint) : nullptr;
  if (symbol == nullptr) {
    const char* reason = ::dlerror();
    *failure = runtime_failure(
        Code::kRuntimeNotLoadable,
        std::string("the Node runtime could not be loaded: ") + (reason != nullptr ? reason : "no reason given") +
            "; install libnode (Debian: apt-get install libnode-dev), or build nwsgi again after an upgrade of Node");
    return nullptr;
  }
  Start start{&options, services, failure, reinterpret_cast<exchange::HostEntry>(symbol), nullptr};
  if (!run_on_own_thread(&start)) {
    *failure = runtime_failure(Code::kRuntimeNotStarted,
                               "no thread could be created for Node; raise the limits on processes and memory");
  } else if (start.host == nullptr && failure->message.empty()) {
    *failure = runtime_failure(Code::kRuntimeNotStarted, "Node did not start and gave no reason");
  }
  return start.host;
}

}  // namespace nwsgi::httpd_side
