// Setters of the directives that say how Python runs (WSGIPython…, WSGIRestrict…).
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

const char* set_python_home(cmd_parms* cmd, void* unused, const char* value);
const char* set_python_path(cmd_parms* cmd, void* unused, const char* value);
const char* set_python_eggs(cmd_parms* cmd, void* unused, const char* value);
const char* set_python_optimize(cmd_parms* cmd, void* unused, const char* value);
const char* add_python_warning(cmd_parms* cmd, void* unused, const char* value);
const char* set_python_hash_seed(cmd_parms* cmd, void* unused, const char* value);
const char* set_switch_interval(cmd_parms* cmd, void* unused, const char* value);
// On/Off; cmd->info is the offset of the flag in PythonSettings.
const char* set_python_flag(cmd_parms* cmd, void* unused, int on);

// Hook (check_config). Warns of what can only be judged when all of the configuration is known: Pythons that nwsgi was not
// built for, folders that are not there (yet).
int warn_of_python_settings(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* server) noexcept;

}  // namespace nwsgi::httpd_side
