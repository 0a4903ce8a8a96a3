#include "runtime/node_version.h"

#include <node_version.h>

namespace nwsgi::runtime {

const char* linked_node_version() { return NODE_VERSION; }

}  // namespace nwsgi::runtime
