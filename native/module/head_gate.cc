#include "module/head_gate.h"

#include <http_config.h>
#include <apr_optional.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace nwsgi::httpd_side {
namespace {

constexpr apr_off_t kMostPerRead = 8192;
constexpr apr_size_t kFewBytes = 64;
// Larger ones than httpd takes with its usual limits; from there on it reads by itself.
constexpr apr_off_t kMostOfHead = 128 * 1024;
constexpr char kProtocol[] = "HTTP/";
constexpr unsigned kProtocolSize = sizeof kProtocol - 1;

ap_filter_rec_t* filter_record = nullptr;

// mod_logio counts what passes it; a request's bytes are those that httpd has read for it.
void count_input(conn_rec* c, apr_off_t size) {
  static const auto add = APR_RETRIEVE_OPTIONAL_FN(ap_logio_add_bytes_in);
  if (add != nullptr && size != 0) add(c, size);
}

apr_off_t size_of(const apr_bucket_brigade* brigade) {
  apr_off_t size = 0;
  apr_brigade_length(const_cast<apr_bucket_brigade*>(brigade), 0, &size);
  return size;
}

}  // namespace

HeadGate::HeadGate(conn_rec* c)
    : c_(c),
      held_(apr_brigade_create(c->pool, c->bucket_alloc)),
      rest_(apr_brigade_create(c->pool, c->bucket_alloc)),
      fresh_(apr_brigade_create(c->pool, c->bucket_alloc)) {}

HeadGate* HeadGate::install(conn_rec* c) {
  auto* const gate = new (apr_palloc(c->pool, sizeof(HeadGate))) HeadGate(c);
  gate->filter_ = ap_add_input_filter_handle(filter_record, gate, nullptr, c);
  return gate;
}

// ---- what has arrived ----

HeadGate::Found HeadGate::look() {
  if (complete_) reset();
  apr_off_t size = read();
  if (!complete_ && status_ == APR_SUCCESS && total_ > 0 && !std::exchange(begun_, true)) {
    begin();
    size += read();
  }
  // Also where nothing is held: httpd finds the end of the connection by itself.
  if (complete_ || status_ != APR_SUCCESS || total_ >= kMostOfHead) {
    complete_ = true;
    begun_ = false;
    return Found::kAll;
  }
  return size > 0 ? Found::kPart : Found::kNothing;
}

// Returns how much came. Whether anything is left is known after a read that brings nothing, whether the client has closed
// its side after another one.
apr_off_t HeadGate::read() {
  apr_off_t sum = 0;
  for (int empty = 0; empty < 2 && !complete_ && status_ == APR_SUCCESS && total_ < kMostOfHead;) {
    const apr_status_t status = ap_get_brigade(filter_->next, fresh_, AP_MODE_READBYTES, APR_NONBLOCK_READ, kMostPerRead);
    if (APR_STATUS_IS_EAGAIN(status)) break;
    if (status != APR_SUCCESS) status_ = status;
    const apr_off_t size = keep();
    count_input(c_, -size);
    sum += size;
    total_ += size;
    empty = size > 0 ? 0 : empty + 1;
  }
  return sum;
}

// From fresh_ to held_; returns how much. Single bytes do not stay buckets of their own.
apr_off_t HeadGate::keep() {
  apr_off_t size = 0;
  while (!APR_BRIGADE_EMPTY(fresh_)) {
    apr_bucket* const bucket = APR_BRIGADE_FIRST(fresh_);
    const char* bytes = nullptr;
    apr_size_t length = 0;
    if (APR_BUCKET_IS_METADATA(bucket) || apr_bucket_read(bucket, &bytes, &length, APR_NONBLOCK_READ) != APR_SUCCESS) {
      length = 0;
    }
    if (length != 0 && !complete_) complete_ = take(bytes, length);
    if (length > kFewBytes || complete_) {
      apr_bucket_setaside(bucket, c_->pool);
      APR_BUCKET_REMOVE(bucket);
      APR_BRIGADE_INSERT_TAIL(held_, bucket);
    } else {
      apr_brigade_write(held_, nullptr, nullptr, bytes, length);
      apr_bucket_delete(bucket);
    }
    size += static_cast<apr_off_t>(length);
  }
  return size;
}

// True at the end of a head. As httpd does it: empty lines may come before, and any line may end with LF alone.
bool HeadGate::take(const char* bytes, apr_size_t size) {
  if (total_ == 0 && line_empty_ && !has_request_line_ && size > 4 && bytes[0] > ' ' &&
      std::memcmp(bytes + size - 4, "\r\n\r\n", 4) == 0) {
    return true;
  }
  for (const char* at = bytes; at != bytes + size; ++at) {
    if (*at == '\n') {
      if (line_empty_ && has_request_line_) return true;
      if (!line_empty_ && !has_request_line_) {
        if (!names_protocol_) return true;
        has_request_line_ = true;
      }
      line_empty_ = true;
      continue;
    }
    if (*at == '\r') continue;
    line_empty_ = false;
    if (has_request_line_ || names_protocol_) continue;
    matched_ = *at == kProtocol[matched_] ? matched_ + 1 : (*at == kProtocol[0] ? 1 : 0);
    names_protocol_ = matched_ == kProtocolSize;
  }
  return false;
}

// The hooks that ap_read_request() begins with set the clocks of mod_reqtimeout. The request is one that was never read.
void HeadGate::begin() {
  request_rec* const r = ap_create_request(c_);
  const int keepalives = std::exchange(c_->keepalives, 0);  // the first byte is not awaited any more
  ap_run_pre_read_request(r, c_);
  c_->keepalives = keepalives;
  apr_pool_destroy(r->pool);
}

void HeadGate::reset() {
  begun_ = complete_ = has_request_line_ = names_protocol_ = false;
  line_empty_ = true;
  matched_ = 0;
  total_ = 0;
  status_ = APR_SUCCESS;
  // What was sent with the head before, and is a head itself.
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(held_); bucket != APR_BRIGADE_SENTINEL(held_) && !complete_;
       bucket = APR_BUCKET_NEXT(bucket)) {
    const char* bytes = nullptr;
    apr_size_t length = 0;
    if (apr_bucket_read(bucket, &bytes, &length, APR_NONBLOCK_READ) != APR_SUCCESS) continue;
    complete_ = take(bytes, length);
    total_ += static_cast<apr_off_t>(length);
  }
}

// ---- what httpd reads ----

apr_status_t HeadGate::filter(ap_filter_t* filter, apr_bucket_brigade* brigade, ap_input_mode_t mode, apr_read_type_e block,
                              apr_off_t size) noexcept {
  auto* const self = static_cast<HeadGate*>(filter->ctx);
  if (!APR_BRIGADE_EMPTY(self->held_) && mode != AP_MODE_INIT) return self->serve(brigade, mode, block, size);
  if (self->status_ != APR_SUCCESS && mode != AP_MODE_INIT) return self->status_;
  return ap_get_brigade(filter->next, brigade, mode, block, size);
}

apr_status_t HeadGate::serve(apr_bucket_brigade* brigade, ap_input_mode_t mode, apr_read_type_e block, apr_off_t size) {
  if (mode == AP_MODE_GETLINE) {
    const apr_off_t before = size_of(brigade);
    const apr_status_t status = apr_brigade_split_line(brigade, held_, block, size > 0 ? size : HUGE_STRING_LEN);
    // What remains of a bucket that ended with the line is an empty one, which would hold its memory while the request waits.
    apr_bucket* const first = APR_BRIGADE_FIRST(held_);
    if (first != APR_BRIGADE_SENTINEL(held_) && !APR_BUCKET_IS_METADATA(first) && first->length == 0) apr_bucket_delete(first);
    count_input(c_, size_of(brigade) - before);
    return status;
  }
  if (mode == AP_MODE_EATCRLF) return eat_empty_lines();
  apr_bucket* after = APR_BRIGADE_SENTINEL(held_);
  if (mode != AP_MODE_EXHAUSTIVE) {
    const apr_status_t status = apr_brigade_partition(held_, size, &after);
    if (status != APR_SUCCESS && status != APR_INCOMPLETE) return status;
  }
  if (mode == AP_MODE_SPECULATIVE) return copy(brigade, after);
  apr_brigade_split_ex(held_, after, rest_);
  count_input(c_, size_of(held_));
  APR_BRIGADE_CONCAT(brigade, held_);
  APR_BRIGADE_CONCAT(held_, rest_);
  return APR_SUCCESS;
}

apr_status_t HeadGate::copy(apr_bucket_brigade* brigade, apr_bucket* after) {
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(held_); bucket != after; bucket = APR_BUCKET_NEXT(bucket)) {
    apr_bucket* copied = nullptr;
    const apr_status_t status = apr_bucket_copy(bucket, &copied);
    if (status != APR_SUCCESS) return status;
    APR_BRIGADE_INSERT_TAIL(brigade, copied);
  }
  return APR_SUCCESS;
}

apr_status_t HeadGate::eat_empty_lines() {
  while (!APR_BRIGADE_EMPTY(held_)) {
    apr_bucket* const first = APR_BRIGADE_FIRST(held_);
    const char* bytes = nullptr;
    apr_size_t size = 0;
    const apr_status_t status = apr_bucket_read(first, &bytes, &size, APR_NONBLOCK_READ);
    if (status != APR_SUCCESS) return status;
    apr_size_t ends = 0;
    while (ends < size && (bytes[ends] == '\r' || bytes[ends] == '\n')) ++ends;
    if (ends < size && ends == 0) break;
    if (ends < size) apr_bucket_split(first, ends);
    apr_bucket_delete(first);
  }
  return APR_SUCCESS;
}

void register_head_gate() {
  filter_record = ap_register_input_filter("NWSGI_HEAD_GATE", HeadGate::filter, nullptr, AP_FTYPE_CONNECTION);
}

}  // namespace nwsgi::httpd_side
