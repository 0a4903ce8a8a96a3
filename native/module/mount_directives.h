// Setters of the directives that say which scripts there are: WSGIScriptAlias, WSGIScriptAliasMatch, WSGIImportScript.
#pragma once

#include <httpd.h>
#include <http_config.h>

namespace nwsgi::httpd_side {

const char* set_script_alias(cmd_parms* cmd, void* unused, int count, char* const arguments[]);
const char* set_script_alias_match(cmd_parms* cmd, void* unused, int count, char* const arguments[]);
const char* set_import_script(cmd_parms* cmd, void* unused, int count, char* const arguments[]);

// Shared with the other setters: null when the value can be used, else the complete error.
const char* check_application_group(const cmd_parms* cmd, const char* value);
const char* check_callable(const cmd_parms* cmd, const char* value);
// The configuration is read twice at start; a warning belongs into one of the passes only.
bool warnings_wanted();
// "file:line"
const char* place_of(const cmd_parms* cmd);
// Sets *type to one of kApplicationTypes.
const char* read_application_type(const cmd_parms* cmd, const char* value, const char** type);

}  // namespace nwsgi::httpd_side
