#include "module/daemon_config.h"

#include <apr_strings.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "module/config.h"
#include "module/daemon_registry.h"
#include "module/loading.h"
#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

DaemonRegistry* registry = nullptr;  // in the configuration's pool

bool same_name(const server_rec* a, const server_rec* b) {
  return a == b || (a->server_hostname != nullptr && b->server_hostname != nullptr &&
                    strcasecmp(a->server_hostname, b->server_hostname) == 0);
}

// Sections outside of virtual hosts serve all of them, so any group may be meant there.
bool is_reachable(const server_rec* server, const DaemonGroup& group, bool main_reaches_all) {
  if (group.everywhere || (main_reaches_all && !server->is_virtual)) return true;
  for (int i = 0; i < group.servers->nelts; ++i) {
    if (same_name(server, APR_ARRAY_IDX(group.servers, i, const server_rec*))) return true;
  }
  return false;
}

GroupResult find(const server_rec* server, const char* name, bool main_reaches_all) {
  const auto* group =
      static_cast<const DaemonGroup*>(apr_hash_get(daemon_registry().by_name, name, APR_HASH_KEY_STRING));
  if (group == nullptr) return {GroupSearch::kUnknown, nullptr};
  if (!is_reachable(server, *group, main_reaches_all)) return {GroupSearch::kNotReachable, nullptr};
  return {GroupSearch::kFound, group};
}

const char* wrong_owner(apr_pool_t* pool, const DaemonOptions& options, const char* what, const char* path) {
  struct stat info {};
  if (::stat(path, &info) != 0) return apr_psprintf(pool, "%s \"%s\": %s", what, path, std::strerror(errno));
  if (options.script_uid >= 0 && static_cast<int64_t>(info.st_uid) != options.script_uid) {
    return apr_psprintf(pool, "%s \"%s\" belongs to user #%u, not to the one of script-user=", what, path, info.st_uid);
  }
  if (options.script_gid >= 0 && static_cast<int64_t>(info.st_gid) != options.script_gid) {
    return apr_psprintf(pool, "%s \"%s\" belongs to group #%u, not to the one of script-group=", what, path,
                        info.st_gid);
  }
  const mode_t unwanted = options.script_uid >= 0 ? S_IWGRP | S_IWOTH : S_IWOTH;
  if ((info.st_mode & unwanted) != 0) {
    return apr_psprintf(pool, "%s \"%s\" can be written by others (mode %04o)", what, path, info.st_mode & 07777);
  }
  return nullptr;
}

}  // namespace

int begin_configuration(apr_pool_t* pool, apr_pool_t*, apr_pool_t*) noexcept {
  registry = static_cast<DaemonRegistry*>(apr_pcalloc(pool, sizeof(DaemonRegistry)));
  registry->groups = apr_array_make(pool, 4, sizeof(DaemonGroup*));
  registry->by_name = apr_hash_make(pool);
  registry->references = apr_array_make(pool, 4, sizeof(GroupReference));
  if (loaded_twice()) {
    log_server(nullptr, APLOG_CRIT, 0, Code::kLoadedTwice,
               "two LoadModule lines load mod_nwsgi.so, as nwsgi_module and as wsgi_module; take one of them out");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  return OK;
}

int check_group_references(apr_pool_t*, apr_pool_t*, apr_pool_t*, server_rec*) noexcept {
  for (int i = 0; i < registry->references->nelts; ++i) {
    const auto& reference = APR_ARRAY_IDX(registry->references, i, GroupReference);
    const GroupResult result = find(reference.server, reference.name, true);
    if (result.search == GroupSearch::kFound) continue;
    if (result.search == GroupSearch::kUnknown) {
      log_server(nullptr, APLOG_CRIT, 0, Code::kUnknownProcessGroup,
                 "%s in %s: there is no process group \"%s\"; declare it (WSGIDaemonProcess %s), or write %%{GLOBAL} "
                 "for the server's own processes", reference.directive, reference.where, reference.name,
                 reference.name);
    } else {
      const auto* group = static_cast<const DaemonGroup*>(
          apr_hash_get(registry->by_name, reference.name, APR_HASH_KEY_STRING));
      log_server(nullptr, APLOG_CRIT, 0, Code::kUnknownProcessGroup,
                 "%s in %s: the process group \"%s\" belongs to another virtual host (%s); declare it outside of "
                 "virtual hosts, or in this one too", reference.directive, reference.where, reference.name,
                 group->where);
    }
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  return OK;
}

DaemonRegistry& daemon_registry() { return *registry; }

const apr_array_header_t* daemon_groups() { return registry->groups; }

GroupResult find_daemon_group(const server_rec* server, const char* name) { return find(server, name, false); }

GroupResult find_daemon_group(const request_rec* r, const char* name) {
  if (!process_group_allowed(r, name)) return {GroupSearch::kRestricted, nullptr};
  return find_daemon_group(r->server, name);
}

bool process_group_allowed(const request_rec* r, const char* name) {
  const apr_array_header_t* allowed = dir_config(r)->restrict_process;
  if (allowed == nullptr) return true;
  for (int i = 0; i < allowed->nelts; ++i) {
    if (std::strcmp(APR_ARRAY_IDX(allowed, i, const char*), name) == 0) return true;
  }
  return false;
}

bool embedded_mode_allowed() { return !registry->restrict_embedded; }

const char* check_script_owner(apr_pool_t* pool, const DaemonGroup& group, const char* script) {
  if (group.options.script_uid < 0 && group.options.script_gid < 0) return nullptr;
  if (const char* wrong = wrong_owner(pool, group.options, "the script", script)) return wrong;
  return wrong_owner(pool, group.options, "the script's folder", ap_make_dirstr_parent(pool, script));
}

}  // namespace nwsgi::httpd_side
