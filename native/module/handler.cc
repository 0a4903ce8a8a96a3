#include "module/handler.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include <cstring>
#include <exception>
#include <memory>
#include <new>

#include "module/body_buffer.h"
#include "module/config.h"
#include "module/conversation.h"
#include "module/daemon_child.h"
#include "module/daemon_config.h"
#include "module/daemon_dispatch.h"
#include "module/expansion.h"
#include "module/first_wait.h"
#include "module/lifecycle.h"
#include "module/log.h"
#include "module/parked_connection.h"
#include "module/profile.h"
#include "module/request_record.h"
#include "module/soft_flush.h"
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

// Where the request's application runs: *group stays null for this process. Names may have been expanded for this
// request; literal ones were checked with the configuration.
int find_group(request_rec* r, const RequestPlan& plan, const DaemonGroup** group) {
  const char* const name = plan.process_group;
  if (name[0] == '\0') {
    if (!embedded_mode_allowed()) {
      log_request(r, APLOG_ERR, 0, Code::kEmbeddedRestricted,
                  "no application may run in the server's own processes (WSGIRestrictEmbedded On); name a process group "
                  "for this one with WSGIProcessGroup or process-group=");
      return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (process_group_allowed(r, name)) return OK;
  }
  const GroupResult found =
      name[0] == '\0' ? GroupResult{GroupSearch::kRestricted, nullptr} : find_daemon_group(r, name);
  *group = found.group;
  switch (found.search) {
    case GroupSearch::kFound:
      return OK;
    case GroupSearch::kRestricted:
      log_request(r, APLOG_ERR, 0, Code::kProcessRestricted,
                  "process group \"%s\" may not be used here: WSGIRestrictProcess does not list it",
                  name[0] != '\0' ? name : "%{GLOBAL}");
      break;
    case GroupSearch::kNotReachable:
      log_request(r, APLOG_ERR, 0, Code::kProcessNotReachable,
                  "process group \"%s\" belongs to another virtual host; declare it outside of virtual hosts, or in one with "
                  "this ServerName", name);
      break;
    case GroupSearch::kUnknown:
      log_request(r, APLOG_ERR, 0, Code::kProcessGroupAtRequest,
                  "there is no process group \"%s\"; check what its WSGIProcessGroup or process-group= expands to, and "
                  "declare it with WSGIDaemonProcess", name);
      break;
  }
  return HTTP_INTERNAL_SERVER_ERROR;
}

int check_callable(request_rec* r, const RequestPlan& plan) {
  if (is_export_name(plan.callable)) return OK;
  log_request(r, APLOG_ERR, 0, Code::kCallableAtRequest,
              "\"%s\" is not the name of an export; check what its WSGICallableObject or callable-object= expands to",
              plan.callable);
  return HTTP_INTERNAL_SERVER_ERROR;
}

int check_owner(request_rec* r, const DaemonGroup& group) {
  const char* const problem = check_script_owner(r->pool, group, r->filename);
  if (problem == nullptr) return OK;
  log_request(r, APLOG_ERR, 0, Code::kScriptOwner, "\"%s\" may not run in process group \"%s\": %s", r->filename,
              group.name, problem);
  return HTTP_FORBIDDEN;
}

int set_up_body(request_rec* r, const DirConfig* settings) {
  const bool chunked_allowed = settings->chunked_request != ChunkedBodies::kOff;
  const int status = ap_setup_client_block(r, chunked_allowed ? REQUEST_CHUNKED_DECHUNK : REQUEST_CHUNKED_ERROR);
  if (status == OK && settings->chunked_request == ChunkedBodies::kBuffered && r->read_chunked && r->main == nullptr) {
    return buffer_body(r);
  }
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

// A subrequest (mod_include) has no body of its own.
bool has_body(const request_rec* r) { return r->main == nullptr && (r->read_chunked || r->remaining > 0); }

class EmbeddedRequest final : public ServedRequest {
 public:
  EmbeddedRequest(request_rec* r, const RequestPlan& plan, exchange::ApplicationHost* host)
      : carrier_(host, {plan.application_group, r->server},
                 exchange::Exchange::create(build_record(r, plan, is_multiprocess()), has_body(r))),
        conversation_(r, plan, &carrier_, plan.settings->request_timeout) {}
  Conversation& conversation() override { return conversation_; }
  exchange::ServerLeg& leg() override { return *carrier_.leg(); }

 private:
  EmbeddedCarrier carrier_;
  Conversation conversation_;
};

class DaemonRequest final : public ServedRequest {
 public:
  DaemonRequest(request_rec* r, const RequestPlan& plan, const DaemonGroup& group, GroupInChild* in_child,
                apr_interval_time_t timeout)
      : carrier_(r, group, in_child, plan.application_group, build_record(r, plan, is_multiprocess(group)), has_body(r)),
        conversation_(r, plan, &carrier_, timeout) {}
  Conversation& conversation() override { return conversation_; }
  exchange::ServerLeg& leg() override { return *carrier_.leg(); }

 private:
  DaemonCarrier carrier_;
  Conversation conversation_;
};

struct EndsWithHandler {
  void operator()(ServedRequest* served) const { served->~ServedRequest(); }
};
using OwnedRequest = std::unique_ptr<ServedRequest, EndsWithHandler>;  // memory of the request's pool

// What the conversation has marked, if it did.
class SoftOutput {
 public:
  explicit SoftOutput(const conn_rec* c) : c_(c) {}
  ~SoftOutput() {
    if (c_ != nullptr) flush_hard(c_);
  }
  SoftOutput(const SoftOutput&) = delete;
  SoftOutput& operator=(const SoftOutput&) = delete;
  void leave_on() { c_ = nullptr; }

 private:
  const conn_rec* c_;
};

// An answer that comes soon is sent by this thread. Whoever waits longer gives it back, where that is possible.
int run_or_park(request_rec* r, const RequestPlan& plan, OwnedRequest served) {
  Conversation& conversation = served->conversation();
  FirstWait first_wait(r, plan);
  if (first_wait.for_ever() || !ParkedConnection::possible(r)) return conversation.run();
  SoftOutput soft(r->connection);
  conversation.do_not_block();
  if (conversation.begin()) return conversation.result();
  const bool over = conversation.look_for(first_wait.longest());
  first_wait.note(over);
  if (over || conversation.step()) return conversation.result();
  if (!ParkedConnection::park(r, served.get())) return conversation.wait_in_place();
  soft.leave_on();
  (void)served.release();
  return SUSPENDED;
}

int serve_embedded(request_rec* r, const RequestPlan& plan) {
  exchange::Failure failure;
  exchange::ApplicationHost* host = application_host(&failure);
  if (host == nullptr) {
    log_failure(r, APLOG_ERR, failure);
    return failure.status;
  }
  void* const memory = apr_palloc(r->pool, sizeof(EmbeddedRequest));
  return run_or_park(r, plan, OwnedRequest(new (memory) EmbeddedRequest(r, plan, host)));
}

int serve_in_group(request_rec* r, const RequestPlan& plan, const DaemonGroup& group) {
  exchange::Failure failure;
  GroupInChild* in_child = group_in_child(group, &failure);
  if (in_child == nullptr) {
    log_failure(r, APLOG_ERR, failure);
    return failure.status;
  }
  apr_interval_time_t timeout = plan.settings->request_timeout;
  if (timeout < 0) timeout = apr_time_from_msec(group.options.request_timeout);
  void* const memory = apr_palloc(r->pool, sizeof(DaemonRequest));
  return run_or_park(r, plan, OwnedRequest(new (memory) DaemonRequest(r, plan, group, in_child, timeout)));
}

int serve(request_rec* r) {
  RequestPlan plan = make_plan(r);
  const DaemonGroup* group = nullptr;
  int status = check_script(r, plan);
  if (status == OK) status = find_group(r, plan, &group);
  if (status == OK) status = check_callable(r, plan);
  if (status == OK && group != nullptr) status = check_owner(r, *group);
  if (status == OK) status = set_up_body(r, plan.settings);
  if (status != OK) return status;
  if (group != nullptr) plan.chroot = group->chroot;
  return group != nullptr ? serve_in_group(r, plan, *group) : serve_embedded(r, plan);
}

}  // namespace

int handle_request(request_rec* r) noexcept try {
  if (!is_ours(r)) return DECLINED;
  note_handler();
  const StopDeferral deferral;
  return serve(r);
} catch (const std::exception& error) {
  log_request(r, APLOG_CRIT, 0, Code::kInternal, "the request could not be served: %s", error.what());
  return HTTP_INTERNAL_SERVER_ERROR;
} catch (...) {
  return HTTP_INTERNAL_SERVER_ERROR;
}

}  // namespace nwsgi::httpd_side
