// Waits for the head of a request without a thread.
//
// httpd reads a head by blocking reads. On a connection that is the module's, an input filter in front of all others of the
// request takes what has arrived, and httpd is called when the head is complete, or never will be.
// Threads: the one that serves the connection. Lifetime: the connection's pool.
#pragma once

#include <httpd.h>

#include <util_filter.h>

namespace nwsgi::httpd_side {

class HeadGate {
 public:
  // Adds the filter. Between two requests.
  static HeadGate* install(conn_rec* c);

  enum class Found {
    kAll,      // the next request can be read without waiting, or will fail at once
    kPart,     // more of it than before
    kNothing,  // nothing new
  };
  Found look();
  // Something of a head is there, and more of it is awaited.
  bool waits() const { return begun_; }
  // What is awaited will not come in time: so httpd will find.
  void give_up() { status_ = APR_TIMEUP; }

 private:
  friend void register_head_gate();
  explicit HeadGate(conn_rec* c);
  static apr_status_t filter(ap_filter_t* filter, apr_bucket_brigade* brigade, ap_input_mode_t mode, apr_read_type_e block,
                             apr_off_t size) noexcept;
  apr_status_t serve(apr_bucket_brigade* brigade, ap_input_mode_t mode, apr_read_type_e block, apr_off_t size);
  apr_status_t copy(apr_bucket_brigade* brigade, apr_bucket* after);
  apr_status_t eat_empty_lines();
  bool take(const char* bytes, apr_size_t size);
  apr_off_t read();
  apr_off_t keep();
  void begin();
  void reset();

  conn_rec* const c_;
  ap_filter_t* filter_ = nullptr;
  apr_bucket_brigade* held_;
  apr_bucket_brigade* rest_;   // empty between calls, as is the next
  apr_bucket_brigade* fresh_;
  apr_status_t status_ = APR_SUCCESS;  // for the read after those that take what is held
  bool begun_ = false;
  bool complete_ = false;
  apr_off_t total_ = 0;
  // What was seen of the head.
  bool line_empty_ = true;
  bool has_request_line_ = false;
  bool names_protocol_ = false;  // "HTTP/": else no further line follows
  unsigned matched_ = 0;
};

void register_head_gate();

}  // namespace nwsgi::httpd_side
