// mod_ratelimit's rate without its sleep.
//
// That module's filter sleeps on the thread that sends. Where output must not block, this one takes its place: it sends as
// much at a time and keeps the rest until it is due.
// Threads: the one that serves the request. Lifetime: the request's pool.
#pragma once

#include <httpd.h>

#include <util_filter.h>

#include "exchange/work.h"

namespace nwsgi::httpd_side {

class PacedOutput {
 public:
  // Null where the request has no such filter, no rate, or that filter has begun.
  static PacedOutput* replace_sleeping_filter(request_rec* r);

  // Something waits until due().
  bool holds() const { return holds_; }
  const exchange::Clock::time_point& due() const { return due_; }
  // Sends what is due by now.
  apr_status_t release();
  // No rate any more: the response is broken off.
  void let_go();

 private:
  friend void register_paced_output();
  PacedOutput(request_rec* r, ap_filter_t* filter, apr_off_t portion, apr_off_t burst);
  static apr_status_t filter(ap_filter_t* filter, apr_bucket_brigade* brigade) noexcept;
  bool take_portion();

  request_rec* const r_;
  ap_filter_t* const filter_;
  apr_bucket_brigade* waiting_;
  apr_bucket_brigade* portion_;
  apr_bucket_brigade* rest_;
  const apr_off_t portion_size_;
  apr_off_t burst_;
  exchange::Clock::time_point due_{};
  bool holds_ = false;
  bool let_go_ = false;
  bool ended_ = false;  // the filter is not in the chain any more
};

void register_paced_output();

}  // namespace nwsgi::httpd_side
