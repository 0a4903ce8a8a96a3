// What an environment's bridge needs from the host that created the environment.
//
// Node-API gives a linked binding no argument, so the host leaves the context in a thread-local variable of the
// environment's own thread before any JavaScript runs. Worker threads of the application see none and are refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "exchange/mailbox.h"

namespace nwsgi::exchange {

// A script that the gateway loads, with what another environment needs to load it in the same way.
struct LoadedScript {
  std::string path;
  std::string callable;
  std::string type;  // auto, wsgi, node or fetch
  std::string env;   // as nwsgi.x-env of a record
};

// Reports of the gateway to its host; all called on the environment's thread.
class EnvironmentEvents {
 public:
  virtual void on_ready(std::string failure) = 0;
  virtual void on_load_failed(std::string script) = 0;
  virtual void on_watch(const LoadedScript& script) = 0;
  virtual void on_stopped() = 0;
  virtual void log(uint8_t level, const std::string& text) = 0;

 protected:
  ~EnvironmentEvents() = default;
};

// Outlives the environment.
struct BridgeContext {
  Ref<Mailbox> mailbox;
  EnvironmentEvents* events = nullptr;
  std::string config_json;
};

BridgeContext* current_bridge_context();
void set_current_bridge_context(BridgeContext* context);

}  // namespace nwsgi::exchange
