// What a supervisor is told: SupervisorConfig of src/supervisor/config.ts, as JSON.
#pragma once

#include <httpd.h>

#include <string>

#include "module/daemon_config.h"
#include "module/daemon_launch.h"

namespace nwsgi::httpd_side {

// Descriptors of a supervisor, in the order in which launch() places them.
enum SupervisorDescriptor {
  kConfigDescriptor = 3,
  kHelloDescriptor,
  kScoreboardDescriptor,
  kLifelineDescriptor,
  kControlDescriptor
};

// Files of nwsgi that a supervisor and its workers need, as the group sees them.
struct DaemonFiles {
  std::string gateway_directory;  // dist
  std::string main_script;        // dist/supervisor/main.js
  std::string bridge;             // nwsgi_bridge.node
  std::string node;
};

std::string supervisor_config(server_rec* main_server, const DaemonGroup& group, const Identity& identity,
                              const DaemonFiles& files);

}  // namespace nwsgi::httpd_side
