// How a request ends that does not simply get its answer: what the client sees, and what the log says.
#include <apr_strings.h>
#include <http_protocol.h>

#include "module/conversation.h"
#include "module/log.h"

namespace nwsgi::httpd_side {

using exchange::AbortReason;
using exchange::End;

void Conversation::client_left() {
  leg_->abort_on_server(AbortReason::kClientGone);
  log_request(r_, APLOG_INFO, 0, Code::kClientGone, "the client left before the answer was complete");
  r_->connection->aborted = 1;
  r_->connection->keepalive = AP_CONN_CLOSE;
  given_up_ = HTTP_REQUEST_TIME_OUT;  // never sent: only the log sees it
}

void Conversation::end_because_server_stops() {
  leg_->abort_on_server(AbortReason::kServerStopping);
  if (tunnel_ || writer_.head_taken()) r_->connection->aborted = 1;
  given_up_ = HTTP_SERVICE_UNAVAILABLE;
}

int Conversation::give_up(int status) { return r_->connection->aborted || writer_.head_taken() ? OK : status; }

int Conversation::after_write(ResponseWriter::Outcome outcome) {
  switch (outcome) {
    case ResponseWriter::Outcome::kFilterError:
      leg_->abort_on_server(AbortReason::kClientGone);
      return AP_FILTER_ERROR;
    case ResponseWriter::Outcome::kBadHead:
      leg_->abort_on_server(AbortReason::kServerStopping);
      log_request(r_, APLOG_ERR, 0, Code::kBadHead,
                  "the gateway handed over a response head that is malformed; this is a fault of nwsgi, please report it");
      return HTTP_INTERNAL_SERVER_ERROR;
    default:
      client_left();
      return OK;
  }
}

int Conversation::conclude(End end) {
  if (end == End::kAborted && !writer_.head_taken() && !body_.failed()) return hang_up();
  if (end == End::kFailed || !writer_.head_taken()) return answer_failure();
  const exchange::Failure& failure = leg_->failure_on_server();
  if (!failure.message.empty() && !failure.logged) log_failure(r_, APLOG_ERR, failure);
  log_request(r_, APLOG_INFO, 0, Code::kResponseBrokenOff,
              "the application ended before its answer was complete; the client sees a broken connection");
  writer_.break_off();
  return OK;
}

// The application gave the request up instead of answering it: so does the server.
int Conversation::hang_up() {
  log_request(r_, APLOG_INFO, 0, Code::kResponseBrokenOff,
              "the application closed the connection without an answer; so does the server");
  r_->connection->aborted = 1;
  r_->connection->keepalive = AP_CONN_CLOSE;
  return OK;
}

// Nothing was sent: httpd answers with its own page, or ErrorDocument.
int Conversation::answer_failure() {
  const exchange::Failure& failure = leg_->failure_on_server();
  if (body_.failed() && body_.failure_status() != 0) {
    // The application failed because the client's body did; the client is told about its own mistake.
    if (!failure.message.empty() && !failure.logged) log_failure(r_, APLOG_INFO, failure);
    return body_.failure_status();
  }
  if (failure.message.empty()) {
    log_request(r_, APLOG_ERR, 0, Code::kApplicationFailed, "the application ended without an answer");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  if (!failure.logged) log_failure(r_, APLOG_ERR, failure);
  if (failure.retry_after > 0) {
    apr_table_setn(r_->err_headers_out, "Retry-After", apr_itoa(r_->pool, failure.retry_after));
  }
  return ap_is_HTTP_VALID_RESPONSE(failure.status) && failure.status >= 400 ? failure.status
                                                                            : HTTP_INTERNAL_SERVER_ERROR;
}

}  // namespace nwsgi::httpd_side
