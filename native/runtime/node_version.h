#pragma once

namespace nwsgi::runtime {

// The version of Node that this object was built for, e.g. "v18.20.4"; the ABI check at build time ties it to the
// library that is loaded.
const char* linked_node_version();

}  // namespace nwsgi::runtime
