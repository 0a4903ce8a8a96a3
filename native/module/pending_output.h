// Output that the filters of a connection hold because the client has not taken it yet.
#pragma once

#include <httpd.h>

#include <apr_optional.h>
#include <apr_portable.h>
#include <http_core.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <util_filter.h>

// Of mod_ssl; other TLS modules provide it, too.
APR_DECLARE_OPTIONAL_FN(int, ssl_is_https, (conn_rec*));

namespace nwsgi::httpd_side {

// Lets the last filter write what it holds, as far as the socket takes it: what the MPM does to complete a response.
// c->data_in_output_filters tells whether something is left. False when the connection failed.
inline bool flush_pending(conn_rec* c) {
  ap_filter_t* last = c->output_filters;
  while (last->next != nullptr) last = last->next;
  return last->frec->filter_func.out_func(last, nullptr) == APR_SUCCESS && !c->aborted;
}

inline bool is_tls(conn_rec* c) {
  const auto ssl_is_https = APR_RETRIEVE_OPTIONAL_FN(ssl_is_https);
  return ssl_is_https != nullptr && ssl_is_https(c) != 0;
}

// Whether the socket takes a small response without waiting: all that was sent before has arrived. Responses to pipelined requests
// had better leave together.
inline bool takes_at_once(conn_rec* c) {
  if (c->data_in_output_filters || c->data_in_input_filters || c->master != nullptr) return false;
  apr_socket_t* const socket = ap_get_conn_socket(c);
  apr_os_sock_t descriptor = -1;
  int unsent = 0;
  return socket != nullptr && apr_os_sock_get(&descriptor, socket) == APR_SUCCESS &&
         ::ioctl(descriptor, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

// Fits into any socket that is empty.
inline constexpr size_t kSmallResponse = 4 * 1024;

// Below the 64 KiB at which httpd's last filter begins to block (FlushMaxThreshold), with what TLS adds.
inline constexpr apr_off_t kNonBlockingPortion = 48 * 1024;

}  // namespace nwsgi::httpd_side
