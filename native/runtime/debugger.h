// The debugger (Chrome DevTools, VS Code) of one environment: node's --inspect, for each environment on a port of its own.
//
// Node's own option would have all environments of all children ask for one port. So the option is taken out of node's
// arguments, and each environment opens its inspector as an application could, through node:inspector. All members are
// called on the environment's thread, in its context.
#pragma once

#include <v8.h>

#include <string>

#include "runtime/debugger_address.h"

namespace nwsgi::runtime {

class Debugger {
 public:
  // Source that opens the inspector and returns what accept() takes. Runs in the environment's main script.
  static std::string open_source(const DebuggerAddress& address);
  // Returns the address for debuggers; empty when there is none, *problem may then say why.
  std::string accept(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Value> opened, std::string* problem);
  // Sends debuggers away: Node would wait for them to leave before it ends the environment. Works once.
  void close(v8::Isolate* isolate);

 private:
  v8::Global<v8::Function> close_;
};

}  // namespace nwsgi::runtime
