#include "module/body_buffer.h"

#include <apr_buckets.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <string>

#include "module/error_catcher.h"
#include "module/log.h"
#include "module/stop_signals.h"

namespace nwsgi::httpd_side {
namespace {

constexpr size_t kMostInMemory = 64 * 1024;
constexpr apr_off_t kPerRead = 64 * 1024;

class BodyBuffer {
 public:
  explicit BodyBuffer(request_rec* r) : r_(r), input_(apr_brigade_create(r->pool, r->connection->bucket_alloc)) {}

  int fill();
  // Puts what was read in front of the request's input filters.
  void install();

 private:
  int read_some();
  int take_input();
  int add(const char* bytes, apr_size_t size);
  int to_file(const char* bytes, apr_size_t size);
  int no_room(apr_status_t reason);
  int fail(int status, const char* what, apr_status_t reason);

  request_rec* const r_;
  apr_bucket_brigade* const input_;
  std::string memory_;
  apr_file_t* file_ = nullptr;  // null: all of it is in memory
  apr_off_t length_ = 0;
  bool ended_ = false;
};

int BodyBuffer::fill() {
  while (!ended_) {
    if (const int status = read_some(); status != OK) return status;
  }
  return OK;
}

int BodyBuffer::read_some() {
  apr_status_t status;
  int error_status;
  {
    const ErrorCatcher catcher(r_);
    const StopWindow window;
    status = ap_get_brigade(r_->input_filters, input_, AP_MODE_READBYTES, APR_BLOCK_READ, kPerRead);
    error_status = catcher.status();
  }
  if (error_status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
    r_->connection->keepalive = AP_CONN_CLOSE;
    log_request(r_, APLOG_WARNING, 0, Code::kBodyTooLarge,
                "the request body is larger than LimitRequestBody allows; the client gets 413. Raise the limit where such "
                "bodies are expected");
    return error_status;
  }
  if (error_status != 0) return fail(error_status, "is malformed", 0);
  if (status == AP_FILTER_ERROR) return fail(AP_FILTER_ERROR, "was refused by a filter", 0);
  if (status == APR_SUCCESS) return take_input();
  if (APR_STATUS_IS_TIMEUP(status)) return fail(HTTP_REQUEST_TIME_OUT, "did not arrive within the server's Timeout", 0);
  if (status == APR_INCOMPLETE || APR_STATUS_IS_EOF(status)) {
    return fail(HTTP_BAD_REQUEST, "broke off: the client left before its end", 0);
  }
  return fail(ap_map_http_request_error(status, HTTP_BAD_REQUEST), "could not be read", status);
}

int BodyBuffer::take_input() {
  int result = OK;
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(input_); bucket != APR_BRIGADE_SENTINEL(input_) && result == OK && !ended_;
       bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_EOS(bucket)) ended_ = true;
    if (APR_BUCKET_IS_METADATA(bucket)) continue;
    const char* bytes = nullptr;
    apr_size_t size = 0;
    const apr_status_t status = apr_bucket_read(bucket, &bytes, &size, APR_BLOCK_READ);
    result = status == APR_SUCCESS ? add(bytes, size) : fail(HTTP_BAD_REQUEST, "could not be read", status);
  }
  apr_brigade_cleanup(input_);
  return result;
}

int BodyBuffer::add(const char* bytes, apr_size_t size) {
  length_ += static_cast<apr_off_t>(size);
  if (file_ == nullptr && memory_.size() + size <= kMostInMemory) {
    memory_.append(bytes, size);
    return OK;
  }
  if (file_ == nullptr) {
    const char* folder = nullptr;
    apr_status_t status = apr_temp_dir_get(&folder, r_->pool);
    if (status != APR_SUCCESS) return no_room(status);
    char* name = apr_pstrcat(r_->pool, folder, "/nwsgi-body-XXXXXX", nullptr);
    status = apr_file_mktemp(&file_, name, APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL, r_->pool);
    if (status != APR_SUCCESS) return no_room(status);
    apr_file_remove(name, r_->pool);
    const int result = to_file(memory_.data(), memory_.size());
    memory_ = {};
    if (result != OK) return result;
  }
  return to_file(bytes, size);
}

int BodyBuffer::to_file(const char* bytes, apr_size_t size) {
  const apr_status_t status = apr_file_write_full(file_, bytes, size, nullptr);
  return status == APR_SUCCESS ? OK : no_room(status);
}

int BodyBuffer::no_room(apr_status_t reason) {
  r_->connection->keepalive = AP_CONN_CLOSE;
  log_request(r_, APLOG_ERR, reason, Code::kBodyNotBuffered,
              "the request body could not be kept in a temporary file (WSGIChunkedRequest Buffered); check the room in, and the "
              "permissions of, the folder for temporary files");
  return HTTP_INTERNAL_SERVER_ERROR;
}

int BodyBuffer::fail(int status, const char* what, apr_status_t reason) {
  // What is left on the connection is not the next request.
  r_->connection->keepalive = AP_CONN_CLOSE;
  log_request(r_, APLOG_INFO, reason, Code::kBodyNotRead, "the request body %s; the application is not called", what);
  return status;
}

// Gives out what the brigade `ctx` holds, then ends of the body as often as somebody asks.
apr_status_t read_buffered(ap_filter_t* filter, apr_bucket_brigade* brigade, ap_input_mode_t mode, apr_read_type_e, apr_off_t most) {
  auto* kept = static_cast<apr_bucket_brigade*>(filter->ctx);
  if (mode != AP_MODE_READBYTES) return APR_ENOTIMPL;
  if (APR_BRIGADE_EMPTY(kept)) {
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(brigade->bucket_alloc));
    return APR_SUCCESS;
  }
  apr_bucket* end = nullptr;
  const apr_status_t status = apr_brigade_partition(kept, most, &end);
  if (status != APR_SUCCESS && status != APR_INCOMPLETE) return status;
  while (!APR_BRIGADE_EMPTY(kept) && APR_BRIGADE_FIRST(kept) != end) {
    apr_bucket* bucket = APR_BRIGADE_FIRST(kept);
    APR_BUCKET_REMOVE(bucket);
    APR_BRIGADE_INSERT_TAIL(brigade, bucket);
  }
  return APR_SUCCESS;
}

const ap_filter_rec_t* buffered_record() {
  static const ap_filter_rec_t* const instance = [] {
    auto* made = new ap_filter_rec_t{};
    made->name = "nwsgi_buffered_body";
    made->filter_func.in_func = read_buffered;
    made->ftype = AP_FTYPE_RESOURCE;
    return made;
  }();
  return instance;
}

void BodyBuffer::install() {
  apr_bucket_brigade* kept = apr_brigade_create(r_->pool, r_->connection->bucket_alloc);
  if (file_ != nullptr) {
    apr_brigade_insert_file(kept, file_, 0, length_, r_->pool);
  } else if (length_ != 0) {
    APR_BRIGADE_INSERT_TAIL(kept, apr_bucket_heap_create(memory_.data(), memory_.size(), nullptr, kept->bucket_alloc));
  }
  // By hand: httpd would put it behind filters of the same kind, which have seen the body already.
  auto* filter = static_cast<ap_filter_t*>(apr_pcalloc(r_->pool, sizeof(ap_filter_t)));
  filter->frec = const_cast<ap_filter_rec_t*>(buffered_record());
  filter->ctx = kept;
  filter->r = r_;
  filter->c = r_->connection;
  r_->input_filters = filter;
  r_->read_chunked = 0;
  r_->remaining = length_;
  apr_table_unset(r_->headers_in, "Transfer-Encoding");
  apr_table_setn(r_->headers_in, "Content-Length", apr_off_t_toa(r_->pool, length_));
}

}  // namespace

int buffer_body(request_rec* r) {
  BodyBuffer buffer(r);
  const int status = buffer.fill();
  if (status == OK) buffer.install();
  return status;
}

}  // namespace nwsgi::httpd_side
