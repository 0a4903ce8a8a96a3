// Whether a process group can run: its files, its user and its Node.
#pragma once

#include <string>

#include "module/daemon_launch.h"
#include "module/supervisor_config.h"

namespace nwsgi::httpd_side {

// Finds dist/supervisor/main.js, nwsgi_bridge.node and node. False and *problem when one is not there.
bool find_daemon_files(const DaemonGroup& group, const Identity& identity, DaemonFiles* files, Problem* problem);

// Runs `node --version` as the group's user, who also has to be able to read the files: all that could keep a
// supervisor from starting shows. False and *problem when it does not work (problem->text is empty when the line is in
// the log already) or Node is older than 18. Takes as long as Node does to start, at most kLongestCheck.
bool check_node(const Identity& identity, const DaemonFiles& files, Problem* problem);

}  // namespace nwsgi::httpd_side
