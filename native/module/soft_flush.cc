#include "module/soft_flush.h"

#include <apr_buckets.h>
#include <http_config.h>
#include <util_filter.h>

#include <new>
#include <utility>

#include "module/log.h"

namespace nwsgi::httpd_side {
namespace {

ap_filter_rec_t* filter_record = nullptr;

apr_status_t take_flushes_out(ap_filter_t* filter, apr_bucket_brigade* brigade) noexcept {
  const ConnectionNote* const note = connection_note(filter->c);
  if (note != nullptr && note->flushes_softly) {
    apr_bucket* next = nullptr;
    for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade); bucket = next) {
      next = APR_BUCKET_NEXT(bucket);
      if (APR_BUCKET_IS_FLUSH(bucket)) apr_bucket_delete(bucket);
    }
  }
  return ap_pass_brigade(filter->next, brigade);
}

}  // namespace

ConnectionNote* connection_note(const conn_rec* c) {
  return static_cast<ConnectionNote*>(ap_get_module_config(c->conn_config, &nwsgi_module));
}

ConnectionNote* make_connection_note(conn_rec* c) {
  ConnectionNote* note = connection_note(c);
  if (note != nullptr) return note;
  note = new (apr_palloc(c->pool, sizeof(ConnectionNote))) ConnectionNote;
  ap_set_module_config(c->conn_config, &nwsgi_module, note);
  return note;
}

void register_soft_flush() {
  filter_record = ap_register_output_filter("NWSGI_SOFT_FLUSH", take_flushes_out, nullptr,
                                            static_cast<ap_filter_type>(AP_FTYPE_NETWORK - 1));
}

void flush_softly(request_rec* r) {
  ConnectionNote* const note = make_connection_note(r->connection);
  // With the request: its own filters may have to learn of it, where no other one lies between them and the last.
  if (!std::exchange(note->has_filter, true)) ap_add_output_filter_handle(filter_record, nullptr, r, r->connection);
  note->flushes_softly = true;
}

void flush_hard(const conn_rec* c) {
  if (ConnectionNote* const note = connection_note(c)) note->flushes_softly = false;
}

}  // namespace nwsgi::httpd_side
