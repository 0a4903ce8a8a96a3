// What the gateway of an environment is told when it starts: BridgeConfig in src/native.ts.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "exchange/application_host.h"
#include "runtime/file_stamp.h"
#include "runtime/platform.h"

namespace nwsgi::runtime {

// What all groups of a process share.
struct GroupSettings {
  const Platform* platform = nullptr;
  const exchange::ServerServices* services = nullptr;
  std::string gateway_directory;
  std::string server_software;
  std::string exec_path;
  std::string python_json;  // '' for none
  std::chrono::milliseconds drain_time{15000};
};

// A script that each environment of a group loads when it starts.
struct Script {
  std::string callable;
  std::string type;
  std::string env;
  bool reloading = true;
  FileStamp stamp;  // of what is loaded
  FileStamp seen;   // the last other one
};

using Scripts = std::map<std::string, Script>;  // by path

// JSON text.
std::string gateway_config(const GroupSettings& settings, const std::string& group, const Scripts& scripts);

}  // namespace nwsgi::runtime
