#include "module/storage.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_request.h>
#include <util_filter.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <new>

#include "module/config.h"
#include "module/handler.h"
#include "module/log.h"
#include "module/mounts.h"

namespace nwsgi::httpd_side {
namespace {

using Slot = std::atomic<const ResolvedMount*>;

// Resolving allocates from the pool, so it happens under the mutex; reading a resolved slot needs neither.
std::mutex resolve_mutex;
apr_pool_t* storage_pool = nullptr;

const core_dir_config* core_config(const ap_conf_vector_t* config) {
  return static_cast<const core_dir_config*>(ap_get_core_module_config(config));
}

// True when the section leaves symbolic links alone or allows them without a look at their owner.
bool links_stay_allowed(const core_dir_config* section) {
  if ((section->opts & OPT_UNSET) != 0) {
    return (section->opts_remove & OPT_SYM_LINKS) == 0 && (section->opts_add & OPT_SYM_OWNER) == 0;
  }
  return (section->opts & (OPT_SYM_LINKS | OPT_SYM_OWNER)) == OPT_SYM_LINKS;
}

bool names_captures(const core_dir_config* section) { return section->refs != nullptr && section->refs->nelts != 0; }

// Whether a <Directory> section can apply to the file or a folder above it. Wildcards and expressions: assume so.
bool may_apply(const core_dir_config* section, const char* filename) {
  if (section->r != nullptr || section->d_is_fnmatch || section->d == nullptr || section->d_components == 0) return true;
  return std::strncmp(section->d, filename, std::strlen(section->d)) == 0;
}

// httpd looks for .htaccess also where AllowOverride was never set, although nothing in such a file is allowed then
// (its documented default is None). Only a folder where something can be overridden matters.
bool htaccess_may_decide(const request_rec* walked) {
  for (const htaccess_result* looked = walked->htaccess; looked != nullptr; looked = looked->next) {
    if (looked->htaccess != nullptr || (looked->override & OR_ALL) != 0) return true;
  }
  return false;
}

// AllowOverrideList names single directives; httpd does not keep it in htaccess_result.
bool lists_overrides(const core_dir_config* section) {
  return section->override_list != nullptr && !apr_is_empty_table(section->override_list);
}

// Whether the sections that may apply leave nothing to look at in the file system, and nothing to do for each request.
bool sections_are_constant(const server_rec* s, const char* filename) {
  const core_dir_config* defaults = core_config(s->lookup_defaults);
  if ((defaults->opts & (OPT_SYM_LINKS | OPT_SYM_OWNER)) != OPT_SYM_LINKS || lists_overrides(defaults)) return false;
  const auto* server =
      static_cast<const core_server_config*>(ap_get_core_module_config(s->module_config));
  for (int i = 0; i < server->sec_dir->nelts; ++i) {
    const core_dir_config* section = core_config(APR_ARRAY_IDX(server->sec_dir, i, ap_conf_vector_t*));
    if (section == nullptr || !may_apply(section, filename)) continue;
    // Named groups of a <DirectoryMatch> set environment variables of the request while walking.
    if (!links_stay_allowed(section) || names_captures(section) || lists_overrides(section)) return false;
  }
  return true;
}

// The same for what the walk has come across on its way: .htaccess files and <Files> sections.
bool walk_was_constant(const request_rec* walked) {
  if (htaccess_may_decide(walked)) return false;
  const core_dir_config* merged = core_config(walked->per_dir_config);
  for (int i = 0; merged->sec_file != nullptr && i < merged->sec_file->nelts; ++i) {
    const core_dir_config* section = core_config(APR_ARRAY_IDX(merged->sec_file, i, ap_conf_vector_t*));
    if (section != nullptr && names_captures(section)) return false;
  }
  return true;
}

// Another module may give each request its own view of the file system (mpm-itk, mod_privileges).
bool file_system_is_shared() {
  const apr_array_header_t* hooks = ap_hook_get_dirwalk_stat();
  return hooks == nullptr || hooks->nelts <= 1;
}

// A request that exists for the walk only. It is not announced to other modules (ap_run_create_request would attach
// filters to the connection's), so it carries just what ap_directory_walk() and ap_file_walk() look at: the walks keep
// their cache in core's notes.
request_rec* make_walk_request(apr_pool_t* pool, const request_rec* r, const char* filename) {
  auto* walk = static_cast<request_rec*>(apr_pcalloc(pool, sizeof(request_rec)));
  walk->pool = pool;
  walk->connection = r->connection;
  walk->server = r->server;
  walk->log = r->log;
  walk->request_time = r->request_time;
  walk->useragent_addr = r->useragent_addr;
  walk->useragent_ip = r->useragent_ip;
  walk->method = "GET";
  walk->method_number = M_GET;
  walk->protocol = const_cast<char*>("HTTP/1.1");
  walk->uri = apr_pstrdup(pool, filename);
  walk->unparsed_uri = walk->uri;
  walk->the_request = walk->uri;
  walk->filename = apr_pstrdup(pool, filename);
  walk->headers_in = apr_table_make(pool, 1);
  walk->headers_out = apr_table_make(pool, 1);
  walk->err_headers_out = apr_table_make(pool, 1);
  walk->subprocess_env = apr_table_make(pool, 1);
  walk->notes = apr_table_make(pool, 1);
  walk->per_dir_config = r->server->lookup_defaults;
  walk->request_config = ap_create_request_config(pool);
  auto* core = static_cast<core_request_config*>(apr_pcalloc(pool, sizeof(core_request_config)));
  core->notes = static_cast<void**>(apr_pcalloc(pool, sizeof(void*) * AP_NUM_STD_NOTES));
  ap_set_core_module_config(walk->request_config, core);
  walk->status = HTTP_OK;
  walk->used_path_info = AP_REQ_DEFAULT_PATH_INFO;
  return walk;
}

// With the mutex held. Null when the outcome may differ next time (the file is not there yet).
const ResolvedMount* resolve(const request_rec* r, const Mount* mount) {
  auto* resolved = static_cast<ResolvedMount*>(apr_pcalloc(storage_pool, sizeof(ResolvedMount)));
  if (!file_system_is_shared() || !sections_are_constant(r->server, mount->target)) return resolved;
  apr_pool_t* pool = nullptr;
  if (apr_pool_create(&pool, storage_pool) != APR_SUCCESS) return nullptr;
  request_rec* walk = make_walk_request(pool, r, mount->target);
  const bool walked =
      ap_directory_walk(walk) == OK && walk->finfo.filetype == APR_REG && ap_file_walk(walk) == OK;
  // Of no use to anybody later on, and the connection is not ours to keep.
  walk->connection = nullptr;
  walk->useragent_addr = nullptr;
  walk->useragent_ip = nullptr;
  if (!walked || !walk_was_constant(walk)) {
    apr_pool_destroy(pool);
    return walked ? resolved : nullptr;
  }
  resolved->usable = true;
  resolved->per_dir_config = walk->per_dir_config;
  resolved->filename = walk->filename;
  resolved->finfo = walk->finfo;
  return resolved;
}

Slot* slots_of(ServerConfig* config) {
  Slot* slots = config->slots.load(std::memory_order_acquire);
  if (slots != nullptr) return slots;
  const unsigned count = config->mounts->count + (config->base != nullptr ? config->base->mounts->count : 0);
  void* memory = apr_pcalloc(storage_pool, sizeof(Slot) * count);
  slots = new (memory) Slot[count]{};
  config->slots.store(slots, std::memory_order_release);
  return slots;
}

const ResolvedMount* resolved_mount(const request_rec* r, const RequestState* state) {
  ServerConfig* config = server_config(r->server);
  Slot* slots = config->slots.load(std::memory_order_acquire);
  if (slots != nullptr) {
    const ResolvedMount* known = slots[state->mount_slot].load(std::memory_order_acquire);
    if (known != nullptr) return known;
  }
  if (storage_pool == nullptr) return nullptr;
  std::lock_guard lock(resolve_mutex);
  slots = slots_of(config);
  const ResolvedMount* known = slots[state->mount_slot].load(std::memory_order_relaxed);
  if (known != nullptr) return known;
  // A walk that fails costs a little of the child's memory each time; so ask the disk before.
  apr_finfo_t info;
  if (apr_stat(&info, state->mount->target, APR_FINFO_TYPE, r->pool) != APR_SUCCESS || info.filetype != APR_REG) {
    return nullptr;
  }
  known = resolve(r, state->mount);
  if (known != nullptr) slots[state->mount_slot].store(known, std::memory_order_release);
  return known;
}

}  // namespace

void start_storage(apr_pool_t* child_pool) {
  apr_pool_create(&storage_pool, child_pool);
  apr_pool_tag(storage_pool, "nwsgi_storage");
}

int map_to_storage(request_rec* r) noexcept try {
  const RequestState* state = request_state(r);
  if (state == nullptr || state->mount->pattern != nullptr || state->mount->directory) return DECLINED;
  if (r->method_number == M_TRACE || r->main != nullptr || r->prev != nullptr) return DECLINED;
  const ResolvedMount* resolved = resolved_mount(r, state);
  if (resolved == nullptr || !resolved->usable) return DECLINED;
  r->per_dir_config = resolved->per_dir_config;
  r->filename = resolved->filename;
  r->canonical_filename = resolved->filename;
  r->finfo = resolved->finfo;
  r->path_info = apr_pstrdup(r->pool, r->uri + state->prefix_length);
  return OK;
} catch (...) {
  return DECLINED;
}

}  // namespace nwsgi::httpd_side
