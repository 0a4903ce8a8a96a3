// Makes the request record (exchange/record.h) of the PARAMS that a FastCGI client of another make sends: NGINX,
// mod_proxy_fcgi, Caddy, lighttpd.
//
// Nothing is trusted: names that the gateway would take for instructions, or for headers with the client's own spelling, are
// left out, and so is HTTP_PROXY. Which application is meant is said by the options, never by the client. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace nwsgi::fastcgi {

struct PlainOptions {
  // Pairs, encoded as a record, that stand before those of each request: nwsgi.x-target first. What they name is not taken
  // from the client.
  std::string pairs;
  // URL path of the application, without a slash at its end; '' for the root.
  std::string mount;
};

struct PlainRequest {
  std::string record;
  bool is_head = false;
  bool length_known = false;    // the client said how long the body is
  uint64_t content_length = 0;
};

class PlainRecords {
 public:
  explicit PlainRecords(PlainOptions options);
  // False when the PARAMS are malformed.
  bool make(std::string_view params, PlainRequest* request) const;

 private:
  PlainOptions options_;
  std::unordered_set<std::string> given_;  // names in options_.pairs
};

}  // namespace nwsgi::fastcgi
