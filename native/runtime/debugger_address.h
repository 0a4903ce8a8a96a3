// Where debuggers may attach: node's --inspect, as far as the embedded Node does not see to it itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace nwsgi::runtime {

// What --inspect asks for.
struct DebuggerAddress {
  std::string host = "127.0.0.1";
  std::string port = "9229";  // node's; where it is used, a free one is taken
};

// Takes --inspect[=[host:]port] out of node's arguments. Of several the last counts.
std::optional<DebuggerAddress> take_debugger_address(std::vector<std::string>* args);

}  // namespace nwsgi::runtime
