// Life of the module in the server's processes.
//
// Parent: checks that the runtime's files are where the module expects them; it never loads them. Child: loads the
// runtime and starts the application host when the first request needs it, or at once when something is to be
// preloaded; stops it in a cleanup of the child's pool, after the worker threads have ended.
#pragma once

#include <httpd.h>

#include "exchange/application_host.h"

namespace nwsgi::httpd_side {

// The child's application host, started if necessary; null and *failure when it cannot run. Any worker thread.
exchange::ApplicationHost* application_host(exchange::Failure* failure);

// More than one process of this server may run the same application.
bool is_multiprocess();

// Hooks.
int check_configuration(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* server) noexcept;
void start_child(apr_pool_t* pool, server_rec* server) noexcept;
void stop_child(apr_pool_t* pool, int graceful) noexcept;

}  // namespace nwsgi::httpd_side
