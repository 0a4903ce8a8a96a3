#include "module/python_directives.h"

#include <apr_strings.h>
#include <http_core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "module/config.h"
#include "module/daemon_config.h"
#include "module/log.h"
#include "module/mount_directives.h"
#include "module/python_settings.h"
#include "module/python_values.h"
#include "module/runtime_loader.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

// A process has one Python, so these directives are the whole server's.
const char* only_global(cmd_parms* cmd) { return ap_check_cmd_context(cmd, GLOBAL_ONLY); }

PythonSettings& settings_of(const cmd_parms* cmd) { return *server_config(cmd->server)->python; }

const char* wrong_value(const cmd_parms* cmd, const char* value, const char* wrong) {
  return config_error(cmd, Code::kBadPythonValue, "\"%s\": %s", value, wrong);
}

void check_home(server_rec* server, const char* name, const char* home, const char* addons) {
  if (home == nullptr) return;
  const std::string version = python_version_of(home);
  if (version.empty()) return;
  const std::string addon = std::string(addons) + "/nwsgi_python_" + version + ".node";
  if (::access(addon.c_str(), F_OK) == 0) return;
  log_server(server, APLOG_WARNING, 0, Code::kPythonNotBuilt,
             "%s \"%s\" is of Python %s, which nwsgi was not built for (there is no \"%s\"): its applications will get 500. "
             "Install the headers (Debian: libpython%s-dev) and build nwsgi again, or make the virtual environment with another Python",
             name, home, version.c_str(), addon.c_str(), version.c_str());
}

void check_path(apr_pool_t* pool, server_rec* server, const char* name, const apr_array_header_t* path) {
  const char* missing = missing_folders(pool, path);
  if (missing == nullptr) return;
  log_server(server, APLOG_WARNING, 0, Code::kPythonPathMissing,
             "%s: not there: %s; modules below it will not be found until the applications are loaded anew", name, missing);
}

}  // namespace

const char* set_python_home(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  const char* path = value[0] != '\0' ? ap_server_root_relative(cmd->pool, value) : nullptr;
  const char* wrong = path != nullptr ? check_python_home(cmd->pool, path) : "a path is needed";
  if (wrong != nullptr) return config_error(cmd, Code::kBadPythonHome, "\"%s\": %s", value, wrong);
  settings_of(cmd).home = path;
  return nullptr;
}

const char* set_python_path(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  apr_array_header_t* folders = apr_array_make(cmd->pool, 4, sizeof(const char*));
  if (const char* wrong = read_python_path(cmd->pool, value, folders)) return wrong_value(cmd, value, wrong);
  settings_of(cmd).path = folders;
  return nullptr;
}

const char* set_python_eggs(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  const char* path = value[0] != '\0' ? ap_server_root_relative(cmd->pool, value) : nullptr;
  struct stat info {};
  if (path == nullptr || ::stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
    return wrong_value(cmd, value, "there is no such folder; write one that the server's User may write to");
  }
  settings_of(cmd).eggs = path;
  return nullptr;
}

const char* set_python_optimize(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  if (parse_number(value, 0, 2, &settings_of(cmd).optimize)) return nullptr;
  return wrong_value(cmd, value, "write 0, 1 (no assert statements) or 2 (no documentation strings either)");
}

const char* add_python_warning(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  if (const char* wrong = check_python_warning(cmd->pool, value)) return config_error(cmd, Code::kBadPythonValue, "%s", wrong);
  PythonSettings& settings = settings_of(cmd);
  auto* warnings = settings.warnings != nullptr ? apr_array_copy(cmd->pool, settings.warnings)
                                                : apr_array_make(cmd->pool, 4, sizeof(const char*));
  *static_cast<const char**>(apr_array_push(warnings)) = value;
  settings.warnings = warnings;
  return nullptr;
}

const char* set_python_hash_seed(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  const char* wrong = read_hash_seed(value, &settings_of(cmd).hash_seed);
  return wrong != nullptr ? wrong_value(cmd, value, wrong) : nullptr;
}

const char* set_switch_interval(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = only_global(cmd)) return error;
  const char* wrong = read_switch_interval(value, &settings_of(cmd).switch_interval);
  return wrong != nullptr ? wrong_value(cmd, value, wrong) : nullptr;
}

const char* set_python_flag(cmd_parms* cmd, void*, int on) {
  if (const char* error = only_global(cmd)) return error;
  const auto offset = reinterpret_cast<std::size_t>(cmd->info);
  *reinterpret_cast<Flag*>(reinterpret_cast<char*>(&settings_of(cmd)) + offset) = on ? Flag::kOn : Flag::kOff;
  return nullptr;
}

int warn_of_python_settings(apr_pool_t*, apr_pool_t*, apr_pool_t* pool, server_rec* server) noexcept try {
  if (!warnings_wanted()) return OK;
  const std::string folder = folder_of_addons(find_runtime_files());
  const char* const addons = folder.c_str();
  const PythonSettings& settings = *server_config(server)->python;
  check_home(server, "WSGIPythonHome", settings.home, addons);
  check_path(pool, server, "WSGIPythonPath", settings.path);
  const apr_array_header_t* groups = daemon_groups();
  for (int i = 0; i < groups->nelts; ++i) {
    const auto& group = *APR_ARRAY_IDX(groups, i, const DaemonGroup*);
    if (group.options.chroot != nullptr) continue;
    const char* of_group = apr_psprintf(pool, "of process group \"%s\" (%s)", group.name, group.where);
    check_home(server, apr_pstrcat(pool, "python-home= ", of_group, nullptr), group.options.python_home, addons);
    check_path(pool, server, apr_pstrcat(pool, "python-path= ", of_group, nullptr), group.options.python_path);
  }
  return OK;
} catch (...) {
  return HTTP_INTERNAL_SERVER_ERROR;
}

}  // namespace nwsgi::httpd_side
