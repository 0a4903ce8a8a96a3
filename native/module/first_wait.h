// How long a server's thread waits for an application before it gives the request up to the parking service.
//
// The connection goes with the request, for good. That costs once about what four requests save afterwards, so it pays for
// clients that come back, and for requests that would hold a thread; not for a client that asks once and is answered soon.
// Threads: any; the memory about mounts is a table of counters that are read and written without a lock.
#pragma once

#include <httpd.h>

#include <chrono>

#include "module/request_record.h"

namespace nwsgi::httpd_side {

class FirstWait {
 public:
  FirstWait(const request_rec* r, const RequestPlan& plan);
  ~FirstWait();
  FirstWait(const FirstWait&) = delete;
  FirstWait& operator=(const FirstWait&) = delete;

  // WSGIParkAfter Off.
  bool for_ever() const;
  std::chrono::microseconds longest() const { return longest_; }
  // Whether something was there in time.
  void note(bool answered);

 private:
  const apr_interval_time_t setting_;
  std::chrono::microseconds longest_{0};
  unsigned place_ = 0;
  bool measured_ = false;
};

}  // namespace nwsgi::httpd_side
