#include "module/request_body.h"

#include <http_core.h>
#include <http_protocol.h>

#include <algorithm>
#include <string>

#include "module/error_catcher.h"
#include "module/log.h"
#include "module/pending_output.h"

namespace nwsgi::httpd_side {
namespace {

constexpr size_t kMostPerRead = 64 * 1024;
constexpr apr_off_t kMostPrefetched = 64 * 1024;

int add_line(void* text, const char* name, const char* value) {
  *static_cast<std::string*>(text) += std::string(name) + ':' + value + '\n';
  return 1;
}

std::string lines_of(const apr_table_t* fields) {
  std::string lines;
  apr_table_do(add_line, &lines, fields, nullptr);
  return lines;
}

}  // namespace

RequestBody::RequestBody(request_rec* r, exchange::ServerLeg* leg)
    : r_(r), leg_(leg), finished_(!leg->has_body()) {}

void RequestBody::prefetch() {
  if (finished_ || r_->expecting_100 || r_->read_chunked || r_->remaining > kMostPrefetched) return;
  while (!finished_ && !failed_) {
    const size_t room = leg_->body_room_on_server();
    if (room == 0 || read_some(room) != Progress::kMoved) return;
  }
}

RequestBody::Progress RequestBody::pump() {
  if (failed_) return Progress::kFailed;
  if (finished_) return Progress::kMoved;
  const size_t room = leg_->body_room_on_server();
  if (room == 0) return Progress::kMoved;
  Progress progress = read_some(room);
  if (progress == Progress::kStarved && r_->expecting_100) {
    send_continue();
    progress = read_some(room);
  }
  return progress;
}

RequestBody::Progress RequestBody::discard() {
  if (failed_) return Progress::kFailed;
  if (finished_) return Progress::kMoved;
  discarding_ = true;
  return read_some(kMostPerRead);
}

// What is there. The application is told once, not for each of the filters' small pieces.
RequestBody::Progress RequestBody::read_some(size_t room) {
  size_t left = std::min(room, kMostPerRead);
  const size_t wanted = left;
  Progress progress = Progress::kMoved;
  while (progress == Progress::kMoved && left != 0 && !finished_) progress = read_once(&left);
  if (left == wanted) return progress;
  if (!discarding_ && !finished_ && !failed_) leg_->push_body_on_server(nullptr, 0);
  return failed_ ? Progress::kFailed : Progress::kMoved;
}

RequestBody::Progress RequestBody::read_once(size_t* left) {
  if (brigade_ == nullptr) brigade_ = apr_brigade_create(r_->pool, r_->connection->bucket_alloc);
  apr_status_t status;
  int error_status;
  {
    ErrorCatcher catcher(r_);
    status = ap_get_brigade(r_->input_filters, brigade_, AP_MODE_READBYTES, APR_NONBLOCK_READ, static_cast<apr_off_t>(*left));
    error_status = catcher.status();
  }
  if (error_status == 0 && status == APR_SUCCESS) {
    return APR_BRIGADE_EMPTY(brigade_) ? Progress::kStarved : take_brigade(left);
  }
  apr_brigade_cleanup(brigade_);
  if (error_status != 0) {
    return fail(error_status, error_status == HTTP_REQUEST_ENTITY_TOO_LARGE
                                  ? "is larger than LimitRequestBody allows"
                                  : "is malformed", 0);
  }
  if (APR_STATUS_IS_EAGAIN(status)) return Progress::kStarved;
  if (status == AP_FILTER_ERROR) {
    answered_ = true;
    return fail(0, "was refused by a filter", 0);
  }
  if (status == APR_INCOMPLETE || APR_STATUS_IS_EOF(status)) {
    return fail(HTTP_BAD_REQUEST, "broke off: the client left before its end", 0);
  }
  return fail(ap_map_http_request_error(status, HTTP_BAD_REQUEST), "could not be read", status);
}

RequestBody::Progress RequestBody::take_brigade(size_t* left) {
  Progress progress = Progress::kStarved;
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade_); bucket != APR_BRIGADE_SENTINEL(brigade_);
       bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_EOS(bucket)) {
      finished_ = true;
      progress = Progress::kMoved;
      if (discarding_) break;
      if (!apr_is_empty_table(r_->trailers_in)) leg_->set_trailers_on_server(lines_of(r_->trailers_in));
      leg_->end_body_on_server();
      break;
    }
    if (APR_BUCKET_IS_METADATA(bucket)) continue;
    const char* bytes = nullptr;
    apr_size_t size = 0;
    const apr_status_t status = apr_bucket_read(bucket, &bytes, &size, APR_BLOCK_READ);
    if (status != APR_SUCCESS) {
      apr_brigade_cleanup(brigade_);
      return fail(HTTP_BAD_REQUEST, "could not be read", status);
    }
    if (size == 0) continue;
    // Who sends without having been asked to does not wait for it.
    r_->expecting_100 = 0;
    if (!discarding_) leg_->add_body_on_server(bytes, size);
    *left -= std::min<size_t>(*left, size);
    progress = Progress::kMoved;
  }
  apr_brigade_cleanup(brigade_);
  return progress;
}

// HTTP_IN sends it for blocking reads only. Once a final head is under way, a "100 Continue" would be taken for a part
// of the response.
void RequestBody::send_continue() {
  if (r_->sent_bodyct || r_->bytes_sent != 0 || r_->proto_num < HTTP_VERSION(1, 1)) {
    r_->expecting_100 = 0;
    return;
  }
  const int status = r_->status;
  const char* status_line = r_->status_line;
  r_->status = HTTP_CONTINUE;
  r_->status_line = nullptr;
  ap_send_interim_response(r_, 0);
  // A parked connection's filters keep it (soft_flush.h).
  if (r_->connection->data_in_output_filters) flush_pending(r_->connection);
  r_->status = status;
  r_->status_line = status_line;
  r_->expecting_100 = 0;
}

void RequestBody::time_out() { fail(HTTP_REQUEST_TIME_OUT, "did not arrive within the server's Timeout", 0); }

RequestBody::Progress RequestBody::fail(int status, const char* what, apr_status_t reason) {
  failed_ = true;
  failure_status_ = status;
  // What is left on the connection is not the next request.
  r_->connection->keepalive = AP_CONN_CLOSE;
  if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
    log_request(r_, APLOG_WARNING, reason, Code::kBodyTooLarge,
                "the request body %s; the application's read fails. Raise the limit where such bodies are expected", what);
  } else {
    log_request(r_, APLOG_INFO, reason, Code::kBodyNotRead, "the request body %s; the application's read fails", what);
  }
  leg_->fail_body_on_server(std::string("the request body ") + what);
  return Progress::kFailed;
}

}  // namespace nwsgi::httpd_side
