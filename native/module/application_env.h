// Variables of process.env that the configuration gives an application: WSGIApplicationEnv, and mod_env's SetEnv and
// PassEnv.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <string>
#include <string_view>

namespace nwsgi::httpd_side {

// Setter of WSGIApplicationEnv; `arguments` is the rest of the line.
const char* add_application_env(cmd_parms* cmd, void* dir_config, const char* arguments);

// Letters, digits and underscores, the first one no digit.
bool is_variable_name(std::string_view name);

// Looks up mod_env's module record. In the parent, once the modules are loaded.
void find_environment_module();

// "NAME=value" joined by NULs, WSGIApplicationEnv last so that it wins; empty when nothing is configured.
std::string application_env(const ap_conf_vector_t* per_dir_config);

}  // namespace nwsgi::httpd_side
