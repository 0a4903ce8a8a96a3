// What httpd knows the module as.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

// Called when httpd has loaded the module, before its hooks are registered; `pool` is the configuration's. Makes
// <IfModule mod_wsgi.c> true, in which configurations for mod_wsgi often stand (Debian's among them). False when another
// LoadModule line has loaded the module already, under its other name.
bool note_loading(apr_pool_t* pool, module* self);

// Two LoadModule lines name the module: nothing would happen once only.
bool loaded_twice();

}  // namespace nwsgi::httpd_side
