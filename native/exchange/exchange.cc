#include "exchange/exchange.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "exchange/brief_wait.h"
#include "exchange/mailbox.h"

namespace nwsgi::exchange {

OutputItem::OutputItem(OutputItem&& other) noexcept
    : kind(other.kind),
      level(other.level),
      chunk(std::exchange(other.chunk, Chunk{})),
      fd(std::exchange(other.fd, -1)),
      offset(other.offset),
      length(other.length),
      text(std::move(other.text)) {}

OutputItem& OutputItem::operator=(OutputItem&& other) noexcept {
  std::swap(kind, other.kind);
  std::swap(level, other.level);
  std::swap(chunk, other.chunk);
  std::swap(fd, other.fd);
  std::swap(offset, other.offset);
  std::swap(length, other.length);
  std::swap(text, other.text);
  return *this;
}

OutputItem::~OutputItem() {
  std::free(chunk.data);
  if (fd >= 0) ::close(fd);
}

// ---- batches ----

namespace {
thread_local NewsBatch* current_batch = nullptr;
}  // namespace

NewsBatch::NewsBatch() : outer_(std::exchange(current_batch, this)) {}

NewsBatch::~NewsBatch() {
  current_batch = outer_;
  if (sleeper_ != nullptr) sleeper_->wake();
}

void NewsBatch::wake(const Sink::Told& told) {
  if (told.sleeper == nullptr) return;
  NewsBatch* const batch = current_batch;
  if (told.urgent || batch == nullptr || (batch->sleeper_ != nullptr && batch->sleeper_ != told.sleeper)) {
    return told.sleeper->wake();
  }
  batch->sleeper_ = told.sleeper;
}

Ref<Exchange> Exchange::create(std::string record, bool has_body) {
  return Ref<Exchange>::adopt(new Exchange(std::move(record), has_body));
}

Exchange::Exchange(std::string record, bool has_body)
    : record_(std::move(record)), has_body_(has_body), body_ended_(!has_body) {}

Exchange::~Exchange() = default;

void Exchange::attach(Ref<Mailbox> mailbox, uint64_t handle) {
  std::lock_guard lock(mutex_);
  mailbox_ = std::move(mailbox);
  handle_ = handle;
}

// ---- server ----

Phases* Exchange::note_phases() {
  phases_ = std::make_unique<Phases>();
  return phases_.get();
}

void Exchange::begin_tunnel_on_server() {
  std::lock_guard lock(mutex_);
  tunnel_ = Tunnel::kOpen;
  body_.clear();
  body_read_ = 0;
  body_ended_ = false;
  body_error_.clear();
}

bool Exchange::has_work_locked() const { return !output_.empty() || end_ != End::kOpen || body_wanted_locked(); }

void Exchange::take_work_locked(Work* work) {
  work->output.swap(output_);
  logged_bytes_ = 0;
  work->body_wanted = body_wanted_locked();
  work->end = end_;
  end_taken_ = end_ != End::kOpen;
}

Work Exchange::wait_on_server(Clock::time_point until) {
  Work work;
  wait_a_moment([this] { return has_news_.load(std::memory_order_acquire); });
  std::unique_lock lock(mutex_);
  has_news_.store(false, std::memory_order_relaxed);
  waiting_ = true;
  work_ready_.wait_until(lock, until, [this] { return has_work_locked(); });
  waiting_ = false;
  take_work_locked(&work);
  return work;
}

Work Exchange::poll_on_server() {
  Work work;
  std::lock_guard lock(mutex_);
  take_work_locked(&work);
  return work;
}

void Exchange::set_wake_fd_on_server(int fd) {
  std::unique_lock lock(mutex_);
  wake_fd_ = fd;
  if (has_work_locked()) notify(std::move(lock));
}

void Exchange::set_sink_on_server(Sink* sink) {
  Sink::Told told;
  {
    std::lock_guard lock(mutex_);
    sink_ = sink;
    if (sink_ != nullptr && has_work_locked()) told = sink_->on_news(this);
  }
  NewsBatch::wake(told);
}

void Exchange::output_written_on_server(size_t bytes) {
  std::lock_guard lock(mutex_);
  queued_bytes_ -= bytes < queued_bytes_ ? bytes : queued_bytes_;
  if (above_high_water_ && queued_bytes_ <= kLowWater) {
    above_high_water_ = false;
    post_locked(kWritable);
  }
}

void Exchange::abort_on_server(AbortReason reason) {
  std::vector<OutputItem> dropped;
  std::lock_guard lock(mutex_);
  if (abort_reason_ != AbortReason::kNone || finished_) return;
  abort_reason_ = reason;
  dropped.swap(output_);
  queued_bytes_ = 0;
  post_locked(kAborted);
}

void Exchange::finish_on_server() {
  std::vector<OutputItem> dropped;
  std::lock_guard lock(mutex_);
  finished_ = true;
  wake_fd_ = -1;
  sink_ = nullptr;
  dropped.swap(output_);
  wake_thread_locked();
}

// ---- loop ----

// A tunnel carries bytes only, and begins only where no response has begun.
bool Exchange::fits_locked(OutputItem::Kind kind) const {
  if (kind == OutputItem::Kind::kUpgrade) return !head_handed_over_;
  return tunnel_ == Tunnel::kNone || kind == OutputItem::Kind::kData;
}

Exchange::Accept Exchange::push_output(OutputItem item, End end, size_t* queued) {
  std::unique_lock lock(mutex_);
  if (over_locked() || !fits_locked(item.kind)) return Accept::kOver;
  if (item.kind == OutputItem::Kind::kUpgrade) tunnel_ = Tunnel::kAsked;
  if (item.kind == OutputItem::Kind::kHead || item.kind == OutputItem::Kind::kUpgrade) {
    head_handed_over_ = true;
    pass(Phases::kAnswered);
  }
  queued_bytes_ += item.weight();
  if (queued != nullptr) *queued = queued_bytes_;
  if (queued_bytes_ > kHighWater) above_high_water_ = true;
  output_.push_back(std::move(item));
  if (end != End::kOpen) end_ = end;
  notify(std::move(lock));
  return Accept::kOk;
}

Exchange::Accept Exchange::push_text(OutputItem::Kind kind, std::string text) {
  OutputItem item(kind);
  item.text = std::move(text);
  return push_output(std::move(item), End::kOpen, nullptr);
}

Exchange::Accept Exchange::head_on_loop(std::string packed_head) {
  return push_text(OutputItem::Kind::kHead, std::move(packed_head));
}

Exchange::Accept Exchange::upgrade_on_loop(std::string packed_head) {
  return push_text(OutputItem::Kind::kUpgrade, std::move(packed_head));
}

Exchange::Accept Exchange::trailers_on_loop(std::string lines) {
  return push_text(OutputItem::Kind::kTrailers, std::move(lines));
}

Exchange::Accept Exchange::write_on_loop(Chunk chunk, size_t* queued) {
  OutputItem item(OutputItem::Kind::kData);
  item.chunk = chunk;
  return push_output(std::move(item), End::kOpen, queued);
}

Exchange::Accept Exchange::send_file_on_loop(int fd, int64_t offset, int64_t length) {
  OutputItem item(OutputItem::Kind::kFile);
  item.fd = fd;
  item.offset = offset;
  item.length = length;
  return push_output(std::move(item), End::kOpen, nullptr);
}

Exchange::Accept Exchange::interim_on_loop(std::string packed_head) {
  return push_text(OutputItem::Kind::kInterim, std::move(packed_head));
}

Exchange::Accept Exchange::respond_on_loop(std::string packed_head, Chunk chunk) {
  OutputItem head(OutputItem::Kind::kHead);
  head.text = std::move(packed_head);
  OutputItem data(OutputItem::Kind::kData);
  data.chunk = chunk;
  std::unique_lock lock(mutex_);
  if (over_locked() || !fits_locked(OutputItem::Kind::kHead)) return Accept::kOver;
  head_handed_over_ = true;
  pass(Phases::kAnswered);
  output_.reserve(2);
  output_.push_back(std::move(head));
  if (chunk.size != 0) {
    queued_bytes_ += chunk.size;
    output_.push_back(std::move(data));
  }
  end_ = End::kComplete;
  notify(std::move(lock));
  return Accept::kOk;
}

Exchange::Accept Exchange::end_on_loop(End end) {
  std::unique_lock lock(mutex_);
  if (over_locked() && !(end == End::kAborted && half_closed_locked())) return Accept::kOver;
  end_ = end;
  notify(std::move(lock));
  return Accept::kOk;
}

Exchange::Accept Exchange::complete_on_loop() { return end_on_loop(End::kComplete); }
Exchange::Accept Exchange::abort_on_loop() { return end_on_loop(End::kAborted); }

// ---- a thread ----

void Exchange::serve_by_thread(ThreadSide* side) {
  Ref<Mailbox> former;
  std::lock_guard lock(mutex_);
  former = std::exchange(mailbox_, nullptr);
  by_thread_ = true;
  thread_side_ = side;
}

bool Exchange::wait_writable_on_thread() {
  std::unique_lock lock(mutex_);
  thread_ready_.wait(lock, [this] { return !above_high_water_ || over_locked(); });
  return !over_locked();
}

// ---- any thread ----

void Exchange::fail(Failure failure) {
  std::unique_lock lock(mutex_);
  if (over_locked() && !half_closed_locked()) return;
  end_ = head_handed_over_ ? End::kAborted : End::kFailed;
  failure_ = std::move(failure);
  wake_thread_locked();
  notify(std::move(lock));
}

bool Exchange::log(uint8_t level, std::string text, std::vector<OutputItem>* before) {
  std::unique_lock lock(mutex_);
  if (finished_ || end_taken_ || abort_reason_ != AbortReason::kNone) return false;
  logged_bytes_ += text.size() + sizeof(OutputItem);
  if (before != nullptr && logged_bytes_ > kMostLogged) {
    take_lines_locked(before);
    return false;
  }
  OutputItem item(OutputItem::Kind::kLog);
  item.level = level;
  item.text = std::move(text);
  output_.push_back(std::move(item));
  notify(std::move(lock));
  return true;
}

void Exchange::take_lines_locked(std::vector<OutputItem>* lines) {
  std::vector<OutputItem> others;
  for (OutputItem& item : output_) (item.kind == OutputItem::Kind::kLog ? *lines : others).push_back(std::move(item));
  output_.swap(others);
  logged_bytes_ = 0;
}

AbortReason Exchange::abort_reason() {
  std::lock_guard lock(mutex_);
  return abort_reason_;
}

bool Exchange::over() {
  std::lock_guard lock(mutex_);
  return over_locked();
}

bool Exchange::over_locked() const {
  return finished_ || end_ != End::kOpen || abort_reason_ != AbortReason::kNone;
}

// The application sends nothing more through its tunnel, but the client may.
bool Exchange::half_closed_locked() const {
  return tunnel_ != Tunnel::kNone && end_ == End::kComplete && !finished_ && abort_reason_ == AbortReason::kNone;
}

// The lock is released first: the server, woken on another core, would only run into it. The object outlives the call,
// because whoever calls holds a reference.
void Exchange::notify(std::unique_lock<std::mutex> lock) {
  const bool waiting = waiting_;
  has_news_.store(true, std::memory_order_release);
  const int wake_fd = wake_fd_;
  if (wake_fd >= 0) {
    // Under the lock, because the server closes or reuses its eventfd after set_wake_fd_on_server(-1).
    const uint64_t one = 1;
    // An eventfd only fails to take a 1 when it is readable already.
    [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
  }
  // Under the lock, too: see Sink.
  const Sink::Told told = sink_ != nullptr ? sink_->on_news(this) : Sink::Told();
  lock.unlock();
  if (waiting) work_ready_.notify_one();
  NewsBatch::wake(told);
}

// Lock order: exchange, then mailbox. The mailbox never calls into an exchange with its own lock held.
void Exchange::post_locked(uint32_t events) {
  if (mailbox_) return mailbox_->post(this, events);
  wake_thread_locked();
  if ((events & kAborted) != 0 && thread_side_ != nullptr) thread_side_->on_abort(this, abort_reason_);
}

}  // namespace nwsgi::exchange
