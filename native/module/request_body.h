// Reads the client's body into the exchange, as far as the application wants it and the exchange has room.
#pragma once

#include <httpd.h>

#include <apr_buckets.h>

#include "exchange/server_leg.h"

namespace nwsgi::httpd_side {

class RequestBody {
 public:
  RequestBody(request_rec* r, exchange::ServerLeg* leg);

  enum class Progress {
    kMoved,    // bytes or the end were pushed, or there is nothing left to read
    kStarved,  // nothing there yet: wait for the client
    kFailed,   // the body cannot be read to its end; the exchange knows
  };
  // Never blocks. Sends "100 Continue" when the client waits for it and no final head was sent.
  Progress pump();
  // A small body is nearly always there already: taken before the application is asked, it saves a round trip.
  void prefetch();

  // What nobody reads any more, because the answer is complete: like pump(), into nowhere.
  Progress discard();

  // The client sent nothing for as long as the server's Timeout allows.
  void time_out();

  bool finished() const { return finished_; }
  bool failed() const { return failed_; }
  // The HTTP status that the failure asks for; 0 when there is none.
  int failure_status() const { return failure_status_; }
  // A filter has already sent an error page to the client.
  bool answered_by_filter() const { return answered_; }

 private:
  Progress read_some(size_t room);
  Progress read_once(size_t* left);
  Progress take_brigade(size_t* left);
  Progress fail(int status, const char* what, apr_status_t reason);
  void send_continue();

  request_rec* const r_;
  exchange::ServerLeg* const leg_;
  apr_bucket_brigade* brigade_ = nullptr;
  bool finished_;
  bool failed_ = false;
  bool answered_ = false;
  bool discarding_ = false;
  int failure_status_ = 0;
};

}  // namespace nwsgi::httpd_side
