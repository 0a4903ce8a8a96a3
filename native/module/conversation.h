// One request from hand-over to answer: carries the body to the application and the response to the client, and notices
// when either side gives up.
//
// A state machine: begin() and step() do what can be done now, interests() and patience() say what to wait for until the
// next step, note() takes what was found. Who waits, and where, is the runner's business; run() is the one that waits on
// the thread that serves the client.
// Threads: one at a time. Nothing blocks but wait_in_place(), run(), look_for(), and, unless do_not_block() was called, output
// while the client does not read.
#pragma once

#include <httpd.h>

#include <memory>

#include "exchange/phases.h"
#include "module/carrier.h"
#include "module/client_watch.h"
#include "module/request_body.h"
#include "module/request_record.h"
#include "module/response_writer.h"
#include "module/tunnel.h"

namespace nwsgi::httpd_side {

class Conversation final {
 public:
  // `request_timeout`: for the begin of the answer; 0: none. The carrier outlives the conversation.
  Conversation(request_rec* r, const RequestPlan& plan, Carrier* carrier, apr_interval_time_t request_timeout);
  // No call of the application reaches the request once the conversation is gone.
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  // Submits the request and stays with it until it is over. Returns what the handler returns.
  int run();
  // The same for one that was submitted.
  int wait_in_place();

  // The client's side is never waited for any more: what it does not take is held until it does.
  void do_not_block() { writer_.do_not_block(); }
  // Whoever runs it is woken when the server stops.
  void be_parked() { parked_ = true; }

  // All that returns bool: true once the request is over, with result() for the handler to return.
  // Submits the request.
  bool begin();
  // Waits for the application, and for nothing else, `longest` at most. After begin().
  bool look_for(exchange::Clock::duration longest);
  // Does all that can be done now.
  bool step();
  int result() const { return result_; }
  // The next step ends the request: nobody has the time to wait for it.
  void end_because_server_stops();
  // What of the client to watch besides the application's news (see ClientWatch), and for how long at most.
  unsigned interests() const;
  std::chrono::milliseconds patience() const;
  // The next step takes what the leg has; else it is left there until the client has taken what it was sent.
  bool minds_leg() const { return tunnel_ != nullptr || (!writer_.held() && !draining_); }
  // What the watch found.
  void note(const ClientWatch::Found& found);

 private:
  bool over(int result);
  void pass(exchange::Phases::Point point) {
    if (phases_ != nullptr) phases_->pass(point);
  }
  bool take(exchange::Work* work);
  bool take_body(bool wanted);
  bool send_held();
  bool answered();
  bool drain();
  bool limits_hold();
  bool still_listening();
  bool waits_for_early_answer(exchange::Clock::time_point now);
  void client_left();
  bool become_tunnel(std::vector<exchange::OutputItem>* output, std::ptrdiff_t upgrade);
  void mind_hand_over();
  int conclude(exchange::End end);
  int hang_up();
  int answer_failure();
  int after_write(ResponseWriter::Outcome outcome);
  int give_up(int status);
  exchange::Clock::time_point wait_until(std::chrono::milliseconds longest) const;

  request_rec* const r_;
  Carrier* const carrier_;
  exchange::ServerLeg* const leg_;
  exchange::Phases* const phases_;  // null unless they are asked for
  RequestBody body_;
  ResponseWriter writer_;
  ClientWatch client_;
  const apr_interval_time_t head_timeout_;  // 0: none
  exchange::Clock::time_point head_deadline_{};
  unsigned hand_overs_ = 0;  // that the deadline is for
  exchange::Clock::time_point starved_since_{};
  exchange::Clock::time_point mind_half_close_from_{};
  exchange::Clock::time_point gone_at_{};  // a client that half-closed counts as gone from here on
  bool read_failed_ = false;               // … and the application was told by a read
  exchange::Clock::time_point stepped_at_{};
  exchange::Clock::time_point held_since_{};  // the client took something last, of output that is held
  bool starved_ = false;    // the application wants more of the body than the client has sent
  bool parked_ = false;
  bool draining_ = false;   // the answer is complete, the client still sends its body
  bool watching_ = false;   // the short wait is over, the client is watched as well
  int given_up_ = 0;        // status to answer with; 0: not given up
  int result_ = OK;
  std::unique_ptr<Tunnel> tunnel_;  // set: the connection carries another protocol
};

}  // namespace nwsgi::httpd_side
