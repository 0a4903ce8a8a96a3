// What a child of httpd keeps for each process group of its configuration.
#pragma once

#include <httpd.h>

#include "exchange/scoreboard.h"
#include "exchange/work.h"
#include "module/daemon_config.h"
#include "module/daemon_connections.h"
#include "module/daemon_queue.h"

namespace nwsgi::httpd_side {

struct GroupInChild {
  exchange::Scoreboard scoreboard;
  DaemonConnections connections;
  DaemonQueues queues{scoreboard};
};

// Once in each child, before its first request.
void start_daemon_child(apr_pool_t* child_pool);

// Any thread. Null when the group cannot be used; *failure says why.
GroupInChild* group_in_child(const DaemonGroup& group, exchange::Failure* failure);

}  // namespace nwsgi::httpd_side
