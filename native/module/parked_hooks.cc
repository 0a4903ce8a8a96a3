// Requests on connections that are the module's: what the MPM's threads would note about them.
//
// A connection's scoreboard handle names the entry of the thread that serves it; without one, log lines call the client
// "remote". The service's threads have no entries, so the connection has a handle of no thread, which changes nothing.
// Two of httpd's functions do not expect such a handle: ap_set_conn_count(), called before a request is read and after its
// post_read_request hooks, sees none at all; ap_increment_counts(), called after log_transaction's hooks and before the
// request's pool goes, sees that of the thread that had the connection last.
// Threads: the one that serves the connection.
#include "module/parked_connection.h"

namespace nwsgi::httpd_side {

// Null for connections that are the MPM's, or about to be handed over by it.
ParkedConnection* ParkedConnection::served_here(const conn_rec* c) {
  ParkedConnection* const parked = of(c);
  return parked != nullptr && parked->phase_ != Phase::kHandedOver ? parked : nullptr;
}

void ParkedConnection::begin_request(request_rec*, conn_rec* c) noexcept {
  if (const ParkedConnection* const parked = served_here(c)) c->sbh = parked->unseen_;
}

// As the MPM does it: the first server of the address decides on keep-alive where the request's has no value of its own.
void ParkedConnection::note_timeouts(const request_rec* r) {
  timeout_ = r->server->timeout;
  keep_alive_timeout_ =
      r->server->keep_alive_timeout_set ? r->server->keep_alive_timeout : c_->base_server->keep_alive_timeout;
}

int ParkedConnection::note_server(request_rec* r) noexcept {
  ParkedConnection* const parked = served_here(r->connection);
  if (parked == nullptr) return DECLINED;
  parked->note_timeouts(r);
  if (r->main == nullptr && r->prev == nullptr) r->connection->sbh = nullptr;
  return DECLINED;
}

int ParkedConnection::begin_handling(request_rec* r, int) noexcept {
  if (const ParkedConnection* const parked = served_here(r->connection)) r->connection->sbh = parked->unseen_;
  return DECLINED;
}

int ParkedConnection::count_request(request_rec* r) noexcept {
  ParkedConnection* const parked = served_here(r->connection);
  if (parked == nullptr || !ap_extended_status) return DECLINED;
  r->connection->sbh = parked->scoreboard_;
  apr_pool_cleanup_register(r->pool, parked, request_counted, apr_pool_cleanup_null);
  return DECLINED;
}

apr_status_t ParkedConnection::request_counted(void* parked) noexcept {
  auto* const self = static_cast<ParkedConnection*>(parked);
  self->c_->sbh = self->unseen_;
  return APR_SUCCESS;
}

}  // namespace nwsgi::httpd_side
