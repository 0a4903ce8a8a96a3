// Hands the application's output to httpd's output filters.
#pragma once

#include <httpd.h>

#include <apr_buckets.h>

#include <cstdint>
#include <string>
#include <vector>

#include "exchange/server_leg.h"
#include "exchange/response_head.h"

namespace nwsgi::httpd_side {

class PacedOutput;

class ResponseWriter {
 public:
  ResponseWriter(request_rec* r, exchange::ServerLeg* leg, bool sendfile);

  enum class Outcome {
    kOk,
    kClientGone,   // the connection cannot be written to any more
    kFilterError,  // a filter has answered by itself
    kBadHead,      // the gateway handed over something that is no head; nothing was sent
  };
  // Passes one batch on. `end`: what was known together with the last item. Blocks while the client does not read, as
  // long as httpd's Timeout allows.
  Outcome write(std::vector<exchange::OutputItem>* output, exchange::End end);
  // From now on write() passes on what the client takes at once and holds the rest; resume() goes on with it when the
  // socket takes more. The connection is marked (soft_flush.h) by the first output that could block.
  void do_not_block() { may_hold_ = true; }
  // Something of what was written is still to be sent: write nothing else meanwhile.
  bool held() const { return held_; }
  // While something is held: not because the client is slow, but because of mod_ratelimit, until then. Else null.
  const exchange::Clock::time_point* held_until() const;
  Outcome resume();
  // Ends an incomplete response so that the client cannot take it for a complete one.
  void break_off();

  // Takes a head apart; its texts live as long as the request.
  bool parse(const std::string& packed, exchange::ResponseHead* head);

  bool head_taken() const { return head_taken_; }
  // The response has ended, as complete or broken off.
  bool ended() const { return ended_; }

 private:
  bool take_head(std::string* packed);
  bool add_header(const exchange::HeaderField& field);
  void leave_ranges_to_the_application();
  void send_interim(std::string* packed);
  void add_trailers(const std::string& lines);
  void add_data(exchange::Chunk* chunk);
  void add_file(exchange::OutputItem* item);
  uint64_t clip(uint64_t size) const;
  Outcome pass(size_t weight);
  void choose_way(size_t weight, bool flush, bool file);
  Outcome pass_portions();
  Outcome judge(apr_status_t status);
  bool reads_files() const;
  bool delimited_by_close() const;
  void reset_connection();

  request_rec* const r_;
  exchange::ServerLeg* const leg_;
  apr_bucket_brigade* brigade_;
  apr_bucket_brigade* rest_ = nullptr;  // empty between calls
  const bool sendfile_;
  const bool for_error_;  // the request stands in for an error page (ErrorDocument)
  bool head_taken_ = false;
  bool ended_ = false;
  bool bad_file_ = false;
  bool has_trailers_ = false;
  bool may_hold_ = false;
  bool blocks_ = true;
  bool held_ = false;
  bool pace_known_ = false;
  PacedOutput* paced_ = nullptr;  // where mod_ratelimit has a say
  size_t held_weight_ = 0;  // to report when nothing is held any more
  bool body_allowed_ = true;
  int64_t declared_length_ = -1;  // the application's Content-Length
  uint64_t body_bytes_ = 0;       // bytes of the body handed to the filters
};

}  // namespace nwsgi::httpd_side
