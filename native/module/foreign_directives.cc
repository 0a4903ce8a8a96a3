#include "module/foreign_directives.h"

#include <http_log.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "module/log.h"
#include "module/mount_directives.h"

namespace nwsgi::httpd_side {
namespace {

enum class Kind : uint8_t { kIgnored, kIgnoredOff, kRefused };  // kIgnoredOff: Off has no effect, On is refused

struct ForeignDirective {
  const char* name;
  Kind kind;
  const char* advice;  // why it has no effect; for what is refused: what to do instead
};

constexpr const char* kNoScriptsForAccess =
    "scripts for authentication and access do not exist here. Use httpd's own (Require, AuthBasicProvider with mod_authn_…, "
    "mod_authnz_ldap, mod_authnz_external for a program), or let the application check users itself (WSGIPassAuthorization On). "
    "Do not just take the line out: what it protects would be open";

constexpr ForeignDirective kForeignDirectives[] = {
    {"WSGIAccessScript", Kind::kRefused, kNoScriptsForAccess},
    {"WSGIAuthUserScript", Kind::kRefused, kNoScriptsForAccess},
    {"WSGIAuthGroupScript", Kind::kRefused, kNoScriptsForAccess},
    {"WSGIGroupAuthoritative", Kind::kIgnored, "there are no group scripts, and mod_wsgi does not look at it either"},
    {"WSGIDispatchScript", Kind::kRefused,
     "no script chooses where requests go. Set a variable (SetEnvIf, RewriteRule … [E=name:value]) and write %{ENV:name} in "
     "WSGIProcessGroup, WSGIApplicationGroup or WSGICallableObject"},
    {"WSGIHandlerScript", Kind::kRefused,
     "named handlers do not exist here. Mount the script (WSGIScriptAlias), or write SetHandler wsgi-script and name its callable "
     "with WSGICallableObject"},
    {"WSGITrustedProxies", Kind::kRefused,
     "use mod_remoteip (RemoteIPHeader X-Forwarded-For, RemoteIPInternalProxy …), which serves all of httpd"},
    {"WSGITrustedProxyHeaders", Kind::kRefused,
     "use mod_remoteip (RemoteIPHeader X-Forwarded-For) for the client's address, and \"SetEnvIf X-Forwarded-Proto https HTTPS=on\" "
     "for the scheme"},
    {"WSGIPassApacheRequest", Kind::kIgnoredOff, "httpd's request cannot be reached from applications"},
    {"WSGIFreeThreading", Kind::kIgnoredOff, "applications run in a Python with a GIL, one at a time in each interpreter; use more processes (processes=)"},
    {"<WSGIInterpreterOptions", Kind::kRefused,
     "options of single interpreters do not exist here. Write WSGIPerInterpreterGIL, WSGISwitchInterval, WSGIPythonPath and WSGIRestrict… "
     "outside of sections, or give the application a process group with options of its own (WSGIDaemonProcess)"},
    {"WSGIErrorOverride", Kind::kIgnoredOff,
     "answers of applications are sent as they are; ErrorDocument is used where nwsgi itself answers"},
    {"WSGICaseSensitivity", Kind::kIgnored, "file names are distinguished as the file system does"},
    {"WSGIIgnoreActivity", Kind::kIgnored, "every request counts for inactivity-timeout"},
    {"WSGILazyInitialization", Kind::kIgnored, "Python and Node always start in the processes that serve, never in httpd's parent"},
    {"WSGIVerboseDebugging", Kind::kIgnored, "write LogLevel nwsgi:debug for more lines in the log"},
    {"WSGIPy3kWarningFlag", Kind::kIgnored, "it is Python 2's"},
    {"WSGIServerMetrics", Kind::kIgnored, "there is no server_metrics(); mod_status shows the server's state"},
    {"WSGITelemetryService", Kind::kIgnored, "nothing is sent to telemetry services; mod_wsgi.request_metrics() and process_metrics() work"},
    {"WSGITelemetryOptions", Kind::kIgnored, "nothing is sent to telemetry services"},
    {"WSGISlowRequests", Kind::kIgnored, "nothing is sent to telemetry services; write %D into LogFormat to see how long requests take"},
};

// .htaccess files are read with each request.
bool in_htaccess(const cmd_parms* cmd) { return (cmd->override & (RSRC_CONF | ACCESS_CONF)) == 0; }

}  // namespace

void note_ignored(const cmd_parms* cmd, const char* what, const char* why) {
  if (!warnings_wanted() || in_htaccess(cmd)) return;
  log_server(cmd->server, APLOG_NOTICE, 0, Code::kDirectiveIgnored, "%s in %s has no effect: %s; it can be taken out", what,
             place_of(cmd), why);
}

const char* note_foreign_directive(cmd_parms* cmd, void*, const char* arguments) {
  const auto found = std::find_if(std::begin(kForeignDirectives), std::end(kForeignDirectives),
                                  [cmd](const ForeignDirective& each) { return strcasecmp(each.name, cmd->cmd->name) == 0; });
  if (found == std::end(kForeignDirectives)) return nullptr;
  const ForeignDirective& foreign = *found;
  const bool refused = foreign.kind == Kind::kRefused ||
                       (foreign.kind == Kind::kIgnoredOff && strcasecmp(ap_getword_conf(cmd->temp_pool, &arguments), "Off") != 0);
  if (refused) return config_error(cmd, Code::kForeignDirective, "%s", foreign.advice);
  note_ignored(cmd, foreign.name, foreign.advice);
  return nullptr;
}

}  // namespace nwsgi::httpd_side
