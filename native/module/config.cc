#include "module/config.h"

#include <new>

#include "module/log.h"
#include "module/python_settings.h"

namespace nwsgi::httpd_side {
namespace {

ServerConfig* new_server_config(apr_pool_t* pool) {
  auto* config = new (apr_pcalloc(pool, sizeof(ServerConfig))) ServerConfig{};
  auto* table = static_cast<MountTable*>(apr_pcalloc(pool, sizeof(MountTable)));
  table->prefixes = apr_hash_make(pool);
  table->patterns = apr_array_make(pool, 2, sizeof(const Mount*));
  config->mounts = table;
  config->preloads = apr_array_make(pool, 2, sizeof(PreloadEntry));
  config->node_options = apr_array_make(pool, 2, sizeof(const char*));
  config->python = new_python_settings(pool);
  return config;
}

const char* either(const char* add, const char* base) { return add != nullptr ? add : base; }
const apr_array_header_t* both(apr_pool_t* pool, const apr_array_header_t* add, const apr_array_header_t* base) {
  if (add == nullptr || base == nullptr) return add != nullptr ? add : base;
  return apr_array_append(pool, base, add);
}
Flag either(Flag add, Flag base) { return add != Flag::kUnset ? add : base; }

}  // namespace

void* create_server_config(apr_pool_t* pool, server_rec*) { return new_server_config(pool); }

// A virtual host keeps its own mounts and reaches the main server's through `base`; copying them into each of a
// thousand virtual hosts would cost memory and a look-up order that nobody could explain.
void* merge_server_config(apr_pool_t* pool, void* base_data, void* add_data) {
  const auto* add = static_cast<const ServerConfig*>(add_data);
  auto* merged = new (apr_pcalloc(pool, sizeof(ServerConfig))) ServerConfig{};
  merged->mounts = add->mounts;
  merged->preloads = add->preloads;
  merged->node_options = add->node_options;
  merged->python = add->python;
  merged->base = static_cast<const ServerConfig*>(base_data);
  return merged;
}

void separate_server_configs(apr_pool_t* pool, server_rec* main_server) {
  const ServerConfig* base = server_config(main_server);
  for (server_rec* server = main_server->next; server != nullptr; server = server->next) {
    if (server_config(server) != base) continue;
    auto* config = new_server_config(pool);
    config->base = base;
    ap_set_module_config(server->module_config, &nwsgi_module, config);
  }
}

void* create_dir_config(apr_pool_t* pool, char*) {
  auto* config = static_cast<DirConfig*>(apr_pcalloc(pool, sizeof(DirConfig)));
  config->pass_authorization = Flag::kUnset;
  config->script_reloading = Flag::kUnset;
  config->chunked_request = ChunkedBodies::kUnset;
  config->enable_sendfile = Flag::kUnset;
  config->development_errors = Flag::kUnset;
  config->map_head = HeadMapping::kUnset;
  config->request_timeout = -1;
  config->park_after = kParkUnset;
  return config;
}

void* merge_dir_config(apr_pool_t* pool, void* base_data, void* add_data) {
  const auto* base = static_cast<const DirConfig*>(base_data);
  const auto* add = static_cast<const DirConfig*>(add_data);
  auto* merged = static_cast<DirConfig*>(apr_pcalloc(pool, sizeof(DirConfig)));
  merged->process_group = either(add->process_group, base->process_group);
  merged->restrict_process = add->restrict_process != nullptr ? add->restrict_process : base->restrict_process;
  merged->application_group = either(add->application_group, base->application_group);
  merged->callable = either(add->callable, base->callable);
  merged->type = either(add->type, base->type);
  merged->env = both(pool, add->env, base->env);
  merged->pass_authorization = either(add->pass_authorization, base->pass_authorization);
  merged->script_reloading = either(add->script_reloading, base->script_reloading);
  merged->chunked_request = add->chunked_request != ChunkedBodies::kUnset ? add->chunked_request : base->chunked_request;
  merged->enable_sendfile = either(add->enable_sendfile, base->enable_sendfile);
  merged->development_errors = either(add->development_errors, base->development_errors);
  merged->map_head = add->map_head != HeadMapping::kUnset ? add->map_head : base->map_head;
  merged->request_timeout = add->request_timeout >= 0 ? add->request_timeout : base->request_timeout;
  merged->park_after = add->park_after != kParkUnset ? add->park_after : base->park_after;
  return merged;
}

ServerConfig* server_config(const server_rec* server) {
  return static_cast<ServerConfig*>(ap_get_module_config(server->module_config, &nwsgi_module));
}

const DirConfig* dir_config(const request_rec* r) {
  return static_cast<const DirConfig*>(ap_get_module_config(r->per_dir_config, &nwsgi_module));
}

const DirConfig* default_dir_config(const server_rec* server) {
  return static_cast<const DirConfig*>(ap_get_module_config(server->lookup_defaults, &nwsgi_module));
}

RequestState* request_state(const request_rec* r) {
  return static_cast<RequestState*>(ap_get_module_config(r->request_config, &nwsgi_module));
}

void set_request_state(request_rec* r, RequestState* state) {
  ap_set_module_config(r->request_config, &nwsgi_module, state);
}

}  // namespace nwsgi::httpd_side
