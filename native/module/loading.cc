#include "module/loading.h"

#include <apr_pools.h>

#include <cstring>

namespace nwsgi::httpd_side {
namespace {

// Main thread, while the configuration is read. The memory stays when httpd unloads the module (-z nodelete).
bool loaded = false;
bool twice = false;

// Has neither directives nor hooks: there for its name only.
module stand_in = {
    MODULE_MAGIC_NUMBER_MAJOR, MODULE_MAGIC_NUMBER_MINOR, -1, "mod_wsgi.c", nullptr, nullptr, MODULE_MAGIC_COOKIE,
    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0,
};

apr_status_t forget(void*) noexcept {
  loaded = false;
  twice = false;
  if (stand_in.module_index >= 0) {
    ap_remove_module(&stand_in);
    stand_in.next = nullptr;  // which httpd sees to for the module on top only, and takes for "in the list" otherwise
  }
  return APR_SUCCESS;
}

}  // namespace

bool note_loading(apr_pool_t* pool, module* self) {
  twice = loaded;
  if (loaded) return false;
  loaded = true;
  // Before httpd unloads modules: it expects this one, which was there first, to be on top of its list then.
  apr_pool_pre_cleanup_register(pool, nullptr, forget);
  if (ap_find_linked_module("mod_wsgi.c") != nullptr) return true;
  // The name of which httpd makes that for LogLevel; this module itself may have been loaded as wsgi_module.
  const char* own = ap_find_module_short_name(self->module_index);
  const bool taken = own != nullptr && std::strcmp(own, "wsgi") == 0;
  ap_add_module(&stand_in, pool, taken ? "mod_wsgi_module" : "wsgi_module");
  return true;
}

bool loaded_twice() { return twice; }

}  // namespace nwsgi::httpd_side
