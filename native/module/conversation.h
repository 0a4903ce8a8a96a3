// One request from hand-over to answer, on the thread that serves the client: carries the body to the application and
// the response to the client, and notices when either side gives up.
#pragma once

#include <httpd.h>

#include "module/carrier.h"
#include "module/client_watch.h"
#include "module/request_body.h"
#include "module/request_record.h"
#include "module/response_writer.h"

namespace nwsgi::httpd_side {

class Conversation final : private Waiting {
 public:
  // `request_timeout`: for the begin of the answer; 0: none. The carrier outlives the conversation.
  Conversation(request_rec* r, const RequestPlan& plan, Carrier* carrier, apr_interval_time_t request_timeout);
  // No call of the application reaches the request once the conversation is gone.
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // Submits the request and stays with it until it is over. Returns what the handler returns.
  int run();

 private:
  Result wait(int fd, short events, exchange::Clock::time_point until) override;
  exchange::Work next_work(bool starved);
  exchange::Work watch(bool starved);
  bool limits_hold(bool starved);
  bool still_listening();
  void client_left();
  int become_tunnel(std::vector<exchange::OutputItem>* output, std::ptrdiff_t upgrade);
  void start_clock();
  bool recovers(exchange::End end);
  int conclude(exchange::End end);
  int hang_up();
  int answer_failure();
  int after_write(ResponseWriter::Outcome outcome);
  int give_up(int status);
  exchange::Clock::time_point wait_until(std::chrono::milliseconds longest) const;

  request_rec* const r_;
  Carrier* const carrier_;
  exchange::ServerLeg* const leg_;
  RequestBody body_;
  ResponseWriter writer_;
  ClientWatch client_;
  const apr_interval_time_t head_timeout_;  // 0: none
  exchange::Clock::time_point head_deadline_{};
  exchange::Clock::time_point starved_since_{};
  exchange::Clock::time_point mind_half_close_from_{};
  exchange::Clock::time_point gone_at_{};  // a client that half-closed counts as gone from here on
  bool read_failed_ = false;               // … and the application was told by a read
  bool watching_ = false;   // the short wait is over, the client is watched as well
  int given_up_ = 0;        // status to answer with; 0: not given up
};

}  // namespace nwsgi::httpd_side
