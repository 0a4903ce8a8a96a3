// The error codes of the Apache module, each allocated once and never reused. What they mean for an operator stands
// in docs/errors.md; the text beside the code in the log says what happened, where, and what to do.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace nwsgi::httpd_side {

enum class Code : int {
  // Start of the server and of its children.
  kRuntimeMissing = 1001,       // nwsgi_runtime.so was not found beside the module
  kGatewayMissing = 1002,       // bootstrap.cjs was not found relative to the module
  kRuntimeNotLoadable = 1003,   // dlopen() or dlsym() failed in the child
  kRuntimeNotStarted = 1004,    // the runtime refused to start
  kRuntimeNotStopped = 1005,    // environments did not end in time when the child left
  kModuleNotLocated = 1006,     // the module cannot tell where its own file is
  kLoadedTwice = 1007,          // two LoadModule lines, one for each of the module's names
  kParkingLimited = 1008,       // notice: httpd's own limit of connections stands in the way of many parked requests
  kParkingFiles = 1009,         // warning: more connections than files that a child may open

  // Configuration. All of these are found by `apachectl configtest`.
  kBadUrl = 1101,               // the URL of a mount does not start with '/'
  kBadPattern = 1102,           // a regular expression does not compile
  kBadBackReference = 1103,     // $n without such a group in the pattern
  kUnknownOption = 1104,        // an option that the directive does not know
  kBadOption = 1105,            // an option without value, or given twice
  kBadPath = 1106,              // a path that cannot be resolved
  kScriptNotThereYet = 1107,    // warning: the script does not exist (yet)
  kDuplicateMount = 1108,       // warning: a mount that can never match
  kBadExpansion = 1109,         // %{...} of an unknown kind
  kUnknownProcessGroup = 1110,  // a process group that is not declared
  kBadCallable = 1111,          // not the name of an export
  kBadValue = 1112,             // a value outside the documented set
  kBadTimeout = 1113,           // not a duration
  kBadNodeOption = 1114,        // a Node option that cannot work here
  kBadPreload = 1115,           // WSGIImportScript without literal groups
  kBadVariable = 1116,          // WSGIApplicationEnv without NAME=value
  kBadPythonValue = 1117,       // a value that a WSGIPython… directive does not take
  kBadPythonHome = 1118,        // WSGIPythonHome, python-home= is neither virtual environment nor installation
  kForeignDirective = 1119,     // a directive of mod_wsgi that does not exist here and cannot be ignored
  kPythonPathMissing = 1120,    // warning: a folder of the Python path is not there
  kPythonNotBuilt = 1121,       // warning: there is no add-on for the Python of a home

  // Configuration of daemon mode, found by `apachectl configtest` too.
  kBadGroupName = 4001,         // WSGIDaemonProcess without a usable name
  kUnknownDaemonOption = 4002,  // an option that WSGIDaemonProcess does not know
  kBadDaemonValue = 4003,       // a value that an option does not take, or an option given twice
  kBadDaemonUser = 4004,        // a user or group that does not exist or must not be used
  kDaemonOptionsClash = 4005,   // options that exclude each other
  kGroupRedeclared = 4006,      // the same name with another definition
  kBadSocketPrefix = 4007,      // WSGISocketPrefix is no path
  kDirectiveIgnored = 4008,     // notice: a directive of mod_wsgi that has no effect here

  // Daemon mode, in the parent.
  kSocketFolder = 4040,         // the folder for sockets cannot be used
  kSocketFailed = 4041,         // a socket could not be made
  kNodeMissing = 4042,          // no node executable was found
  kNodeUnusable = 4043,         // the node executable does not run
  kNodeTooOld = 4044,           // it is older than Node 18
  kDaemonFileMissing = 4045,    // dist/supervisor/main.js or nwsgi_bridge.node is not there
  kDaemonFileUnreadable = 4046,  // the group's user cannot read it
  kIdentityFailed = 4047,       // user, groups, folder or a limit could not be set
  kRootRefused = 4048,          // the group would run as root
  kNotPrivileged = 4049,        // warning: user= without a start by root
  kSupervisorNotStarted = 4050,  // fork or exec failed
  kSupervisorEnded = 4051,      // a supervisor ended unasked
  kSupervisorKilled = 4052,     // warning: a supervisor did not end in time
  kSharedMemoryFailed = 4053,   // the scoreboard or a pipe could not be made
  kGroupStarted = 4054,         // information: a supervisor was started
  kGroupRetired = 4055,         // information: a group changed or was removed

  // Requests.
  kScriptMissing = 1201,        // 404
  kScriptIsDirectory = 1202,    // 403
  kExecNotAllowed = 1203,       // 403: Options ExecCGI is needed
  kPathInfoRejected = 1204,     // 404: AcceptPathInfo Off
  kChunkedNotAllowed = 1205,    // 411: WSGIChunkedRequest Off
  kProcessGroupAtRequest = 1206,  // 500: the group's name expands to one that does not exist
  kCallableAtRequest = 1207,    // 500: the callable's name expands to something unusable
  kBodyNotRead = 1208,          // the request body broke off or was malformed
  kRequestTimeout = 1209,       // 504: WSGIRequestTimeout
  kClientGone = 1210,           // information: the client left before the answer
  kBadHead = 1211,              // 500: the gateway handed over a malformed response head
  kResponseBrokenOff = 1212,    // the response is incomplete and was made to look so
  kShortResponse = 1213,        // fewer bytes than the application's Content-Length
  kOutputFailed = 1214,         // the response could not be passed to the output filters
  kApplicationFailed = 1215,    // the application ended without an answer and without a reason
  kTargetEscapes = 1216,        // 403: a mount's target with ".." after substitution
  kSubstitutionFailed = 1217,   // 500: WSGIScriptAliasMatch target could not be built
  kInternal = 1218,             // 500: an exception inside the module (out of memory)
  kNotAFile = 1219,             // 403: neither file nor directory
  kBodyTooLarge = 1220,         // 413: the request body exceeds LimitRequestBody
  kUpgradeRefused = 1221,       // 400: the request cannot change its protocol
  kBodyNotBuffered = 1222,      // 500: WSGIChunkedRequest Buffered: no room for the body

  // Requests for applications in daemon processes.
  kQueueFull = 4101,            // 503: queue-limit requests wait already
  kQueueTimeout = 4102,         // 504: queue-timeout
  kNoFreeWorker = 4103,         // 503: no worker was there, or free, within connect-timeout
  kSupervisorUnreachable = 4104,  // 503: nobody answers on the group's socket
  kWorkerLost = 4105,           // 502: the worker ended while it had the request
  kAnswerMalformed = 4106,      // 502: the worker's answer cannot be used
  kRequestRepeated = 4107,      // information: the request was sent to another worker
  kWorkersKeepLeaving = 4108,   // 503: worker after worker ended before it began the request
  kWorkerStuck = 4109,          // 504: socket-timeout
  kHeadLineTooLong = 4110,      // 500: header-buffer-size
  kEmbeddedRestricted = 4111,   // 500: WSGIRestrictEmbedded On
  kProcessRestricted = 4112,    // 500: WSGIRestrictProcess does not list the group
  kProcessNotReachable = 4113,  // 500: the group belongs to another virtual host
  kScriptOwner = 4114,          // 403: script-user, script-group
  kScoreboardUnusable = 4115,   // 500: the group's table in shared memory is missing or of another version
};

// As it stands in the log.
inline std::string code_name(Code code) {
  std::string digits = std::to_string(static_cast<int>(code));
  return "NWSGI" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

// Whether a text that came from another process is a code: operators look codes up.
inline bool is_code_name(std::string_view text) {
  return text.size() == 9 && text.starts_with("NWSGI") &&
         std::all_of(text.begin() + 5, text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace nwsgi::httpd_side
