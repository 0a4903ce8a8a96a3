#include "module/paced_output.h"

#include <apr_buckets.h>
#include <apr_strings.h>

#include <chrono>
#include <cstdlib>
#include <new>

namespace nwsgi::httpd_side {
namespace {

using exchange::Clock;

// As in mod_ratelimit: RATE_INTERVAL_MS.
constexpr std::chrono::milliseconds kInterval{200};
constexpr apr_off_t kIntervalsPerSecond = 5;

ap_filter_rec_t* filter_record = nullptr;

// Kilobytes of a variable, as bytes; 0: none.
apr_off_t bytes_of(const request_rec* r, const char* variable) {
  const char* const value = apr_table_get(r->subprocess_env, variable);
  const int kilobytes = value != nullptr ? std::atoi(value) : 0;
  return kilobytes > 0 ? static_cast<apr_off_t>(kilobytes) * 1024 : 0;
}

}  // namespace

PacedOutput::PacedOutput(request_rec* r, ap_filter_t* filter, apr_off_t portion, apr_off_t burst)
    : r_(r),
      filter_(filter),
      waiting_(apr_brigade_create(r->pool, r->connection->bucket_alloc)),
      portion_(apr_brigade_create(r->pool, r->connection->bucket_alloc)),
      rest_(apr_brigade_create(r->pool, r->connection->bucket_alloc)),
      portion_size_(portion),
      burst_(burst) {}

PacedOutput* PacedOutput::replace_sleeping_filter(request_rec* r) {
  if (filter_record == nullptr || r->main != nullptr) return nullptr;
  for (ap_filter_t* filter = r->output_filters; filter != nullptr && filter->r == r; filter = filter->next) {
    if (strcasecmp(filter->frec->name, "RATE_LIMIT") != 0) continue;
    const apr_off_t portion = bytes_of(r, "rate-limit") / kIntervalsPerSecond;
    if (filter->ctx != nullptr || portion == 0) return nullptr;
    void* const memory = apr_palloc(r->pool, sizeof(PacedOutput));
    auto* const paced = new (memory) PacedOutput(r, filter, portion, bytes_of(r, "rate-initial-burst"));
    filter->frec = filter_record;
    filter->ctx = paced;
    return paced;
  }
  return nullptr;
}

apr_status_t PacedOutput::filter(ap_filter_t* filter, apr_bucket_brigade* brigade) noexcept {
  auto* const self = static_cast<PacedOutput*>(filter->ctx);
  const apr_status_t status = ap_save_brigade(filter, &self->waiting_, &brigade, self->r_->pool);
  return status == APR_SUCCESS ? self->release() : status;
}

// Moves what may be sent at once from waiting_ to portion_. False when that is too little to be sent unasked.
bool PacedOutput::take_portion() {
  apr_off_t size = portion_size_ + burst_;
  apr_bucket* after = nullptr;
  if (let_go_ || apr_brigade_partition(waiting_, size, &after) != APR_SUCCESS) after = APR_BRIGADE_SENTINEL(waiting_);
  while (after != APR_BRIGADE_SENTINEL(waiting_) && APR_BUCKET_IS_METADATA(after)) after = APR_BUCKET_NEXT(after);
  const bool all = after == APR_BRIGADE_SENTINEL(waiting_);
  if (all) apr_brigade_length(waiting_, 1, &size);
  const apr_bucket* const last = APR_BUCKET_PREV(after);
  ended_ = APR_BUCKET_IS_EOS(last);
  const bool flushed = APR_BUCKET_IS_FLUSH(last);
  if (all && !ended_ && !flushed && !let_go_) return false;
  burst_ = size < burst_ ? burst_ - size : 0;
  apr_brigade_split_ex(waiting_, after, rest_);
  APR_BRIGADE_CONCAT(portion_, waiting_);
  APR_BRIGADE_CONCAT(waiting_, rest_);
  if (!ended_ && !flushed) {
    APR_BRIGADE_INSERT_TAIL(portion_, apr_bucket_flush_create(r_->connection->bucket_alloc));
  }
  return true;
}

apr_status_t PacedOutput::release() {
  apr_status_t status = APR_SUCCESS;
  while (status == APR_SUCCESS) {
    const Clock::time_point now = Clock::now();
    holds_ = !APR_BRIGADE_EMPTY(waiting_) && now < due_ && !let_go_;
    if (holds_ || APR_BRIGADE_EMPTY(waiting_) || !take_portion()) break;
    ap_filter_t* const next = filter_->next;
    if (ended_) ap_remove_output_filter(filter_);
    status = ap_pass_brigade(next, portion_);
    apr_brigade_cleanup(portion_);
    due_ = now + kInterval;
  }
  return status;
}

void PacedOutput::let_go() {
  let_go_ = true;
  if (!ended_) release();
}

void register_paced_output() {
  filter_record = ap_register_output_filter("NWSGI_RATE_LIMIT", PacedOutput::filter, nullptr,
                                            static_cast<ap_filter_type>(AP_FTYPE_CONNECTION - 1));
}

}  // namespace nwsgi::httpd_side
