#include "module/directives.h"

#include <apr_strings.h>
#include <http_core.h>

#include <bit>
#include <cctype>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "module/application_env.h"
#include "module/config.h"
#include "module/daemon_directives.h"
#include "module/foreign_directives.h"
#include "module/log.h"
#include "module/mount_directives.h"
#include "module/node_options.h"
#include "module/python_directives.h"
#include "module/python_settings.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

const char* set_process_group(cmd_parms* cmd, void* data, const char* value) {
  if (const char* error = check_process_group(cmd, value)) return error;
  static_cast<DirConfig*>(data)->process_group = value;
  return nullptr;
}

const char* set_application_group(cmd_parms* cmd, void* data, const char* value) {
  if (const char* error = check_application_group(cmd, value)) return error;
  static_cast<DirConfig*>(data)->application_group = value;
  return nullptr;
}

const char* set_callable_object(cmd_parms* cmd, void* data, const char* value) {
  if (const char* error = check_callable(cmd, value)) return error;
  static_cast<DirConfig*>(data)->callable = value;
  return nullptr;
}

const char* set_application_type(cmd_parms* cmd, void* data, const char* value) {
  return read_application_type(cmd, value, &static_cast<DirConfig*>(data)->type);
}

// On/Off directives; cmd_data is the offset of the flag in DirConfig.
const char* set_flag(cmd_parms* cmd, void* data, int on) {
  const auto offset = reinterpret_cast<std::size_t>(cmd->info);
  *reinterpret_cast<Flag*>(static_cast<char*>(data) + offset) = on ? Flag::kOn : Flag::kOff;
  return nullptr;
}

const char* set_map_head(cmd_parms* cmd, void* data, const char* value) {
  HeadMapping mapping;
  if (strcasecmp(value, "On") == 0) mapping = HeadMapping::kOn;
  else if (strcasecmp(value, "Off") == 0) mapping = HeadMapping::kOff;
  else if (strcasecmp(value, "Auto") == 0) mapping = HeadMapping::kAuto;
  else return config_error(cmd, Code::kBadValue, "the value is On, Off or Auto, not \"%s\"", value);
  static_cast<DirConfig*>(data)->map_head = mapping;
  return nullptr;
}

const char* set_chunked_request(cmd_parms* cmd, void* data, const char* value) {
  ChunkedBodies bodies;
  if (strcasecmp(value, "On") == 0) bodies = ChunkedBodies::kOn;
  else if (strcasecmp(value, "Off") == 0) bodies = ChunkedBodies::kOff;
  else if (strcasecmp(value, "Buffered") == 0) bodies = ChunkedBodies::kBuffered;
  else return config_error(cmd, Code::kBadValue, "the value is On, Off or Buffered, not \"%s\"", value);
  static_cast<DirConfig*>(data)->chunked_request = bodies;
  return nullptr;
}

const char* set_error_page(cmd_parms* cmd, void* data, const char* value) {
  const bool development = strcasecmp(value, "Development") == 0;
  if (!development && strcasecmp(value, "Production") != 0) {
    return config_error(cmd, Code::kBadValue, "the value is Development or Production, not \"%s\"", value);
  }
  static_cast<DirConfig*>(data)->development_errors = development ? Flag::kOn : Flag::kOff;
  return nullptr;
}

const char* set_request_timeout(cmd_parms* cmd, void* data, const char* value) {
  int64_t milliseconds;
  if (!parse_duration(value, &milliseconds)) {
    return config_error(cmd, Code::kBadTimeout,
                        "\"%s\" is no duration: write seconds (30), or 30s, 500ms, 2m, 1h; 0 turns the limit off", value);
  }
  static_cast<DirConfig*>(data)->request_timeout = milliseconds * 1000;
  return nullptr;
}

const char* set_park_after(cmd_parms* cmd, void* data, const char* value) {
  apr_interval_time_t* const setting = &static_cast<DirConfig*>(data)->park_after;
  int64_t milliseconds;
  if (strcasecmp(value, "Off") == 0) *setting = kParkNever;
  else if (strcasecmp(value, "Auto") == 0) *setting = kParkAuto;
  else if (parse_duration(value, &milliseconds)) *setting = milliseconds * 1000;
  else return config_error(cmd, Code::kBadTimeout, "\"%s\" is none of Auto, Off, 0 or a duration such as 5ms", value);
  return nullptr;
}

const char* add_node_option(cmd_parms* cmd, void*, const char* option) {
  if (const char* error = ap_check_cmd_context(cmd, GLOBAL_ONLY)) return error;
  if (const char* wrong = check_node_option(cmd->pool, option)) return config_error(cmd, Code::kBadNodeOption, "%s", wrong);
  *static_cast<const char**>(apr_array_push(server_config(cmd->server)->node_options)) = option;
  return nullptr;
}

// httpd declares the functions of a command table as a union, or without parameters, by a macro of its own build; the
// representation is the same.
template <typename Function>
cmd_func setter(Function* function) {
  return std::bit_cast<cmd_func>(function);
}

#define NWSGI_PYTHON_FLAG(member) flag_at(offsetof(PythonSettings, member))

void* flag_at(std::size_t offset) { return reinterpret_cast<void*>(offset); }

constexpr int kServer = RSRC_CONF;
constexpr int kServerAndDirectory = RSRC_CONF | ACCESS_CONF;

// Of mod_wsgi; what becomes of it says foreign_directives.cc.
command_rec foreign(const char* name) {
  return {name, setter(note_foreign_directive), nullptr, RSRC_CONF | ACCESS_CONF | OR_ALL, RAW_ARGS,
          "a directive of mod_wsgi that does not exist here"};
}

}  // namespace

const command_rec kDirectives[] = {
    {"WSGIScriptAlias", setter(set_script_alias), nullptr, kServer, TAKE_ARGV,
     "a URL, the script (or folder of scripts) behind it, and options"},
    {"WSGIScriptAliasMatch", setter(set_script_alias_match), nullptr, kServer, TAKE_ARGV,
     "a regular expression, the script (with $1 for groups) behind it, and options"},
    {"WSGIImportScript", setter(set_import_script), nullptr, kServer, TAKE_ARGV,
     "a script to load when a server process starts, process-group= and application-group="},
    {"WSGIDaemonProcess", setter(set_daemon_process), nullptr, kServer, RAW_ARGS,
     "the name of a process group, and options such as processes=, user=, node="},
    {"WSGISocketPrefix", setter(set_socket_prefix), nullptr, kServer, TAKE1,
     "the folder for sockets of process groups"},
    {"WSGISocketRotation", setter(set_socket_rotation), nullptr, kServer, FLAG, "accepted for mod_wsgi's sake; has no effect"},
    {"WSGIAcceptMutex", setter(set_accept_mutex), nullptr, kServer, TAKE1, "accepted for mod_wsgi's sake; has no effect"},
    {"WSGIRestrictProcess", setter(add_restrict_process), nullptr, kServerAndDirectory, ITERATE,
     "the process groups that may be chosen, %{GLOBAL} for the server's own processes"},
    {"WSGIRestrictEmbedded", setter(set_restrict_embedded), nullptr, kServer, FLAG,
     "On keeps applications out of the server's own processes"},
    {"WSGIProcessGroup", setter(set_process_group), nullptr, kServerAndDirectory, TAKE1,
     "where applications run: a process group, or %{GLOBAL} for the server's own processes"},
    {"WSGIApplicationGroup", setter(set_application_group), nullptr, kServerAndDirectory, TAKE1,
     "which runtime environment applications run in"},
    {"WSGICallableObject", setter(set_callable_object), nullptr, OR_FILEINFO, TAKE1,
     "name of the export that is the application"},
    {"WSGIApplicationType", setter(set_application_type), nullptr, OR_FILEINFO, TAKE1,
     "what the application is: wsgi, node, fetch or auto"},
    {"WSGIApplicationEnv", setter(add_application_env), nullptr, kServerAndDirectory, RAW_ARGS,
     "variables of the application's process.env, as NAME=value"},
    {"WSGIPassAuthorization", setter(set_flag), flag_at(offsetof(DirConfig, pass_authorization)), OR_FILEINFO, FLAG,
     "whether applications see the Authorization header"},
    {"WSGIScriptReloading", setter(set_flag), flag_at(offsetof(DirConfig, script_reloading)), OR_FILEINFO, FLAG,
     "whether a changed script is loaded anew"},
    {"WSGIChunkedRequest", setter(set_chunked_request), nullptr, OR_FILEINFO, TAKE1,
     "request bodies without a length: Off refuses them, On passes them on, Buffered measures them first"},
    {"WSGIEnableSendfile", setter(set_flag), flag_at(offsetof(DirConfig, enable_sendfile)), OR_FILEINFO, FLAG,
     "whether files of applications are sent by the kernel"},
    {"WSGIMapHEADToGET", setter(set_map_head), nullptr, OR_FILEINFO, TAKE1,
     "whether applications see HEAD requests as GET: On, Off or Auto"},
    {"WSGIErrorPage", setter(set_error_page), nullptr, kServerAndDirectory, TAKE1,
     "Development shows errors in the browser, Production does not"},
    {"WSGIRequestTimeout", setter(set_request_timeout), nullptr, kServerAndDirectory, TAKE1,
     "how long an application may take to begin its answer"},
    {"WSGIParkAfter", setter(set_park_after), nullptr, kServerAndDirectory, TAKE1,
     "how long a thread of the server waits for an application before it is given back: a duration, 0, Off or Auto"},
    {"WSGINodeOptions", setter(add_node_option), nullptr, kServer, ITERATE, "options of the embedded Node"},
    {"WSGIPythonHome", setter(set_python_home), nullptr, kServer, TAKE1,
     "the folder of a Python virtual environment or installation"},
    {"WSGIPythonPath", setter(set_python_path), nullptr, kServer, TAKE1,
     "folders of Python modules, with colons between them"},
    {"WSGIPythonEggs", setter(set_python_eggs), nullptr, kServer, TAKE1, "the folder in which Python eggs are unpacked"},
    {"WSGIPythonOptimize", setter(set_python_optimize), nullptr, kServer, TAKE1, "0, 1 or 2, as python -O and -OO"},
    {"WSGIPythonWarnings", setter(add_python_warning), nullptr, kServer, ITERATE, "filters of warnings, as python -W"},
    {"WSGIPythonHashSeed", setter(set_python_hash_seed), nullptr, kServer, TAKE1, "random, or a number"},
    {"WSGIPythonDontWriteBytecode", setter(set_python_flag), NWSGI_PYTHON_FLAG(dont_write_bytecode), kServer, FLAG,
     "On writes no .pyc files"},
    {"WSGIDontWriteBytecode", setter(set_python_flag), NWSGI_PYTHON_FLAG(dont_write_bytecode), kServer, FLAG,
     "On writes no .pyc files"},
    {"WSGISwitchInterval", setter(set_switch_interval), nullptr, kServer, TAKE1,
     "how long a Python thread runs while others wait"},
    {"WSGIRestrictStdin", setter(set_python_flag), NWSGI_PYTHON_FLAG(restrict_stdin), kServer, FLAG,
     "On refuses reading of sys.stdin"},
    {"WSGIRestrictStdout", setter(set_python_flag), NWSGI_PYTHON_FLAG(restrict_stdout), kServer, FLAG,
     "On refuses writing to sys.stdout"},
    {"WSGIRestrictSignal", setter(set_python_flag), NWSGI_PYTHON_FLAG(restrict_signal), kServer, FLAG,
     "Off lets applications of Python change signal handlers"},
    {"WSGIPerInterpreterGIL", setter(set_python_flag), NWSGI_PYTHON_FLAG(per_interpreter_gil), kServer, FLAG,
     "On gives sub-interpreters a GIL of their own"},
    {"WSGIDestroyInterpreter", setter(set_python_flag), NWSGI_PYTHON_FLAG(destroy_interpreter), kServer, FLAG,
     "Off leaves Python as it is when a process ends"},
    foreign("WSGIAccessScript"),
    foreign("WSGIAuthUserScript"),
    foreign("WSGIAuthGroupScript"),
    foreign("WSGIGroupAuthoritative"),
    foreign("WSGIDispatchScript"),
    foreign("WSGIHandlerScript"),
    foreign("WSGITrustedProxies"),
    foreign("WSGITrustedProxyHeaders"),
    foreign("WSGIPassApacheRequest"),
    foreign("WSGIFreeThreading"),
    foreign("<WSGIInterpreterOptions"),
    foreign("WSGIErrorOverride"),
    foreign("WSGICaseSensitivity"),
    foreign("WSGIIgnoreActivity"),
    foreign("WSGILazyInitialization"),
    foreign("WSGIVerboseDebugging"),
    foreign("WSGIPy3kWarningFlag"),
    foreign("WSGIServerMetrics"),
    foreign("WSGITelemetryService"),
    foreign("WSGITelemetryOptions"),
    foreign("WSGISlowRequests"),
    {nullptr, cmd_func{}, nullptr, 0, RAW_ARGS, nullptr},
};

}  // namespace nwsgi::httpd_side
