#include "module/conversation.h"

#include <http_core.h>
#include <http_protocol.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "module/log.h"
#include "module/pending_output.h"
#include "module/profile.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::AbortReason;
using exchange::Clock;
using exchange::End;
using exchange::OutputItem;
using exchange::Phases;
using exchange::Work;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// Most answers come within this time; only then it pays to watch the client's socket too.
constexpr milliseconds kShortWait{50};
// How long the application may answer a client that half-closed in the middle of its body, before the client counts as
// gone: from the moment at which a read told it; and while it has not read (its script may still be loading).
constexpr milliseconds kHalfCloseGrace{1000};
constexpr milliseconds kUnreadHalfCloseGrace{10000};
constexpr milliseconds kHalfCloseSlice{250};
// How often the limits are looked at while nothing happens: mod_reqtimeout checks its rates when it is read from. Otherwise
// whatever ends the wait announces itself, and a process group's leg says for how long it may be left alone.
constexpr milliseconds kSlice{1000};
constexpr milliseconds kLongSlice{60000};

}  // namespace

Conversation::Conversation(request_rec* r, const RequestPlan& plan, Carrier* carrier,
                           apr_interval_time_t request_timeout)
    : r_(r),
      carrier_(carrier),
      leg_(carrier->leg()),
      phases_(profiling() ? leg_->note_phases() : nullptr),
      body_(r, leg_),
      writer_(r, leg_, is_on(plan.settings->enable_sendfile, false)),
      client_(r),
      head_timeout_(std::max<apr_interval_time_t>(request_timeout, 0)) {}

Conversation::~Conversation() {
  if (phases_ != nullptr) note_phases(r_, *phases_);
  leg_->finish_on_server();
}

int Conversation::run() { return begin() ? result_ : wait_in_place(); }

int Conversation::wait_in_place() {
  for (;;) {
    if (!starved_ && !watching_ && !tunnel_ && !carrier_->under_way()) {
      mind_hand_over();
      Work work = leg_->wait_on_server(wait_until(kShortWait));
      if (work.any()) {
        if (take(&work)) return result_;
        continue;
      }
      watching_ = true;
    }
    client_.attach(leg_);
    if (step()) return result_;
    note(client_.poll(patience(), interests(), minds_leg()));
  }
}

bool Conversation::over(int result) {
  result_ = result;
  pass(Phases::kWritten);
  return true;
}

bool Conversation::begin() {
  if (phases_ != nullptr) phases_->pass(Phases::kHandler, handler_began());
  body_.prefetch();
  if (body_.answered_by_filter()) return over(AP_FILTER_ERROR);
  pass(Phases::kSubmitted);
  carrier_->submit();
  return false;
}

bool Conversation::look_for(Clock::duration longest) {
  const Clock::time_point until = Clock::now() + longest;
  while (!starved_ && !tunnel_ && !writer_.held() && !carrier_->under_way()) {
    Work work = longest.count() > 0 ? leg_->wait_on_server(until) : leg_->poll_on_server();
    if (!work.any()) return false;
    if (take(&work)) return true;
  }
  return false;
}

bool Conversation::step() {
  for (;;) {
    if (given_up_ != 0) return over(give_up(given_up_));
    if (tunnel_) return !tunnel_->step() && over(OK);
    // Before it is tried again: a socket that is not called writable may have room for some bytes all the same.
    if (writer_.held() && !limits_hold()) continue;
    if (writer_.held() && send_held()) return true;
    if (draining_ && drain()) return over(OK);
    if (writer_.held() || draining_) {
      if (!limits_hold()) continue;
      stepped_at_ = Clock::now();
      return false;
    }
    Work work = leg_->poll_on_server();
    mind_hand_over();
    if (!work.output.empty() || work.end != End::kOpen || (work.body_wanted && !starved_)) {
      if (take(&work)) return true;
      continue;
    }
    if (!starved_) starved_since_ = {};
    if (!limits_hold()) continue;
    stepped_at_ = Clock::now();
    return false;
  }
}

// One batch of the application's news.
bool Conversation::take(Work* work) {
  if (!work->output.empty()) pass(Phases::kSeen);
  const auto upgrade = std::find_if(work->output.begin(), work->output.end(), [](const OutputItem& item) {
    return item.kind == OutputItem::Kind::kUpgrade;
  });
  if (upgrade != work->output.end()) return become_tunnel(&work->output, upgrade - work->output.begin());
  if (!work->output.empty() || work->end == End::kComplete) {
    const ResponseWriter::Outcome outcome = writer_.write(&work->output, work->end);
    if (outcome != ResponseWriter::Outcome::kOk) return over(after_write(outcome));
    if (writer_.held()) {
      held_since_ = Clock::now();
      return false;  // the next look at the leg tells of its end and of the body again
    }
    if (writer_.ended()) return answered();
  }
  if (work->end == End::kOpen) return take_body(work->body_wanted);
  return over(conclude(work->end));
}

bool Conversation::send_held() {
  const ResponseWriter::Outcome outcome = writer_.resume();
  if (outcome != ResponseWriter::Outcome::kOk) return over(after_write(outcome));
  if (writer_.held() && writer_.held_until() != nullptr) held_since_ = Clock::now();
  return !writer_.held() && writer_.ended() && answered();
}

// httpd reads what is left of the body before the next request; it would wait for it.
bool Conversation::answered() {
  const conn_rec* const c = r_->connection;
  draining_ = parked_ && !body_.finished() && !body_.failed() && c->keepalive != AP_CONN_CLOSE && !c->aborted &&
              r_->main == nullptr && !ap_status_drops_connection(r_->status);
  return draining_ ? false : over(OK);
}

// True when nothing is left, or nothing more can be had.
bool Conversation::drain() {
  conn_rec* const c = r_->connection;
  if (c->aborted || (c->data_in_output_filters && !flush_pending(c))) return true;
  RequestBody::Progress progress = body_.discard();
  if (progress == RequestBody::Progress::kMoved) starved_since_ = {};
  while (progress == RequestBody::Progress::kMoved && !body_.finished()) progress = body_.discard();
  starved_ = true;
  return body_.finished() || progress == RequestBody::Progress::kFailed;
}

bool Conversation::take_body(bool wanted) {
  starved_ = wanted && body_.pump() == RequestBody::Progress::kStarved;
  if (wanted && body_.answered_by_filter()) {
    leg_->abort_on_server(AbortReason::kClientGone);
    return over(AP_FILTER_ERROR);
  }
  if (!starved_) starved_since_ = {};
  return false;
}

// The application's time begins when it has got the request, and anew when it has got it once more.
void Conversation::mind_hand_over() {
  const unsigned hand_overs = carrier_->hand_overs();
  if (head_timeout_ == 0 || hand_overs == hand_overs_) return;
  hand_overs_ = hand_overs;
  head_deadline_ = Clock::now() + microseconds(head_timeout_);
}

// From the output's item at `upgrade` on, the connection carries another protocol.
bool Conversation::become_tunnel(std::vector<OutputItem>* output, std::ptrdiff_t upgrade) {
  std::vector<OutputItem> after(std::make_move_iterator(output->begin() + upgrade + 1),
                                std::make_move_iterator(output->end()));
  const std::string head_text = std::move((*output)[static_cast<size_t>(upgrade)].text);
  output->erase(output->begin() + upgrade, output->end());
  const ResponseWriter::Outcome outcome = writer_.write(output, End::kOpen);
  if (outcome != ResponseWriter::Outcome::kOk) return over(after_write(outcome));
  // A body that was not read would be taken for bytes of the new protocol.
  while (!body_.finished() && body_.pump() == RequestBody::Progress::kMoved && leg_->body_room_on_server() != 0) {
  }
  if (!body_.finished() || !Tunnel::possible(r_)) {
    leg_->abort_on_server(AbortReason::kServerFault);
    log_request(r_, APLOG_INFO, 0, Code::kUpgradeRefused,
                "the application agreed to another protocol, but this request cannot change to one: %s",
                body_.finished() ? "it is of HTTP/1.0, or has no Upgrade header" : "it has a body that was not read");
    return over(HTTP_BAD_REQUEST);
  }
  exchange::ResponseHead head;
  if (!writer_.parse(head_text, &head)) return over(after_write(ResponseWriter::Outcome::kBadHead));
  tunnel_ = std::make_unique<Tunnel>(r_, leg_);
  tunnel_->open(head);
  tunnel_->take(&after);
  return false;
}

Clock::time_point Conversation::wait_until(milliseconds longest) const {
  const Clock::time_point until = Clock::now() + longest;
  if (head_timeout_ == 0 || writer_.head_taken() || carrier_->under_way()) return until;
  return std::min(until, head_deadline_);
}

milliseconds Conversation::patience() const {
  if (tunnel_) return tunnel_->patience();
  const Clock::time_point now = Clock::now();
  if (const Clock::time_point* const due = writer_.held() ? writer_.held_until() : nullptr) {
    return std::chrono::ceil<milliseconds>(*due - now);
  }
  if (writer_.held()) return std::chrono::ceil<milliseconds>(held_since_ + microseconds(client_.timeout()) - now);
  milliseconds slice = starved_ ? kSlice : kLongSlice;
  if (mind_half_close_from_ > now) {
    slice = std::min(kHalfCloseSlice, std::chrono::ceil<milliseconds>(mind_half_close_from_ - now));
  }
  exchange::ServerLeg::Awaited own;
  leg_->awaits_on_server(&own);
  return std::chrono::ceil<milliseconds>(std::min(wait_until(slice), own.until) - now);
}

unsigned Conversation::interests() const {
  if (tunnel_) return tunnel_->interests();
  if (writer_.held()) return ClientWatch::kHangUp | (writer_.held_until() != nullptr ? 0u : ClientWatch::kWrite);
  if (draining_ && r_->connection->data_in_output_filters) {
    return ClientWatch::kHangUp | ClientWatch::kRead | ClientWatch::kWrite;
  }
  const bool mind_half_close = !starved_ && Clock::now() >= mind_half_close_from_;
  return ClientWatch::kHangUp | (starved_ ? ClientWatch::kRead : 0u) | (mind_half_close ? ClientWatch::kHalfClose : 0u);
}

void Conversation::note(const ClientWatch::Found& found) {
  if (tunnel_) return tunnel_->note(found);
  if ((found.client & ClientWatch::kWrite) != 0) held_since_ = Clock::now();
  // A client that is slow to send must not use up the application's time.
  if (starved_ && head_timeout_ != 0) head_deadline_ += Clock::now() - stepped_at_;
  switch (client_.event(found)) {
    case ClientWatch::Event::kWork:
      break;
    case ClientWatch::Event::kNothing:  // mod_reqtimeout enforces its rates on reads
    case ClientWatch::Event::kReadable:
      starved_ = false;
      break;
    case ClientWatch::Event::kHalfClosed:
      if (!still_listening()) client_left();
      break;
    case ClientWatch::Event::kGone:
      if (draining_) r_->connection->aborted = 1;
      else client_left();
      break;
  }
}

// The client will send nothing more. With all of its body here, that means that it hung up. Else bytes sent before may
// still be on their way through the filters: take them, or find out that the rest of the body will never come and let
// the application say so.
bool Conversation::still_listening() {
  const Clock::time_point now = Clock::now();
  if (body_.finished()) return waits_for_early_answer(now);
  if (!body_.failed()) body_.pump();
  if (body_.finished()) return true;
  if (body_.failed()) {
    if (gone_at_ == Clock::time_point{}) gone_at_ = now + kUnreadHalfCloseGrace;
    if (!read_failed_ && leg_->body_requested_on_server()) {
      read_failed_ = true;
      gone_at_ = now + kHalfCloseGrace;
    }
    if (now >= gone_at_) return false;
  }
  mind_half_close_from_ = now + kHalfCloseSlice;
  return true;
}

// In place nobody looks while an answer may come soon. Clients that close their side after the request get such an answer.
bool Conversation::waits_for_early_answer(Clock::time_point now) {
  const milliseconds left = kShortWait - std::chrono::floor<milliseconds>(microseconds(apr_time_now() - r_->request_time));
  if (!parked_ || left.count() <= 0) return false;
  mind_half_close_from_ = now + std::min(left, kShortWait);
  return true;
}

bool Conversation::limits_hold() {
  const Clock::time_point now = Clock::now();
  if (writer_.held()) {
    if (now - held_since_ < microseconds(client_.timeout())) return true;
    client_left();
    return false;
  }
  if (starved_) {
    if (starved_since_ == Clock::time_point{}) starved_since_ = now;
    if (now - starved_since_ > microseconds(client_.timeout())) {
      body_.time_out();  // nothing more is drained, either
      starved_since_ = {};
    }
    return true;
  }
  if (head_timeout_ == 0 || writer_.head_taken() || carrier_->under_way() || now < head_deadline_) return true;
  leg_->abort_on_server(AbortReason::kTimeout);
  carrier_->report_timeout();
  log_request(r_, APLOG_ERR, 0, Code::kRequestTimeout,
              "the application did not begin its answer within %" APR_TIME_T_FMT
              " ms (WSGIRequestTimeout, or its group's request-timeout); the client gets 504. Look for a promise that "
              "never settles, or raise the limit",
              head_timeout_ / 1000);
  given_up_ = HTTP_GATEWAY_TIME_OUT;
  return false;
}

}  // namespace nwsgi::httpd_side
