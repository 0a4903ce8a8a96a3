#include "module/daemon_child.h"

#include <http_protocol.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "module/daemon_dispatch.h"
#include "module/error_codes.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::Failure;

std::vector<std::unique_ptr<GroupInChild>>* groups = nullptr;  // of this child; written before its first request

apr_status_t let_go_at_exit(void*) noexcept {
  DaemonCarrier::let_go_of_this_thread();
  for (const std::unique_ptr<GroupInChild>& group : *groups) {
    if (group) group->queues.stop();
  }
  return APR_SUCCESS;
}

}  // namespace

void start_daemon_child(apr_pool_t* child_pool) {
  const apr_array_header_t* configured = daemon_groups();
  // Never freed: threads that outlive the pool may still hold connections.
  groups = new std::vector<std::unique_ptr<GroupInChild>>;
  for (int i = 0; i < configured->nelts; ++i) {
    const DaemonGroup* group = APR_ARRAY_IDX(configured, i, const DaemonGroup*);
    auto made = std::make_unique<GroupInChild>();
    if (!made->scoreboard.attach(group->scoreboard, group->scoreboard_size) ||
        made->scoreboard.pools() > exchange::Scoreboard::kPoolSlots) {
      made.reset();
    }
    groups->push_back(std::move(made));
  }
  apr_pool_pre_cleanup_register(child_pool, nullptr, let_go_at_exit);
}

GroupInChild* group_in_child(const DaemonGroup& group, Failure* failure) {
  GroupInChild* const found = groups != nullptr && group.index < groups->size() ? (*groups)[group.index].get() : nullptr;
  if (found != nullptr) return found;
  if (group.scoreboard == nullptr) {
    failure->status = HTTP_SERVICE_UNAVAILABLE;
    failure->code = code_name(Code::kSupervisorUnreachable);
    failure->message = std::string("process group \"") + group.name +
                       "\" could not be set up at the last restart; look in the error log for why, and restart httpd";
    return nullptr;
  }
  failure->status = HTTP_INTERNAL_SERVER_ERROR;
  failure->code = code_name(Code::kScoreboardUnusable);
  failure->message = std::string("the shared memory of process group \"") + group.name +
                     "\" is not there or of another version of nwsgi; stop the server and start it again (a graceful "
                     "restart keeps the old one)";
  return nullptr;
}

}  // namespace nwsgi::httpd_side
