#include "module/response_writer.h"

#include <apr_portable.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_core.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util_filter.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "module/log.h"
#include "module/paced_output.h"
#include "module/pending_output.h"
#include "module/soft_flush.h"
#include "module/stop_signals.h"
#include "module/trailer_filter.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::End;
using exchange::OutputItem;

// An apr_file_t over a copy of the descriptor that owns it in full: filters that keep a file bucket beyond the request
// (the core output filter, the beams of HTTP/2) move the ownership to another pool, which APR does only for files that
// it has opened itself; one made by apr_os_file_put() would be closed too early, or never. So APR opens something that
// is always there, and the descriptor takes its place.
apr_file_t* adopt_descriptor(int descriptor, bool sendfile, apr_pool_t* pool) {
  apr_file_t* file = nullptr;
  const apr_int32_t flags = APR_FOPEN_READ | (sendfile ? APR_FOPEN_SENDFILE_ENABLED : 0);
  if (apr_file_open(&file, "/", flags, APR_FPROT_OS_DEFAULT, pool) != APR_SUCCESS) return nullptr;
  apr_os_file_t own = -1;
  if (apr_os_file_get(&own, file) == APR_SUCCESS && ::dup3(descriptor, own, O_CLOEXEC) == own) return file;
  apr_file_close(file);
  return nullptr;
}

// A trailer may not change how the message is read.
bool belongs_to_framing(const char* name) {
  return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

}  // namespace

ResponseWriter::ResponseWriter(request_rec* r, exchange::ServerLeg* leg, bool sendfile)
    : r_(r),
      leg_(leg),
      brigade_(apr_brigade_create(r->pool, r->connection->bucket_alloc)),
      sendfile_(sendfile),
      for_error_(r->prev != nullptr && ap_is_HTTP_ERROR(r->status)) {}

ResponseWriter::Outcome ResponseWriter::write(std::vector<OutputItem>* output, End end) {
  size_t weight = 0;
  bool flush = false;
  bool file = false;
  for (OutputItem& item : *output) {
    switch (item.kind) {
      case OutputItem::Kind::kHead:
        if (!take_head(&item.text)) return Outcome::kBadHead;
        flush = true;
        break;
      case OutputItem::Kind::kData:
        weight += item.weight();
        add_data(&item.chunk);
        flush = true;
        break;
      case OutputItem::Kind::kFile:
        add_file(&item);
        flush = file = true;
        break;
      case OutputItem::Kind::kInterim:
        send_interim(&item.text);
        break;
      case OutputItem::Kind::kTrailers:
        add_trailers(item.text);
        break;
      case OutputItem::Kind::kUpgrade:  // the conversation's
        break;
      case OutputItem::Kind::kLog:
        log_request_text(r_, item.level, item.text);
        break;
    }
  }
  output->clear();
  choose_way(weight, flush && end != End::kComplete, file);
  apr_bucket_alloc_t* allocator = r_->connection->bucket_alloc;
  if (bad_file_) {
    log_request(r_, APLOG_ERR, 0, Code::kOutputFailed,
                "a file of the application could not be taken over (too many open files?); the response is broken off");
    const Outcome outcome = pass(weight);
    if (outcome == Outcome::kOk) break_off();
    return outcome;
  }
  if (end == End::kComplete && head_taken_) {
    if (declared_length_ >= 0 && body_allowed_ && body_bytes_ < static_cast<uint64_t>(declared_length_)) {
      log_request(r_, APLOG_ERR, 0, Code::kShortResponse,
                  "the application announced %" APR_INT64_T_FMT " bytes and sent %" APR_UINT64_T_FMT
                  "; the connection is closed so that the client notices; correct Content-Length or send it all",
                  declared_length_, body_bytes_);
      const Outcome outcome = pass(weight);
      if (outcome == Outcome::kOk) break_off();
      return outcome;
    }
    // A HEAD without body and length: httpd would take the missing body for an empty one and announce length 0.
    if (declared_length_ < 0 && r_->header_only && body_bytes_ == 0) {
      APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_flush_create(allocator));
    }
    // httpd measures a response that it gets as a whole, but only a chunked one can carry trailers.
    if (declared_length_ < 0 && has_trailers_) {
      APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_flush_create(allocator));
      const Outcome outcome = pass(weight);
      if (outcome != Outcome::kOk) return outcome;
      weight = 0;
    }
    APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_eos_create(allocator));
    ended_ = true;
    // Else httpd sets it aside, for which each connection would get a pool that it keeps.
    if (may_hold_ && blocks_ && !file && !has_trailers_ && weight <= kSmallResponse && takes_at_once(r_->connection)) {
      APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_flush_create(allocator));
    }
  } else if (flush) {
    APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_flush_create(allocator));
  }
  return APR_BRIGADE_EMPTY(brigade_) ? Outcome::kOk : pass(weight);
}

// A whole answer of some size leaves as one brigade, which httpd writes as the client takes it.
void ResponseWriter::choose_way(size_t weight, bool flush, bool file) {
  if (!may_hold_) return;
  if (!std::exchange(pace_known_, true)) paced_ = PacedOutput::replace_sleeping_filter(r_);
  if (!blocks_) return;
  if (paced_ == nullptr && !flush && weight <= exchange::kHighWater && !(file && reads_files())) return;
  flush_softly(r_);
  blocks_ = false;
}

ResponseWriter::Outcome ResponseWriter::pass(size_t weight) {
  if (!blocks_) {
    held_weight_ += weight;
    return pass_portions();
  }
  apr_status_t status;
  {
    const StopWindow window;
    status = ap_pass_brigade(r_->output_filters, brigade_);
  }
  apr_brigade_cleanup(brigade_);
  if (weight != 0) leg_->output_written_on_server(weight);
  return judge(status);
}

ResponseWriter::Outcome ResponseWriter::judge(apr_status_t status) {
  if (status == AP_FILTER_ERROR) return Outcome::kFilterError;
  // A client that leaves when it has everything has not left early.
  if (status == APR_SUCCESS && (ended_ || !r_->connection->aborted)) return Outcome::kOk;
  if (r_->connection->aborted) return Outcome::kClientGone;
  // It may have sent a page of its own before (mod_security2, by the body of the answer).
  log_request(r_, APLOG_INFO, status, Code::kOutputFailed, "an output filter refused the response; it is given up");
  return Outcome::kFilterError;
}

// The last filter keeps a file as what it is, however large; filters of the content and TLS would read it all.
bool ResponseWriter::reads_files() const {
  return r_->output_filters->frec->ftype < AP_FTYPE_PROTOCOL || is_tls(r_->connection);
}

// The brigade leaves portion by portion, each one when the socket has taken the one before.
ResponseWriter::Outcome ResponseWriter::pass_portions() {
  conn_rec* const c = r_->connection;
  if (rest_ == nullptr) rest_ = apr_brigade_create(r_->pool, c->bucket_alloc);
  const auto paced = [this] { return paced_ != nullptr && paced_->holds(); };
  bool ok = !c->data_in_output_filters || flush_pending(c);
  if (ok && paced() && !c->data_in_output_filters) {
    const Outcome outcome = judge(paced_->release());
    if (outcome != Outcome::kOk) return outcome;
    ok = flush_pending(c);
  }
  while (ok && !c->data_in_output_filters && !paced() && !APR_BRIGADE_EMPTY(brigade_)) {
    apr_bucket* const first = APR_BRIGADE_FIRST(brigade_);
    apr_bucket* after = nullptr;
    if (APR_BUCKET_IS_FILE(first) && !reads_files()) after = APR_BUCKET_NEXT(first);
    else apr_brigade_partition(brigade_, kNonBlockingPortion, &after);
    apr_brigade_split_ex(brigade_, after, rest_);
    const apr_status_t status = ap_pass_brigade(r_->output_filters, brigade_);
    apr_brigade_cleanup(brigade_);
    std::swap(brigade_, rest_);
    const Outcome outcome = judge(status);
    if (outcome != Outcome::kOk) return outcome;
    ok = flush_pending(c);
  }
  const bool kept = paced() || !APR_BRIGADE_EMPTY(brigade_);
  if (!ok && !(ended_ && !kept)) return Outcome::kClientGone;
  held_ = kept || (!ended_ && c->data_in_output_filters);
  if (!held_ && held_weight_ != 0) leg_->output_written_on_server(std::exchange(held_weight_, 0));
  return Outcome::kOk;
}

const exchange::Clock::time_point* ResponseWriter::held_until() const {
  if (paced_ == nullptr || !paced_->holds() || r_->connection->data_in_output_filters) return nullptr;
  return &paced_->due();
}

ResponseWriter::Outcome ResponseWriter::resume() { return pass_portions(); }

bool ResponseWriter::parse(const std::string& packed, exchange::ResponseHead* head) {
  return head->parse(apr_pstrmemdup(r_->pool, packed.data(), packed.size()), packed.size());
}

bool ResponseWriter::take_head(std::string* packed) {
  if (head_taken_) return false;
  exchange::ResponseHead head;
  if (!parse(*packed, &head) || head.status < 200 || head.status > 999) return false;

  // An application behind ErrorDocument that says 200 has made the page; the error stays an error.
  if (!for_error_ || head.status != HTTP_OK) {
    r_->status = head.status;
    r_->status_line = head.status_line;
  }
  if (head.is_http_text) leave_ranges_to_the_application();
  // What the phases before us concluded from the script's name says nothing about the answer.
  r_->content_type = nullptr;
  r_->content_encoding = nullptr;
  r_->content_languages = nullptr;
  r_->vlist_validator = nullptr;
  for (const exchange::HeaderField& field : head.fields) {
    if (!add_header(field)) return false;
  }
  if (head.closes) r_->connection->keepalive = AP_CONN_CLOSE;
  body_allowed_ = !r_->header_only && head.status != HTTP_NO_CONTENT && head.status != HTTP_NOT_MODIFIED;
  head_taken_ = true;
  // A client that waits for "100 Continue" gets this answer in its place and may never send the body. httpd would read
  // it to the end before it sends the answer, if the connection were to be used again.
  if (r_->expecting_100) {
    r_->expecting_100 = 0;
    r_->connection->keepalive = AP_CONN_CLOSE;
  }
  return true;
}

bool ResponseWriter::add_header(const exchange::HeaderField& field) {
  if (strcasecmp(field.name, "Content-Type") == 0) {
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 132)
    ap_set_content_type_ex(r_, field.value, 0);
#else
    ap_set_content_type(r_, field.value);
#endif
    return true;
  }
  if (strcasecmp(field.name, "Content-Length") == 0) {
    apr_off_t length = 0;
    if (declared_length_ >= 0 || !ap_parse_strict_length(&length, field.value)) return false;
    declared_length_ = length;
  }
  apr_table_addn(r_->headers_out, field.name, field.value);
  return true;
}

// httpd makes parts of any complete answer when the client asks for them. A server of Node answers as it decides: one that
// says 200 to a request with Range means all of it.
void ResponseWriter::leave_ranges_to_the_application() {
  for (ap_filter_t* filter = r_->output_filters; filter != nullptr; filter = filter->next) {
    if (filter->frec != ap_byterange_filter_handle) continue;
    ap_remove_output_filter(filter);
    return;
  }
}

void ResponseWriter::send_interim(std::string* packed) {
  if (head_taken_ || r_->proto_num < HTTP_VERSION(1, 1)) return;
  exchange::ResponseHead head;
  if (!parse(*packed, &head) || head.status < 100 || head.status > 199) return;
  if (head.status == HTTP_SWITCHING_PROTOCOLS) return;
  if (head.status == HTTP_CONTINUE && !r_->expecting_100) return;

  apr_table_t* const headers = r_->headers_out;
  const int final_status = r_->status;
  const char* const final_status_line = r_->status_line;
  r_->headers_out = apr_table_make(r_->pool, 4);
  for (const exchange::HeaderField& field : head.fields) apr_table_addn(r_->headers_out, field.name, field.value);
  r_->status = head.status;
  r_->status_line = head.status_line;
  // httpd takes any of them for what the client waits for, which only a 100 is.
  const bool still_expecting = r_->expecting_100 && head.status != HTTP_CONTINUE;
  choose_way(0, true, false);
  ap_send_interim_response(r_, 1);
  if (!blocks_) flush_pending(r_->connection);
  r_->expecting_100 = still_expecting;
  r_->status = final_status;
  r_->status_line = final_status_line;
  r_->headers_out = headers;
}

void ResponseWriter::add_trailers(const std::string& lines) {
  std::vector<exchange::HeaderField> fields;
  if (!exchange::parse_fields(apr_pstrmemdup(r_->pool, lines.data(), lines.size()), lines.size(), &fields)) return;
  for (const exchange::HeaderField& field : fields) {
    if (!belongs_to_framing(field.name)) apr_table_addn(r_->trailers_out, field.name, field.value);
  }
  const bool possible = body_allowed_ && r_->proto_num >= HTTP_VERSION(1, 1);
  if (has_trailers_ || !possible || apr_is_empty_table(r_->trailers_out)) return;
  has_trailers_ = true;
  // mod_http2 sends the table by itself.
  if (r_->connection->master == nullptr) add_trailer_filter(r_);
}

// Bytes beyond the announced length would be read as the start of the next response.
uint64_t ResponseWriter::clip(uint64_t size) const {
  if (declared_length_ < 0 || !body_allowed_) return size;
  const uint64_t left = static_cast<uint64_t>(declared_length_) - body_bytes_;
  return size < left ? size : left;
}

void ResponseWriter::add_data(exchange::Chunk* chunk) {
  const size_t size = static_cast<size_t>(clip(chunk->size));
  if (size == 0) return;
  apr_bucket_alloc_t* allocator = r_->connection->bucket_alloc;
  // The bucket takes the block over and frees it with free(), possibly on another thread.
  APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_heap_create(chunk->data, size, std::free, allocator));
  chunk->data = nullptr;
  chunk->size = 0;
  body_bytes_ += size;
}

void ResponseWriter::add_file(OutputItem* item) {
  const uint64_t size = clip(static_cast<uint64_t>(item->length));
  if (size == 0 || item->fd < 0) return;
  apr_file_t* file = adopt_descriptor(item->fd, sendfile_, r_->pool);
  if (file == nullptr) {
    bad_file_ = true;
    return;
  }
  apr_bucket* bucket = apr_brigade_insert_file(brigade_, file, static_cast<apr_off_t>(item->offset),
                                               static_cast<apr_off_t>(size), r_->pool);
#if APR_HAS_MMAP
  const auto* core = static_cast<const core_dir_config*>(ap_get_core_module_config(r_->per_dir_config));
  if (core->enable_mmap == ENABLE_MMAP_OFF) apr_bucket_file_enable_mmap(bucket, 0);
#else
  (void)bucket;
#endif
  body_bytes_ += size;
}

bool ResponseWriter::delimited_by_close() const {
  return !r_->chunked && apr_table_get(r_->headers_out, "Content-Length") == nullptr &&
         r_->connection->master == nullptr;
}

// The error bucket makes httpd leave out the last chunk and close the connection (it is what mod_proxy does when its
// backend breaks off); HTTP/2 resets the stream. Where only the end of the connection ends the body, an orderly close
// would look complete: the connection is reset instead.
void ResponseWriter::break_off() {
  conn_rec* c = r_->connection;
  ended_ = true;
  if (paced_ != nullptr) paced_->let_go();
  apr_bucket_alloc_t* allocator = c->bucket_alloc;
  APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_flush_create(allocator));
  if (pass(0) != Outcome::kOk) return;
  c->keepalive = AP_CONN_CLOSE;
  APR_BRIGADE_INSERT_TAIL(brigade_, ap_bucket_error_create(HTTP_BAD_GATEWAY, nullptr, r_->pool, allocator));
  if (c->master == nullptr) APR_BRIGADE_INSERT_TAIL(brigade_, apr_bucket_eos_create(allocator));
  ap_pass_brigade(r_->output_filters, brigade_);
  apr_brigade_cleanup(brigade_);
  if (delimited_by_close()) reset_connection();
}

void ResponseWriter::reset_connection() {
  apr_socket_t* socket = ap_get_conn_socket(r_->connection);
  apr_os_sock_t descriptor = -1;
  if (socket == nullptr || apr_os_sock_get(&descriptor, socket) != APR_SUCCESS) return;
  const linger immediately{1, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &immediately, sizeof immediately);
  // Otherwise httpd would shut the sending side down first, and the client would read an ordinary end.
  r_->connection->aborted = 1;
}

}  // namespace nwsgi::httpd_side
