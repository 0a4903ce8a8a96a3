// Setters of the directives of daemon mode.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

const char* set_daemon_process(cmd_parms* cmd, void* unused, const char* arguments);
const char* set_socket_prefix(cmd_parms* cmd, void* unused, const char* value);
const char* set_socket_rotation(cmd_parms* cmd, void* unused, int on);
const char* set_accept_mutex(cmd_parms* cmd, void* unused, const char* value);
const char* add_restrict_process(cmd_parms* cmd, void* dir_config, const char* name);
const char* set_restrict_embedded(cmd_parms* cmd, void* unused, int on);

// Null when the value can name a process group, else the complete error. Whether a group of that name is declared is
// checked when all of the configuration has been read.
const char* check_process_group(const cmd_parms* cmd, const char* value);

}  // namespace nwsgi::httpd_side
