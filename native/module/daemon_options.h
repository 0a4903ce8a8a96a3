// The options of WSGIDaemonProcess, by a table: name, kind of value, default and bounds.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include "module/daemon_config.h"

namespace nwsgi::httpd_side {

// Reads the rest of the line behind the name of `group`. Null, or the complete error.
const char* read_daemon_options(const cmd_parms* cmd, const char* group, const char* arguments, DaemonOptions* options);

// The name of the first option in which two groups differ; null when they are the same.
const char* first_difference(const DaemonOptions& options, const DaemonOptions& others);

}  // namespace nwsgi::httpd_side
