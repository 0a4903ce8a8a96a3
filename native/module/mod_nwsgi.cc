// The module's record and its hooks; everything else is in the files that the hooks come from.

#include <ap_mmn.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

#include "module/config.h"
#include "module/daemon_config.h"
#include "module/daemon_process.h"
#include "module/directives.h"
#include "module/handler.h"
#include "module/head_gate.h"
#include "module/lifecycle.h"
#include "module/loading.h"
#include "module/log.h"
#include "module/mounts.h"
#include "module/paced_output.h"
#include "module/parked_connection.h"
#include "module/parking_limits.h"
#include "module/parking_status.h"
#include "module/python_directives.h"
#include "module/soft_flush.h"
#include "module/storage.h"
#include "module/trailer_filter.h"

namespace nwsgi::httpd_side {
namespace {

void register_hooks(apr_pool_t* pool) {
  if (!note_loading(pool, &nwsgi_module)) return;
  // mod_alias first, so that "Alias /static" wins over a mount of "/"; what guesses from the URL comes after us.
  static const char* const kBeforeMounts[] = {"mod_alias.c", nullptr};
  static const char* const kAfterMounts[] = {"mod_userdir.c", "mod_vhost_alias.c", nullptr};

  ap_hook_pre_config(begin_configuration, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_check_config(check_group_references, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_check_config(warn_of_python_settings, nullptr, nullptr, APR_HOOK_MIDDLE);
  // Before mod_cgid, whose daemon would otherwise inherit descriptors of process groups that this configuration changes.
  static const char* const kAfterProcessGroups[] = {"mod_cgid.c", nullptr};
  ap_hook_post_config(check_configuration, nullptr, kAfterProcessGroups, APR_HOOK_MIDDLE);
  ap_hook_post_config(report_parking_limits, nullptr, nullptr, APR_HOOK_LAST);
  ap_hook_child_status(note_child_status, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_child_init(start_child, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
  ap_hook_child_stopping(stop_child, nullptr, nullptr, APR_HOOK_MIDDLE);
#endif
  ap_hook_suspend_connection(ParkedConnection::note_suspension, nullptr, nullptr, APR_HOOK_REALLY_LAST);
  ap_hook_pre_read_request(ParkedConnection::begin_request, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_post_read_request(ParkedConnection::note_server, nullptr, nullptr, APR_HOOK_REALLY_LAST);
  ap_hook_quick_handler(ParkedConnection::begin_handling, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_log_transaction(ParkedConnection::count_request, nullptr, nullptr, APR_HOOK_LAST);
  ap_hook_translate_name(translate_name, kBeforeMounts, kAfterMounts, APR_HOOK_MIDDLE);
  // After TRACE, OPTIONS * and proxied requests have been dealt with, before core walks the file system.
  ap_hook_map_to_storage(map_to_storage, nullptr, nullptr, APR_HOOK_LAST);
  ap_hook_type_checker(check_type, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_handler(handle_request, nullptr, nullptr, APR_HOOK_MIDDLE);
  register_trailer_filter();
  register_soft_flush();
  register_paced_output();
  register_head_gate();
  register_parking_status();
}

}  // namespace
}  // namespace nwsgi::httpd_side

// Linkage comes from the declaration in log.h.
module AP_MODULE_DECLARE_DATA nwsgi_module = {
    STANDARD20_MODULE_STUFF,
    nwsgi::httpd_side::create_dir_config,
    nwsgi::httpd_side::merge_dir_config,
    nwsgi::httpd_side::create_server_config,
    nwsgi::httpd_side::merge_server_config,
    nwsgi::httpd_side::kDirectives,
    nwsgi::httpd_side::register_hooks,
    AP_MODULE_FLAG_NONE,
};

// mod_wsgi's name: a site may change the path in its LoadModule line alone, and then <IfModule wsgi_module> and
// "LogLevel wsgi:debug" mean this module.
#pragma GCC visibility push(default)
extern "C" {
extern module wsgi_module __attribute__((alias("nwsgi_module")));
}
#pragma GCC visibility pop
