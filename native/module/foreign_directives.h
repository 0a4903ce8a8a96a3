// Directives of mod_wsgi that do not exist here. httpd would call them misspelled; this says what they would change, and what
// to write instead. Those that only tune or measure are accepted, with a notice that they have no effect; those on which it
// depends what is protected, or where a request goes, are refused: taking them for granted would be worse than not starting.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

// The setter of them all.
const char* note_foreign_directive(cmd_parms* cmd, void* unused, const char* arguments);

// "WSGIAcceptMutex in file:line has no effect: why; it can be taken out"
void note_ignored(const cmd_parms* cmd, const char* what, const char* why);

}  // namespace nwsgi::httpd_side
