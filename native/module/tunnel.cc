#include "module/tunnel.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "module/log.h"
#include "module/pending_output.h"
#include "module/stop_signals.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::AbortReason;
using exchange::Clock;
using exchange::End;
using exchange::OutputItem;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kMostPerRead = 64 * 1024;
constexpr int kReadsPerStep = 16;
// How long a client may go on sending after the application has closed its side.
constexpr seconds kHalfCloseTime{30};
// How long tunnels outlive the begin of a graceful stop. The same as for the requests of a replaced environment.
constexpr seconds kStopTime{15};
// How often a stop of the server is looked for.
constexpr milliseconds kSlice{5000};
constexpr milliseconds kStopSlice{1000};

bool server_stops() {
  int state = AP_MPMQ_RUNNING;
  return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

}  // namespace

Tunnel::Tunnel(request_rec* r, exchange::ServerLeg* leg)
    : r_(r),
      c_(r->connection),
      leg_(leg),
      is_stream_(c_->master != nullptr),
      outgoing_(apr_brigade_create(r->pool, c_->bucket_alloc)),
      rest_(apr_brigade_create(r->pool, c_->bucket_alloc)),
      incoming_(apr_brigade_create(r->pool, c_->bucket_alloc)) {}

// mod_http2 presents an extended CONNECT as a GET with Upgrade, too.
bool Tunnel::possible(const request_rec* r) {
  return r->main == nullptr && r->proto_num >= HTTP_VERSION(1, 1) && apr_table_get(r->headers_in, "Upgrade") != nullptr;
}

void Tunnel::open(const exchange::ResponseHead& head) {
  r_->status = HTTP_SWITCHING_PROTOCOLS;
  r_->sent_bodyct = 1;  // the access log counts the bytes of the tunnel
  r_->status_line = head.status == HTTP_SWITCHING_PROTOCOLS ? head.status_line : "101 Switching Protocols";
  apr_table_clear(r_->headers_out);
  const char* const protocol = head.upgrade != nullptr ? head.upgrade : apr_table_get(r_->headers_in, "Upgrade");
  apr_table_addn(r_->headers_out, "Upgrade", protocol);
  apr_table_addn(r_->headers_out, "Connection", "Upgrade");
  for (const exchange::HeaderField& field : head.fields) apr_table_addn(r_->headers_out, field.name, field.value);
  {
    const StopWindow window;
    ap_send_interim_response(r_, 1);
  }
  if (!is_stream_) send_pending();  // its failure is found by the next look
  // Time limits for requests, and a filter that waits for more before it encrypts, have no place in another protocol.
  ap_remove_output_filter_byhandle(c_->output_filters, "SSL/TLS Coalescing Filter");
  ap_remove_input_filter_byhandle(c_->input_filters, "reqtimeout");
  r_->input_filters = r_->proto_input_filters = c_->input_filters;
  r_->output_filters = r_->proto_output_filters = c_->output_filters;
  // What is left of the input is no request, and httpd does not look for one.
  c_->keepalive = AP_CONN_CLOSE;
  leg_->begin_tunnel_on_server();
}

void Tunnel::take(std::vector<OutputItem>* output) {
  for (OutputItem& item : *output) {
    if (item.kind == OutputItem::Kind::kLog) {
      log_request_text(r_, item.level, item.text);
    } else if (item.kind == OutputItem::Kind::kData && item.chunk.size != 0) {
      // The bucket takes the block over and frees it with free(), possibly on another thread.
      const exchange::Chunk chunk = std::exchange(item.chunk, {});
      APR_BRIGADE_INSERT_TAIL(outgoing_,
                              apr_bucket_heap_create(chunk.data, chunk.size, std::free, c_->bucket_alloc));
    }
  }
  output->clear();
}

bool Tunnel::step() {
  exchange::Work work = leg_->poll_on_server();
  take(&work.output);
  if (c_->aborted) return client_left(0);
  if (work.end == End::kAborted || work.end == End::kFailed) {
    const exchange::Failure& failure = leg_->failure_on_server();
    if (!failure.message.empty()) {
      log_request(r_, APLOG_INFO, 0, Code::kResponseBrokenOff, "the application ended (%s); its tunnel is closed",
                  failure.code.c_str());
    }
    break_off();
    return false;
  }
  end_asked_ = work.end == End::kComplete;
  input_wanted_ = work.body_wanted;
  if (!send() || !receive()) return false;
  return (sending_ || receiving_) && limits_hold();
}

// ---- to the client ----

bool Tunnel::send() {
  if (!sending_) return true;
  if (pending_ && std::exchange(writable_, false) && !send_pending()) return client_left(0);
  while (!pending_ && !APR_BRIGADE_EMPTY(outgoing_)) {
    apr_bucket* after = nullptr;
    apr_brigade_partition(outgoing_, kNonBlockingPortion, &after);
    apr_brigade_split_ex(outgoing_, after, rest_);
    apr_off_t size = 0;
    apr_brigade_length(outgoing_, 0, &size);
    if (is_stream_) APR_BRIGADE_INSERT_TAIL(outgoing_, apr_bucket_flush_create(c_->bucket_alloc));
    apr_status_t status;
    {
      const StopWindow window;
      status = ap_pass_brigade(c_->output_filters, outgoing_);
    }
    apr_brigade_cleanup(outgoing_);
    std::swap(outgoing_, rest_);
    leg_->output_written_on_server(static_cast<size_t>(size));
    r_->bytes_sent += size;
    if (status != APR_SUCCESS || c_->aborted || !send_pending()) return client_left(status);
  }
  if (end_asked_ && !pending_) close_sending();
  return true;
}

// False when the connection failed.
bool Tunnel::send_pending() {
  const bool was_pending = pending_;
  const bool ok = flush_pending(c_);
  pending_ = c_->data_in_output_filters != 0;
  if (pending_ && !was_pending) pending_since_ = Clock::now();
  return ok;
}

void Tunnel::close_sending() {
  sending_ = false;
  leave_at_ = Clock::now() + kHalfCloseTime;
  const bool tls = !is_stream_ && is_tls(c_);
  // The end of a stream; or TLS's notice of the end, after which mod_ssl can read nothing more either.
  if (is_stream_) APR_BRIGADE_INSERT_TAIL(outgoing_, apr_bucket_eos_create(c_->bucket_alloc));
  if (tls) APR_BRIGADE_INSERT_TAIL(outgoing_, ap_bucket_eoc_create(c_->bucket_alloc));
  if (!APR_BRIGADE_EMPTY(outgoing_)) {
    const StopWindow window;
    ap_pass_brigade(c_->output_filters, outgoing_);
    apr_brigade_cleanup(outgoing_);
  }
  r_->eos_sent = 1;
  if (is_stream_) return;
  if (apr_socket_t* socket = ap_get_conn_socket(c_)) apr_socket_shutdown(socket, APR_SHUTDOWN_WRITE);
  if (tls) end_input();
}

// ---- from the client ----

bool Tunnel::receive() {
  for (int i = 0; i < kReadsPerStep && receiving_ && input_wanted_ && maybe_input_; ++i) {
    const size_t room = leg_->body_room_on_server();
    if (room == 0) {
      input_wanted_ = false;
      break;
    }
    const apr_status_t status = ap_get_brigade(c_->input_filters, incoming_, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                                               static_cast<apr_off_t>(std::min(room, kMostPerRead)));
    if (APR_STATUS_IS_EAGAIN(status)) {
      maybe_input_ = false;
    } else if (APR_STATUS_IS_EOF(status) || (status != APR_SUCCESS && is_stream_ && !sending_)) {
      // mod_http2 may give up the input of a stream whose output has ended.
      end_input();
    } else if (status != APR_SUCCESS) {
      return client_left(status);
    } else if (!push_input()) {
      return false;
    }
    apr_brigade_cleanup(incoming_);
  }
  return true;
}

bool Tunnel::push_input() {
  if (APR_BRIGADE_EMPTY(incoming_)) maybe_input_ = false;
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(incoming_); bucket != APR_BRIGADE_SENTINEL(incoming_);
       bucket = APR_BUCKET_NEXT(bucket)) {
    // mod_http2 says by an EOS that the request had no body; the end of the stream is a status.
    if (APR_BUCKET_IS_METADATA(bucket)) continue;
    const char* bytes = nullptr;
    apr_size_t size = 0;
    const apr_status_t status = apr_bucket_read(bucket, &bytes, &size, APR_BLOCK_READ);
    if (status != APR_SUCCESS) {
      apr_brigade_cleanup(incoming_);
      return client_left(status);
    }
    leg_->push_body_on_server(bytes, size);
  }
  return true;
}

void Tunnel::end_input() {
  receiving_ = false;
  leg_->end_body_on_server();
}

// ---- waiting ----

unsigned Tunnel::interests() const {
  const bool reads = receiving_ && input_wanted_;
  return (reads ? ClientWatch::kRead : 0u) | (pending_ ? ClientWatch::kWrite : 0u) |
         (hung_up_ ? 0u : ClientWatch::kHangUp);
}

milliseconds Tunnel::patience() const {
  if (receiving_ && input_wanted_ && maybe_input_) return milliseconds(0);
  Clock::time_point until = Clock::now() + kSlice;
  if (pending_) until = std::min(until, pending_since_ + microseconds(r_->server->timeout));
  if (leave_at_ != Clock::time_point{}) until = std::min(until, leave_at_);
  // While the child stops, its patience may end at any time.
  if (stop_at_ != Clock::time_point{}) until = std::min({until, stop_at_, Clock::now() + kStopSlice});
  return std::chrono::ceil<milliseconds>(until - Clock::now());
}

void Tunnel::note(const ClientWatch::Found& found) {
  if (found.broken) c_->aborted = 1;
  if ((found.client & ClientWatch::kRead) != 0) maybe_input_ = true;
  if ((found.client & ClientWatch::kWrite) != 0) writable_ = true;
  if ((found.client & ClientWatch::kHangUp) == 0) return;
  // Both sides are closed. Bytes that came before can still be read; with ours open it was no orderly end.
  hung_up_ = true;
  maybe_input_ = true;
  if (sending_ && !(receiving_ && input_wanted_)) c_->aborted = 1;
}

bool Tunnel::limits_hold() {
  const Clock::time_point now = Clock::now();
  if (pending_ && now - pending_since_ >= microseconds(r_->server->timeout)) return client_left(APR_TIMEUP);
  if (leave_at_ != Clock::time_point{} && now >= leave_at_) return abandon(AbortReason::kClientGone);
  if (stop_at_ == Clock::time_point{}) {
    if (server_stops()) stop_at_ = now + kStopTime;
    return true;
  }
  return now < stop_at_ || abandon(AbortReason::kServerStopping);
}

// ---- the end ----

bool Tunnel::client_left(apr_status_t reason) {
  log_request(r_, APLOG_INFO, reason, Code::kClientGone, "the client left without closing its tunnel");
  return abandon(AbortReason::kClientGone);
}

bool Tunnel::abandon(AbortReason reason) {
  leg_->abort_on_server(reason);
  break_off();
  return false;
}

// httpd closes an aborted connection without a further byte. A stream is reset by an error that comes before its end.
void Tunnel::break_off() {
  apr_brigade_cleanup(outgoing_);
  if (is_stream_ && !c_->aborted && sending_) {
    const StopWindow window;
    APR_BRIGADE_INSERT_TAIL(outgoing_, ap_bucket_error_create(HTTP_BAD_GATEWAY, nullptr, r_->pool, c_->bucket_alloc));
    ap_pass_brigade(c_->output_filters, outgoing_);
    apr_brigade_cleanup(outgoing_);
  } else if (sending_ || receiving_) {
    c_->aborted = 1;
  }
  sending_ = receiving_ = false;
}

}  // namespace nwsgi::httpd_side
