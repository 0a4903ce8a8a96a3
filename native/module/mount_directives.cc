#include "module/mount_directives.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <http_core.h>

#include <cctype>
#include <cstring>
#include <string_view>

#include "module/config.h"
#include "module/daemon_directives.h"
#include "module/expansion.h"
#include "module/log.h"
#include "module/mounts.h"
#include "module/python_settings.h"

namespace nwsgi::httpd_side {
namespace {

const char* read_option(cmd_parms* cmd, const char* argument, MountOptions* options, bool for_import) {
  const char* separator = std::strchr(argument, '=');
  if (separator == nullptr) {
    return config_error(cmd, Code::kBadOption,
                        "\"%s\" is no option: options are written name=value, a path with blanks needs quotes",
                        argument);
  }
  const std::string_view name(argument, static_cast<size_t>(separator - argument));
  const char* value = separator + 1;
  const char** slot = nullptr;
  if (name == "process-group") slot = &options->process_group;
  else if (name == "application-group") slot = &options->application_group;
  else if (name == "callable-object") slot = &options->callable;
  else if (name == "application-type") slot = &options->type;
  if (slot != nullptr) {
    if (*slot != nullptr) return config_error(cmd, Code::kBadOption, "%s is given twice", argument);
    *slot = value;
    if (slot == &options->process_group) return check_process_group(cmd, value);
    if (slot == &options->application_group) return check_application_group(cmd, value);
    if (slot == &options->type) return read_application_type(cmd, value, slot);
    return check_callable(cmd, value);
  }
  if (name == "pass-authorization" && !for_import) {
    if (options->pass_authorization != Flag::kUnset) {
      return config_error(cmd, Code::kBadOption, "%s is given twice", argument);
    }
    if (strcasecmp(value, "On") != 0 && strcasecmp(value, "Off") != 0) {
      return config_error(cmd, Code::kBadValue, "pass-authorization is On or Off, not \"%s\"", value);
    }
    options->pass_authorization = strcasecmp(value, "On") == 0 ? Flag::kOn : Flag::kOff;
    return nullptr;
  }
  return config_error(cmd, Code::kUnknownOption, "\"%s\" is unknown: the options are process-group=, "
                      "application-group=, callable-object=, application-type=%s", argument,
                      for_import ? "" : " and pass-authorization=");
}

const char* read_options(cmd_parms* cmd, int count, char* const arguments[], MountOptions* options, bool for_import) {
  *options = MountOptions{nullptr, nullptr, nullptr, nullptr, Flag::kUnset};
  for (int i = 0; i < count; ++i) {
    if (const char* error = read_option(cmd, arguments[i], options, for_import)) return error;
  }
  return nullptr;
}

// A script of Python cannot be an application of Node.
const char* check_type_of(cmd_parms* cmd, const char* script, const MountOptions& options) {
  if (options.type == nullptr || !is_python_script(script)) return nullptr;
  if (std::strcmp(options.type, "auto") == 0 || std::strcmp(options.type, "wsgi") == 0) return nullptr;
  return config_error(cmd, Code::kBadValue,
                      "application-type=%s is a kind of JavaScript application, but \"%s\" is a script of Python; write wsgi, or take the "
                      "option out", options.type, script);
}

// Resolves a path against ServerRoot, as httpd does with its own directives.
const char* resolve_path(cmd_parms* cmd, const char* path, const char** resolved) {
  if (path[0] != '\0') *resolved = ap_server_root_relative(cmd->pool, path);
  if (path[0] == '\0' || *resolved == nullptr) {
    return config_error(cmd, Code::kBadPath,
                        "\"%s\" is no path that can be used; write an absolute path, or one below ServerRoot", path);
  }
  return nullptr;
}

// Deployments may put the script in place after the server has started, so its absence is no error.
void warn_if_missing(cmd_parms* cmd, const char* path, apr_finfo_t* info) {
  const apr_status_t status = apr_stat(info, path, APR_FINFO_TYPE, cmd->temp_pool);
  if (status == APR_SUCCESS || status == APR_INCOMPLETE) return;
  info->filetype = APR_NOFILE;
  if (!warnings_wanted()) return;
  log_server(cmd->server, APLOG_WARNING, status, Code::kScriptNotThereYet,
             "%s in %s: \"%s\" is not there; requests get 404 until it is", cmd->cmd->name, place_of(cmd), path);
}

void add_preload(ServerConfig* config, const char* script, const MountOptions& options, bool imported) {
  auto* entry = static_cast<PreloadEntry*>(apr_array_push(config->preloads));
  entry->script = script;
  entry->callable = options.callable == nullptr && imported && is_python_script(script) ? "" : options.callable;
  entry->type = options.type;
  entry->process_group = literal_value(options.process_group);
  entry->application_group = literal_value(options.application_group);
}

bool both_groups_literal(const MountOptions& options) {
  return options.process_group != nullptr && is_literal(options.process_group) &&
         options.application_group != nullptr && is_literal(options.application_group);
}

Mount* new_mount(cmd_parms* cmd, const char* url, const MountOptions& options) {
  auto* mount = static_cast<Mount*>(apr_pcalloc(cmd->pool, sizeof(Mount)));
  mount->url = url;
  mount->options = options;
  mount->where = place_of(cmd);
  return mount;
}

void read_prefix(apr_pool_t* pool, const char* url, Mount* mount) {
  char* prefix = apr_pstrdup(pool, url);
  ap_no2slash(prefix);
  apr_size_t length = std::strlen(prefix);
  mount->below_only = length > 1 && prefix[length - 1] == '/';
  if (length > 0 && prefix[length - 1] == '/') prefix[--length] = '\0';
  mount->prefix = prefix;
  mount->prefix_length = length;
}

// "$3" needs a third group. "\$" is a literal dollar sign, as in ap_pregsub().
const char* check_back_references(cmd_parms* cmd, const ap_regex_t* pattern, const char* target) {
  for (const char* at = target; *at != '\0'; ++at) {
    if (at[0] == '\\' && (at[1] == '$' || at[1] == '&')) {
      ++at;
      continue;
    }
    if (at[0] != '$' || !std::isdigit(static_cast<unsigned char>(at[1]))) continue;
    const int group = at[1] - '0';
    if (group > static_cast<int>(pattern->re_nsub)) {
      return config_error(cmd, Code::kBadBackReference,
                          "the path uses $%d, but the pattern has %d group(s); count the parentheses, or put a "
                          "backslash before a dollar sign that is meant as such",
                          group, static_cast<int>(pattern->re_nsub));
    }
  }
  return nullptr;
}

}  // namespace

bool warnings_wanted() {
  return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST ||
         ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG;
}

const char* place_of(const cmd_parms* cmd) {
  return apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
}

const char* check_application_group(const cmd_parms* cmd, const char* value) {
  const char* wrong = check_name(cmd->pool, value, NameKind::kApplicationGroup);
  return wrong != nullptr ? config_error(cmd, Code::kBadExpansion, "application group: %s", wrong) : nullptr;
}

const char* check_callable(const cmd_parms* cmd, const char* value) {
  const char* wrong = check_name(cmd->pool, value, NameKind::kCallable);
  return wrong != nullptr ? config_error(cmd, Code::kBadCallable, "%s", wrong) : nullptr;
}

const char* read_application_type(const cmd_parms* cmd, const char* value, const char** type) {
  for (const char* known : kApplicationTypes) {
    if (strcasecmp(value, known) != 0) continue;
    *type = known;
    return nullptr;
  }
  return config_error(cmd, Code::kBadValue, "an application's type is wsgi, node, fetch or auto, not \"%s\"", value);
}

const char* set_script_alias(cmd_parms* cmd, void*, int count, char* const arguments[]) {
  if (count < 2) return config_error(cmd, Code::kBadOption, "a URL and a path are needed; write the URL first, then the script's path");
  const char* url = arguments[0];
  if (url[0] != '/') {
    return config_error(cmd, Code::kBadUrl, "the URL \"%s\" has to start with '/'", url);
  }
  MountOptions options;
  if (const char* error = read_options(cmd, count - 2, arguments + 2, &options, false)) return error;
  const char* target = nullptr;
  if (const char* error = resolve_path(cmd, arguments[1], &target)) return error;
  if (const char* error = check_type_of(cmd, target, options)) return error;

  Mount* mount = new_mount(cmd, url, options);
  read_prefix(cmd->pool, url, mount);
  apr_finfo_t info;
  warn_if_missing(cmd, target, &info);
  const apr_size_t target_length = std::strlen(target);
  mount->directory = info.filetype == APR_DIR || (target_length > 1 && target[target_length - 1] == '/');
  mount->target = target;
  if (mount->directory && target[target_length - 1] == '/') {
    mount->target = apr_pstrmemdup(cmd->pool, target, target_length - 1);
  }
  ServerConfig* config = server_config(cmd->server);
  const Mount* hiding = add_mount(cmd->pool, config->mounts, mount);
  if (hiding != nullptr && warnings_wanted()) {
    log_server(cmd->server, APLOG_WARNING, 0, Code::kDuplicateMount,
               "%s \"%s\" in %s can never match: \"%s\" in %s comes first; remove one of them", cmd->cmd->name, url,
               mount->where, hiding->url, hiding->where);
  }
  if (!mount->directory && both_groups_literal(options)) add_preload(config, mount->target, options, false);
  return nullptr;
}

const char* set_script_alias_match(cmd_parms* cmd, void*, int count, char* const arguments[]) {
  if (count < 2) return config_error(cmd, Code::kBadOption, "a regular expression and a path are needed; write the path of the script");
  MountOptions options;
  if (const char* error = read_options(cmd, count - 2, arguments + 2, &options, false)) return error;
  Mount* mount = new_mount(cmd, arguments[0], options);
  mount->pattern = ap_pregcomp(cmd->pool, arguments[0], AP_REG_EXTENDED);
  if (mount->pattern == nullptr) {
    return config_error(cmd, Code::kBadPattern,
                        "the regular expression \"%s\" does not compile; check brackets, and backslashes inside quotes",
                        arguments[0]);
  }
  if (const char* error = check_back_references(cmd, mount->pattern, arguments[1])) return error;
  if (const char* error = resolve_path(cmd, arguments[1], &mount->target)) return error;
  if (const char* error = check_type_of(cmd, mount->target, options)) return error;
  if (std::strchr(arguments[1], '$') == nullptr) {
    apr_finfo_t info;
    warn_if_missing(cmd, mount->target, &info);
    if (info.filetype == APR_REG && both_groups_literal(options)) {
      add_preload(server_config(cmd->server), mount->target, options, false);
    }
  }
  add_mount(cmd->pool, server_config(cmd->server)->mounts, mount);
  return nullptr;
}

const char* set_import_script(cmd_parms* cmd, void*, int count, char* const arguments[]) {
  if (count < 1) return config_error(cmd, Code::kBadOption, "the path of a script is needed; write it first, then the options");
  MountOptions options;
  if (const char* error = read_options(cmd, count - 1, arguments + 1, &options, true)) return error;
  if (!both_groups_literal(options)) {
    return config_error(cmd, Code::kBadPreload,
                        "process-group= and application-group= are both needed, each as a plain name or %%{GLOBAL}: "
                        "at the start of a process there is no request to expand anything else from");
  }
  const char* script = nullptr;
  if (const char* error = resolve_path(cmd, arguments[0], &script)) return error;
  if (const char* error = check_type_of(cmd, script, options)) return error;
  apr_finfo_t info;
  warn_if_missing(cmd, script, &info);
  add_preload(server_config(cmd->server), script, options, true);
  return nullptr;
}

}  // namespace nwsgi::httpd_side
