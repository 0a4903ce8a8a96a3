#include "module/parked_connection.h"

#include <apr_allocator.h>
#include <apr_portable.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util_filter.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "module/parking_limits.h"
#include "module/parking_status.h"
#include "module/pending_output.h"
#include "module/soft_flush.h"
#include "module/spare_memory.h"

namespace nwsgi::httpd_side {
namespace {

using exchange::Clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// As in httpd: SECONDS_TO_LINGER and MAX_SECS_TO_LINGER.
constexpr seconds kShortLinger{2};
constexpr seconds kLongLinger{30};
constexpr milliseconds kBriefKeepAlive{200};
// Steps without a pause in which a request has something to do, before others get their turn.
constexpr int kMostSteps = 16;
constexpr int kMostReads = 64;
// The MPM's thread has let go of a connection for good.
constexpr seconds kHandOver{1};
// How often mod_reqtimeout is asked while a head is awaited.
constexpr seconds kHeadSlice{1};
// Parked connections from which on memory counts more than the time to pass it on.
constexpr size_t kMany = 256;

int descriptor_of(conn_rec* c) {
  apr_socket_t* const socket = ap_get_conn_socket(c);
  apr_os_sock_t descriptor = -1;
  return socket != nullptr && apr_os_sock_get(&descriptor, socket) == APR_SUCCESS ? descriptor : -1;
}

uint32_t events_for(unsigned interests) {
  return ((interests & ClientWatch::kRead) != 0 ? EPOLLIN : 0u) |
         ((interests & ClientWatch::kWrite) != 0 ? EPOLLOUT : 0u) |
         ((interests & ClientWatch::kHalfClose) != 0 ? EPOLLRDHUP : 0u);
}

ClientWatch::Found found_by(uint32_t why, uint32_t events) {
  ClientWatch::Found found;
  found.work = (why & (Parked::kNews | Parked::kLeg)) != 0;
  found.broken = (events & EPOLLERR) != 0;
  found.client = ((events & EPOLLIN) != 0 ? ClientWatch::kRead : 0u) |
                 ((events & EPOLLOUT) != 0 ? ClientWatch::kWrite : 0u) |
                 ((events & EPOLLRDHUP) != 0 ? ClientWatch::kHalfClose : 0u) |
                 ((events & EPOLLHUP) != 0 ? ClientWatch::kHangUp : 0u);
  return found;
}

}  // namespace

// ---- in the handler, on the MPM's thread or one of the service ----

ParkedConnection::ParkedConnection(Parking* service, conn_rec* c)
    : Parked(service),
      parking_(service),
      c_(c),
      scoreboard_(static_cast<ap_sb_handle_t*>(c->sbh)),
      fd_(descriptor_of(c)),
      timeout_(c->base_server->timeout),
      keep_alive_timeout_(c->base_server->keep_alive_timeout) {
  ap_create_sb_handle(&unseen_, c->pool, -1, -1);
  parking_counts().connections.fetch_add(1, std::memory_order_relaxed);
}

ParkedConnection::~ParkedConnection() { parking_counts().connections.fetch_sub(1, std::memory_order_relaxed); }

ParkedConnection* ParkedConnection::of(const conn_rec* c) {
  const ConnectionNote* const note = connection_note(c);
  return note != nullptr ? note->parked : nullptr;
}

bool ParkedConnection::owns(const conn_rec* c) { return of(c) != nullptr; }

// Only what ap_process_async_request() has called itself comes to rest when the handler returns: a subrequest's or an
// internal redirect's caller goes on with it. Streams of HTTP/2 are mod_http2's.
bool ParkedConnection::possible(const request_rec* r) {
  const conn_rec* const c = r->connection;
  if (Parking::of_child() == nullptr || r->main != nullptr || r->prev != nullptr || c->master != nullptr) return false;
  if (c->cs == nullptr || c->cs->state != CONN_STATE_HANDLER || c->clogging_input_filters) return false;
  return owns(c) || c->sbh != nullptr;
}

bool ParkedConnection::park(request_rec* r, ServedRequest* served) {
  conn_rec* const c = r->connection;
  // The MPM closes such a connection, whatever the handler says.
  if (c->aborted) return false;
  ParkedConnection* parked = of(c);
  if (parked != nullptr) {
    parked->attach(r, served);
    return true;
  }
  Parking* const service = Parking::of_child();
  std::unique_ptr<ParkedConnection> made(new ParkedConnection(service, c));
  if (made->fd_ < 0 || !service->add(made.get())) return false;
  parked = made.release();
  make_connection_note(c)->parked = parked;
  parked->attach(r, served);
  if (service->parked() >= kMany) collect_memory(c, r);
  service->arm(parked, parked->request_wants());
  return true;
}

void ParkedConnection::attach(request_rec* r, ServedRequest* served) {
  r_ = r;
  served_ = served;
  note_timeouts(r);
  parking_counts().requests.fetch_add(1, std::memory_order_relaxed);
  served->conversation().be_parked();
  served->leg().set_sink_on_server(this);
}

void ParkedConnection::note_suspension(conn_rec* c, request_rec*) noexcept {
  ParkedConnection* const parked = of(c);
  if (parked == nullptr || parked->phase_ != Phase::kHandedOver || c->cs->state != CONN_STATE_SUSPENDED) return;
  parked->parking_->release(parked);
}

// ---- on the service's threads ----

// The last that the MPM's thread does with the connection is to take its scoreboard handle away, after the hooks.
void ParkedConnection::take_over(apr_thread_t* thread) {
  if (phase_ == Phase::kHandedOver) {
    for (int i = 0; std::atomic_ref<void*>(c_->sbh).load(std::memory_order_acquire) != nullptr; ++i) {
      if (i < 1000) sched_yield();
      else ::usleep(100);
    }
    phase_ = Phase::kRequest;
    c_->sbh = unseen_;
    taken_over_at_ = Clock::now();
  }
  c_->current_thread = thread;
}

Parked::Wants ParkedConnection::run(uint32_t why, uint32_t client_events, apr_thread_t* thread) noexcept {
  take_over(thread);
  const bool time_is_up = expired();
  const bool client = (why & kClient) != 0;
  const bool stopping = parking_->stop_state() != Parking::Stop::kNo;
  if (parking_->stop_state() == Parking::Stop::kNow) c_->aborted = 1;
  if (stopping && phase_ != Phase::kRequest && Clock::now() >= parking_->stop_deadline()) c_->aborted = 1;
  const bool many = parking_->parked() >= kMany;
  const request_rec* const before = r_;
  if (many && (phase_ == Phase::kKeptAlive || phase_ == Phase::kRequest)) lend_memory(c_);
  switch (phase_) {
    case Phase::kHandedOver:
    case Phase::kClosed:
      break;
    case Phase::kRequest:
      step_request(why, client_events);
      break;
    case Phase::kWaitIo:
      if (c_->aborted || (time_is_up && !client)) linger();
      else if (client) process();
      break;
    case Phase::kWriting:
      if (c_->aborted || (time_is_up && !client)) linger();
      else if (client) advance();
      break;
    case Phase::kKeptAlive:
      await_request(client);
      break;
    case Phase::kLingering:
      // Those that close when the server stops are not waited for.
      if (c_->aborted || time_is_up || (why & kStop) != 0) close();
      else discard_input();
      break;
  }
  if (many && (phase_ == Phase::kKeptAlive || phase_ == Phase::kRequest)) collect_memory(c_, r_ != before ? r_ : nullptr);
  return wants();
}

void ParkedConnection::step_request(uint32_t why, uint32_t client_events) {
  apr_thread_mutex_t* const mutex = r_->invoke_mtx;
  if (mutex != nullptr) apr_thread_mutex_lock(mutex);
  Conversation& conversation = served_->conversation();
  if (parking_->stop_state() != Parking::Stop::kNo && Clock::now() >= parking_->stop_deadline()) {
    conversation.end_because_server_stops();
  } else {
    conversation.note(found_by(why, client_events));
  }
  bool over = conversation.step();
  for (int i = 1; i < kMostSteps && !over && conversation.patience().count() <= 0; ++i) {
    conversation.note({});
    over = conversation.step();
  }
  if (mutex != nullptr) apr_thread_mutex_unlock(mutex);
  if (over) end_request(conversation.result());
}

// What ap_process_async_request() does with what a handler returns.
void ParkedConnection::end_request(int result) {
  std::exchange(served_, nullptr)->~ServedRequest();
  parking_counts().requests.fetch_sub(1, std::memory_order_relaxed);
  request_rec* const r = std::exchange(r_, nullptr);
  flush_hard(c_);
  // An answer that was begun and taken back is no error of an error page.
  if (result != OK && result != DONE && result != AP_FILTER_ERROR) r->status = HTTP_OK;
  ap_die(result, r);
  forget_input();
  ap_process_request_after_handler(r);
  advance();
}

// True when httpd can read the next head without waiting.
bool ParkedConnection::head_is_here() {
  if (gate_ == nullptr) gate_ = HeadGate::install(c_);
  forget_input();
  const HeadGate::Found found = gate_->look();
  if (found == HeadGate::Found::kPart) until_ = Clock::now() + microseconds(timeout_);
  return found == HeadGate::Found::kAll;
}

void ParkedConnection::await_request(bool client) {
  // mod_reqtimeout looks at its clock when it is read from. On a machine with too much to do a request may be there, and its event
  // not yet.
  const bool look = client || (gate_ != nullptr && gate_->waits()) || expired();
  if (!c_->aborted && look && head_is_here()) return process();
  const bool waits = gate_ != nullptr && gate_->waits();
  if (!c_->aborted && waits && expired()) {
    gate_->give_up();
    return process();
  }
  if (!c_->aborted && (waits || (!expired() && parking_->stop_state() == Parking::Stop::kNo))) return;
  apr_table_setn(c_->notes, "short-lingering-close", "1");
  linger();
}

// The connection's next request, as far as it gets without waiting.
void ParkedConnection::process() {
  do {
    c_->cs->state = CONN_STATE_READ_REQUEST_LINE;
    c_->sbh = nullptr;
    forget_input();
    const int status = ap_run_process_connection(c_);
    c_->sbh = unseen_;
    if (status != OK && status != DONE) return linger();
    if (served_ != nullptr) {
      phase_ = Phase::kRequest;
      return;
    }
  } while (after_processing());
}

void ParkedConnection::advance() {
  if (after_processing()) process();
}

// What process_socket() does with the state that is left. True when the next request is there already.
bool ParkedConnection::after_processing() {
  const Clock::time_point now = Clock::now();
  conn_state_t* const state = c_->cs;
  until_ = now + microseconds(timeout_);
#if NWSGI_ASYNC_WAITIO
  const bool wants_read = state->sense == CONN_SENSE_WANT_READ;
  if (state->state == CONN_STATE_ASYNC_WAITIO && !c_->aborted) {
    phase_ = Phase::kWaitIo;
    return false;
  }
#else
  constexpr bool wants_read = false;
#endif
  const bool goes_on =
      state->state == CONN_STATE_WRITE_COMPLETION || state->state == CONN_STATE_CHECK_REQUEST_LINE_READABLE;
  if (!goes_on || c_->aborted || !flush_pending(c_)) {
    linger();
    return false;
  }
  if (c_->data_in_output_filters || wants_read) {
    phase_ = Phase::kWriting;
    return false;
  }
  if (c_->keepalive != AP_CONN_KEEPALIVE || c_->aborted) {
    linger();
    return false;
  }
  if (c_->data_in_input_filters && head_is_here()) return true;
  if (gate_ != nullptr && gate_->waits()) {
    phase_ = Phase::kKeptAlive;
    return false;
  }
  if (parking_->stop_state() != Parking::Stop::kNo) {
    apr_table_setn(c_->notes, "short-lingering-close", "1");
    linger();
    return false;
  }
  phase_ = Phase::kKeptAlive;
  const microseconds longest(keep_alive_timeout_);
  until_ = now + (too_many() ? std::min<Clock::duration>(longest, kBriefKeepAlive) : Clock::duration(longest));
  return false;
}

// The MPM takes no connections any more when there are too many, and closes those that are kept alive; it knows nothing of
// these. Not at once: a client that was told that its connection stays may be sending its next request.
bool ParkedConnection::too_many() const {
  const size_t most = most_connections_of_child();
  return parking_->parked() > most - most / 4;
}

// ---- the end ----

void ParkedConnection::linger() {
  apr_socket_t* const socket = ap_get_conn_socket(c_);
  c_->cs->state = CONN_STATE_LINGER;
  phase_ = Phase::kLingering;
  apr_socket_timeout_set(socket, apr_time_from_sec(kShortLinger.count()));
  if (ap_start_lingering_close(c_)) return close();
  apr_socket_timeout_set(socket, 0);
  const bool soon = parking_->stop_state() != Parking::Stop::kNo ||
                    apr_table_get(c_->notes, "short-lingering-close") != nullptr;
  until_ = Clock::now() + (soon ? kShortLinger : kLongLinger);
  discard_input();
}

void ParkedConnection::discard_input() {
  char dropped[4096];
  for (int i = 0; i < kMostReads; ++i) {
    const ssize_t size = ::recv(fd_, dropped, sizeof dropped, MSG_DONTWAIT);
    if (size > 0) continue;
    if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) close();
    return;
  }
}

// The MPM counts connections by a cleanup of their pool that looks at their state: it knows this one as suspended. After
// the scoreboard handle its thread sets one more field, in this pool; so the memory of one that was taken over a moment ago
// stays a while after its clearing: the block with the pool itself and what was allocated first, the field among it.
void ParkedConnection::close() {
  apr_pool_t* const pool = c_->pool;
  apr_socket_t* const socket = ap_get_conn_socket(c_);
  phase_ = Phase::kClosed;
  c_->cs->state = CONN_STATE_SUSPENDED;
  apr_socket_timeout_set(socket, 0);
  unwatch_client();
  apr_socket_close(socket);
  if (Clock::now() - taken_over_at_ > kHandOver) return apr_pool_destroy(pool);
  apr_allocator_t* const allocator = apr_pool_allocator_get(pool);
  if (apr_allocator_owner_get(allocator) == pool) apr_allocator_max_free_set(allocator, 1);
  apr_pool_clear(pool);
  parking_->destroy_later(pool);
}

// ---- waiting ----

Parked::Wants ParkedConnection::wants() const {
  Wants wants;
  if (phase_ == Phase::kClosed) {
    wants.over = true;
    return wants;
  }
  if (phase_ == Phase::kRequest) return request_wants();
  wants.client_fd = fd_;
  wants.client_events = EPOLLIN;
  wants.input_is_drained = phase_ == Phase::kKeptAlive;
  wants.until = until_;
  if (phase_ == Phase::kKeptAlive && gate_ != nullptr && gate_->waits()) {
    wants.until = std::min(until_, Clock::now() + kHeadSlice);
  }
  if (parking_->stop_state() != Parking::Stop::kNo) wants.until = std::min(wants.until, parking_->stop_deadline());
  const bool may_write = phase_ == Phase::kWriting;
#if NWSGI_ASYNC_WAITIO
  const conn_sense_e sense = c_->cs->sense;
  if (may_write ? sense != CONN_SENSE_WANT_READ : phase_ == Phase::kWaitIo && sense == CONN_SENSE_WANT_WRITE) {
    wants.client_events = EPOLLOUT;
  }
  c_->cs->sense = CONN_SENSE_DEFAULT;
#else
  if (may_write) wants.client_events = EPOLLOUT;
#endif
  return wants;
}

Parked::Wants ParkedConnection::request_wants() const {
  Wants wants;
  const Conversation& conversation = served_->conversation();
  wants.client_fd = fd_;
  wants.client_events = events_for(conversation.interests());
  exchange::ServerLeg::Awaited leg;
  if (conversation.minds_leg() && served_->leg().awaits_on_server(&leg) && leg.fd >= 0) {
    wants.leg_fd = leg.fd;
    wants.leg_events = static_cast<uint32_t>(leg.events);  // of poll(2), which epoll(7) shares
  }
  wants.until = Clock::now() + conversation.patience();
  if (parking_->stop_state() != Parking::Stop::kNo) wants.until = std::min(wants.until, parking_->stop_deadline());
  return wants;
}

}  // namespace nwsgi::httpd_side
