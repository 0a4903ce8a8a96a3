// The seam between the Apache module and whatever runs applications inside this process.
//
// The module loads nwsgi_runtime.so in a child (never in the parent) and asks it for an ApplicationHost. Neither
// side's headers (httpd.h, node.h) are visible to the other: this file and exchange.h are all they share.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "exchange/exchange.h"

namespace nwsgi::exchange {

// What the host may ask of the server process. All members are called from any thread of the host.
struct ServerServices {
  // Writes to the error log of `site` (an opaque pointer that came with the group's first request; may be null).
  void (*log)(void* site, uint8_t level, const char* text);
};

struct HostOptions {
  uint32_t abi = 0;                       // kHostAbi of the module
  std::string gateway_directory;          // folder of the compiled gateway (bootstrap.cjs)
  std::vector<std::string> node_options;  // WSGINodeOptions, in order
  std::string server_software;            // for nwsgi.server in messages
  std::string python_json;                // BridgeConfig.python of src/native.ts; '' for none
  std::chrono::milliseconds drain_time{15000};  // how long a replaced environment may finish its requests
};

// Which environment a request belongs to.
struct GroupRef {
  std::string_view application_group;  // expanded name; the key
  void* site = nullptr;                // for log lines of the environment
};

struct Preload {
  std::string application_group;
  std::string script;
  std::string callable;
  std::string type = "auto";  // or wsgi, node, fetch
  std::string env;            // as nwsgi.x-env of a record
  bool reloading = true;
  void* site = nullptr;
};

class ApplicationHost {
 public:
  virtual ~ApplicationHost() = default;
  // Queues the exchange for the group's environment, which is started when there is none. Never blocks. When the
  // request cannot be taken (queue full, host stopping) the exchange is failed at once: the waiting server sees it as
  // a Failure like any other.
  virtual void submit(const GroupRef& group, Ref<Exchange> exchange) = 0;
  // Starts the group's environment and loads the script without waiting for a request.
  virtual void preload(const Preload& preload) = 0;
  // A request of this group was given up after the site's request time-out. If the environment's loop does not take
  // note of it within a second, its JavaScript is interrupted and the environment replaced.
  virtual void report_timeout(const GroupRef& group) = 0;
  // The process was told to stop. `graceful`: requests in flight still finish; else they are failed with 503 now.
  virtual void begin_stop(bool graceful) = 0;
  // Ends all environments within `limit`; afterwards no thread of the host runs application code. Called once, by the
  // main thread of the child. Returns false when an environment did not end in time (the process must then leave
  // without running destructors).
  virtual bool shutdown(std::chrono::milliseconds limit) = 0;
  // The version of the embedded Node ("v18.20.4").
  virtual const char* runtime_version() const = 0;
};

// What the module and the runtime have to agree on: the version of this interface, and the layout of the objects that
// both touch, so that files of two builds are refused instead of misreading each other.
constexpr uint32_t kHostInterface = 7;
constexpr uint32_t kHostAbi = kHostInterface << 24 | (sizeof(Exchange) + 3 * sizeof(Work) + 5 * sizeof(OutputItem) +
                                                     7 * sizeof(HostOptions) + 11 * sizeof(Failure));

// Exported by nwsgi_runtime.so under the name kHostEntryPoint. Starts Node's process-wide part; returns null and
// fills *error (with code and remedy) when that is impossible. May be called once in a process.
using HostEntry = ApplicationHost* (*)(const HostOptions* options, const ServerServices* services, Failure* error);
constexpr const char* kHostEntryPoint = "nwsgi_runtime_start";

}  // namespace nwsgi::exchange
