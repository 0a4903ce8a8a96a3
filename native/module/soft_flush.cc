#include "module/soft_flush.h"

#include <apr_buckets.h>
#include <util_filter.h>

#include "module/parked_connection.h"

namespace nwsgi::httpd_side {
namespace {

ap_filter_rec_t* filter_record = nullptr;

apr_status_t take_flushes_out(ap_filter_t* filter, apr_bucket_brigade* brigade) noexcept {
  if (ParkedConnection::flushes_softly(filter->c)) {
    apr_bucket* next = nullptr;
    for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade); bucket = next) {
      next = APR_BUCKET_NEXT(bucket);
      if (APR_BUCKET_IS_FLUSH(bucket)) apr_bucket_delete(bucket);
    }
  }
  return ap_pass_brigade(filter->next, brigade);
}

}  // namespace

void register_soft_flush() {
  filter_record = ap_register_output_filter("NWSGI_SOFT_FLUSH", take_flushes_out, nullptr,
                                            static_cast<ap_filter_type>(AP_FTYPE_NETWORK - 1));
}

void add_soft_flush(request_rec* r) { ap_add_output_filter_handle(filter_record, nullptr, r, r->connection); }

}  // namespace nwsgi::httpd_side
