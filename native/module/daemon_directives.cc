#include "module/daemon_directives.h"

#include <apr_strings.h>

#include <cctype>
#include <cstring>

#include "module/config.h"
#include "module/daemon_options.h"
#include "module/daemon_registry.h"
#include "module/expansion.h"
#include "module/foreign_directives.h"
#include "module/log.h"
#include "module/mount_directives.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

constexpr size_t kLongestName = 100;

const char* check_group_name(const cmd_parms* cmd, const char* name) {
  bool usable = name[0] != '\0' && name[0] != '%' && std::strlen(name) <= kLongestName;
  for (const char* at = name; *at != '\0'; ++at) usable = usable && !std::iscntrl(static_cast<unsigned char>(*at));
  if (usable && std::strchr(name, '=') == nullptr) return nullptr;
  return config_error(cmd, Code::kBadGroupName,
                      "\"%s\" cannot be the name of a process group: write the name first, then the options; it has at "
                      "most %d characters and no '=', and does not begin with '%%'", name,
                      static_cast<int>(kLongestName));
}

// Virtual hosts are often copied (one for http, one for https), with the group in them.
const char* redeclare(const cmd_parms* cmd, DaemonGroup* group, const DaemonOptions& options, const char* where) {
  const char* different = first_difference(group->options, options);
  if (different == nullptr) return nullptr;
  return config_error(cmd, Code::kGroupRedeclared,
                      "process group \"%s\" in %s is declared already in %s, with another %s=; make both lines the "
                      "same, or give one of the groups another name", group->name, where, group->where, different);
}

}  // namespace

const char* set_daemon_process(cmd_parms* cmd, void*, const char* arguments) {
  const char* name = next_word(cmd->pool, &arguments);
  if (name == nullptr) {
    return config_error(cmd, Code::kBadGroupName, "a name is needed; write it first, then the options");
  }
  if (const char* error = check_group_name(cmd, name)) return error;
  DaemonOptions options;
  if (const char* error = read_daemon_options(cmd, name, arguments, &options)) return error;

  DaemonRegistry& registry = daemon_registry();
  const char* where = place_of(cmd);
  auto* group = static_cast<DaemonGroup*>(apr_hash_get(registry.by_name, name, APR_HASH_KEY_STRING));
  if (group != nullptr) {
    if (const char* error = redeclare(cmd, group, options, where)) return error;
  } else {
    group = static_cast<DaemonGroup*>(apr_pcalloc(cmd->pool, sizeof(DaemonGroup)));
    group->name = name;
    group->index = static_cast<unsigned>(registry.groups->nelts);
    group->options = options;
    group->where = where;
    group->servers = apr_array_make(cmd->pool, 2, sizeof(server_rec*));
    *static_cast<DaemonGroup**>(apr_array_push(registry.groups)) = group;
    apr_hash_set(registry.by_name, name, APR_HASH_KEY_STRING, group);
  }
  if (!cmd->server->is_virtual) group->everywhere = true;
  apr_array_header_t* servers = apr_array_copy(cmd->pool, group->servers);
  *static_cast<const server_rec**>(apr_array_push(servers)) = cmd->server;
  group->servers = servers;
  return nullptr;
}

const char* set_socket_prefix(cmd_parms* cmd, void*, const char* value) {
  if (const char* error = ap_check_cmd_context(cmd, GLOBAL_ONLY)) return error;
  const char* path = value[0] != '\0' ? ap_server_root_relative(cmd->pool, value) : nullptr;
  if (path == nullptr) {
    return config_error(cmd, Code::kBadSocketPrefix,
                        "\"%s\" is no path that can be used; write an absolute path, or one below ServerRoot", value);
  }
  daemon_registry().socket_prefix = path;
  return nullptr;
}

const char* set_socket_rotation(cmd_parms* cmd, void*, int) {
  if (const char* error = ap_check_cmd_context(cmd, GLOBAL_ONLY)) return error;
  note_ignored(cmd, cmd->cmd->name, "a process group keeps its socket as long as its definition stays the same, so that no request "
                    "is lost in a restart");
  return nullptr;
}

const char* set_accept_mutex(cmd_parms* cmd, void*, const char*) {
  if (const char* error = ap_check_cmd_context(cmd, GLOBAL_ONLY)) return error;
  note_ignored(cmd, cmd->cmd->name, "workers do not compete for connections, so there is nothing to lock");
  return nullptr;
}

const char* add_restrict_process(cmd_parms* cmd, void* dir_config, const char* name) {
  if (const char* wrong = check_name(cmd->pool, name, NameKind::kProcessGroup); wrong != nullptr || !is_literal(name)) {
    return config_error(cmd, Code::kBadExpansion,
                        "\"%s\" is no plain name of a process group; write the names one after the other, %%{GLOBAL} for the "
                        "server's own processes", name);
  }
  auto* config = static_cast<DirConfig*>(dir_config);
  auto* names = config->restrict_process != nullptr ? apr_array_copy(cmd->pool, config->restrict_process)
                                                    : apr_array_make(cmd->pool, 4, sizeof(const char*));
  *static_cast<const char**>(apr_array_push(names)) = literal_value(name);
  config->restrict_process = names;
  return nullptr;
}

const char* set_restrict_embedded(cmd_parms* cmd, void*, int on) {
  if (const char* error = ap_check_cmd_context(cmd, GLOBAL_ONLY)) return error;
  daemon_registry().restrict_embedded = on != 0;
  return nullptr;
}

const char* check_process_group(const cmd_parms* cmd, const char* value) {
  if (const char* wrong = check_name(cmd->pool, value, NameKind::kProcessGroup)) {
    return config_error(cmd, Code::kBadExpansion, "process group: %s", wrong);
  }
  if (!is_literal(value) || literal_value(value)[0] == '\0') return nullptr;
  auto* reference = static_cast<GroupReference*>(apr_array_push(daemon_registry().references));
  *reference = {literal_value(value), cmd->server, cmd->cmd->name, place_of(cmd)};
  return nullptr;
}

}  // namespace nwsgi::httpd_side
