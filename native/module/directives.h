// The module's configuration directives. Every mistake is reported by `apachectl configtest` with its code, what is
// wrong and how to put it right; httpd adds the directive's name, file and line.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

extern const command_rec kDirectives[];

}  // namespace nwsgi::httpd_side
