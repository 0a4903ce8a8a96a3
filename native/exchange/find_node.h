// The node executable of this system.
#pragma once

#include <string>

namespace nwsgi::exchange {

// The first "node" in PATH, /usr/bin and /usr/local/bin that this process may execute; empty when there is none.
std::string find_node();

}  // namespace nwsgi::exchange
