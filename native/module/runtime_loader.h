// Finds and loads the parts of nwsgi that lie beside the module's own file.
#pragma once

#include <string>
#include <vector>

#include "exchange/application_host.h"

namespace nwsgi::httpd_side {

struct RuntimeFiles {
  std::string runtime;            // path of nwsgi_runtime.so; empty: not found
  std::string bridge;             // path of nwsgi_bridge.node, for workers; empty: not found
  std::string gateway_directory;  // folder of bootstrap.cjs; empty: not found
  std::string module_directory;   // where the search began; empty: the module cannot tell
  std::vector<std::string> tried;  // the paths that were looked at, for the message
};

RuntimeFiles find_runtime_files();

// Folder of nwsgi_python_*.node: beside whichever of the other native files there is.
std::string folder_of_addons(const RuntimeFiles& files);

// Loads the runtime into this process and starts it; null and *failure when that is impossible. Once per process.
exchange::ApplicationHost* load_runtime(const RuntimeFiles& files, const exchange::HostOptions& options,
                                        const exchange::ServerServices* services, exchange::Failure* failure);

}  // namespace nwsgi::httpd_side
