// Process groups in Apache's parent: their supervisors are started, kept alive, reloaded and stopped.
#pragma once

#include <httpd.h>
#include <mpm_common.h>

namespace nwsgi::httpd_side {

// post_config of the real pass. At the start of httpd, a group that cannot run is an error, and httpd does not start;
// at a restart, where httpd would end, it is logged, and the group's requests are refused until it can be started.
int start_process_groups(apr_pool_t* pconf, server_rec* main_server);

// Hook: the first child of a new generation is there, so the groups that were kept load their code anew.
void note_child_status(server_rec* server, pid_t pid, ap_generation_t generation, int slot,
                       mpm_child_status status) noexcept;

// In a child: closes what belongs to the parent.
void leave_process_groups() noexcept;

}  // namespace nwsgi::httpd_side
