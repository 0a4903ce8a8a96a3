// Takes the place of the request's output filters while its body is read.
//
// httpd's HTTP_IN filter answers a malformed chunk, or a body above LimitRequestBody, by an error bucket and the end of
// the response on the output filters. With a part of the application's response already sent, that would make the
// response look complete, and the read would return success with the rubbish in its brigade; with nothing sent, the
// application could not answer in its own way. So the error is caught here, and whoever reads decides.
#pragma once

#include <httpd.h>

#include <util_filter.h>

namespace nwsgi::httpd_side {

class ErrorCatcher {
 public:
  explicit ErrorCatcher(request_rec* r) : r_(r), outer_(r->output_filters) {
    filter_.frec = &record();
    filter_.ctx = this;
    // Without a request, ap_pass_brigade() does not note the end of the response.
    filter_.c = r->connection;
    r->output_filters = &filter_;
  }
  ~ErrorCatcher() { r_->output_filters = outer_; }
  ErrorCatcher(const ErrorCatcher&) = delete;
  ErrorCatcher& operator=(const ErrorCatcher&) = delete;

  // The HTTP status that the filter wanted to answer with; 0 when it did not.
  int status() const { return status_; }

 private:
  static ap_filter_rec_t& record() {
    static ap_filter_rec_t* const instance = [] {
      auto* made = new ap_filter_rec_t{};
      made->name = "nwsgi_error_catcher";
      made->filter_func.out_func = take;
      made->ftype = AP_FTYPE_RESOURCE;
      return made;
    }();
    return *instance;
  }
  static apr_status_t take(ap_filter_t* filter, apr_bucket_brigade* brigade) {
    auto* self = static_cast<ErrorCatcher*>(filter->ctx);
    for (apr_bucket* bucket = APR_BRIGADE_FIRST(brigade); bucket != APR_BRIGADE_SENTINEL(brigade);
         bucket = APR_BUCKET_NEXT(bucket)) {
      if (AP_BUCKET_IS_ERROR(bucket)) self->status_ = static_cast<ap_bucket_error*>(bucket->data)->status;
    }
    if (self->status_ == 0) self->status_ = HTTP_BAD_REQUEST;
    apr_brigade_cleanup(brigade);
    return AP_FILTER_ERROR;
  }

  request_rec* const r_;
  ap_filter_t* const outer_;
  ap_filter_t filter_{};
  int status_ = 0;
};

}  // namespace nwsgi::httpd_side
