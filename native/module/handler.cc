#include "module/handler.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include <cstring>
#include <exception>

#include "module/config.h"
#include "module/conversation.h"
#include "module/expansion.h"
#include "module/lifecycle.h"
#include "module/log.h"
#include "module/request_record.h"
#include "module/stop_signals.h"

namespace nwsgi::httpd_side {
namespace {

bool is_ours(const request_rec* r) {
  return r->handler != nullptr &&
         (std::strcmp(r->handler, kScriptHandler) == 0 || std::strcmp(r->handler, kScriptHandlerMime) == 0);
}

// Whether there is a script that may run, and is not asked for more than it accepts.
int check_script(request_rec* r, const RequestPlan& plan) {
  if (r->finfo.filetype == APR_NOFILE) {
    log_request(r, APLOG_ERR, 0, Code::kScriptMissing,
                "the script \"%s\" is not there, or not readable for the server's User", r->filename);
    return HTTP_NOT_FOUND;
  }
  if (r->finfo.filetype == APR_DIR) {
    log_request(r, APLOG_ERR, 0, Code::kScriptIsDirectory,
                "\"%s\" is a folder; add the script's name to the URL or to the mount", r->filename);
    return HTTP_FORBIDDEN;
  }
  if (r->finfo.filetype != APR_REG) {
    log_request(r, APLOG_ERR, 0, Code::kNotAFile, "\"%s\" is no regular file; point to the script itself", r->filename);
    return HTTP_FORBIDDEN;
  }
  if (plan.mount == nullptr && (ap_allow_options(r) & OPT_EXECCGI) == 0) {
    log_request(r, APLOG_ERR, 0, Code::kExecNotAllowed,
                "\"%s\" may not run: a script reached by SetHandler or AddHandler needs Options +ExecCGI in its "
                "<Directory>", r->filename);
    return HTTP_FORBIDDEN;
  }
  if (r->used_path_info == AP_REQ_REJECT_PATH_INFO && !plan.path_info.empty()) {
    log_request(r, APLOG_INFO, 0, Code::kPathInfoRejected,
                "\"%s\" does not take a path behind its name (AcceptPathInfo Off)", r->filename);
    return HTTP_NOT_FOUND;
  }
  return OK;
}

// The names that were expanded for this request; literal ones were checked with the configuration.
int check_names(request_rec* r, const RequestPlan& plan) {
  if (plan.process_group[0] != '\0') {
    log_request(r, APLOG_ERR, 0, Code::kProcessGroupAtRequest,
                "there is no process group \"%s\"; check what its WSGIProcessGroup or process-group= expands to",
                plan.process_group);
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  if (!is_export_name(plan.callable)) {
    log_request(r, APLOG_ERR, 0, Code::kCallableAtRequest,
                "\"%s\" is not the name of an export; check what its WSGICallableObject or callable-object= expands to",
                plan.callable);
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  return OK;
}

int set_up_body(request_rec* r, const DirConfig* settings) {
  const bool chunked_allowed = is_on(settings->chunked_request, true);
  const int status = ap_setup_client_block(r, chunked_allowed ? REQUEST_CHUNKED_DECHUNK : REQUEST_CHUNKED_ERROR);
  if (status == HTTP_LENGTH_REQUIRED) {
    log_request(r, APLOG_INFO, 0, Code::kChunkedNotAllowed,
                "a body without Content-Length is refused here (WSGIChunkedRequest Off)");
  } else if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
    log_request(r, APLOG_WARNING, 0, Code::kBodyTooLarge,
                "the request announces a body larger than LimitRequestBody allows; the client gets 413. Raise the limit "
                "where such bodies are expected");
  }
  return status;
}

int serve(request_rec* r) {
  const RequestPlan plan = make_plan(r);
  int status = check_script(r, plan);
  if (status == OK) status = check_names(r, plan);
  if (status == OK) status = set_up_body(r, plan.settings);
  if (status != OK) return status;

  exchange::Failure failure;
  exchange::ApplicationHost* host = application_host(&failure);
  if (host == nullptr) {
    log_failure(r, APLOG_ERR, failure);
    return failure.status;
  }
  // A subrequest (mod_include) has no body of its own.
  const bool has_body = r->main == nullptr && (r->read_chunked || r->remaining > 0);
  Conversation conversation(r, plan, host,
                            exchange::Exchange::create(build_record(r, plan, is_multiprocess()), has_body));
  return conversation.run();
}

}  // namespace

int handle_request(request_rec* r) noexcept try {
  if (!is_ours(r)) return DECLINED;
  const StopDeferral deferral;
  return serve(r);
} catch (const std::exception& error) {
  log_request(r, APLOG_CRIT, 0, Code::kInternal, "the request could not be served: %s", error.what());
  return HTTP_INTERNAL_SERVER_ERROR;
} catch (...) {
  return HTTP_INTERNAL_SERVER_ERROR;
}

}  // namespace nwsgi::httpd_side
