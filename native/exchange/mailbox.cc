#include "exchange/mailbox.h"

#include <utility>

#include <thread>

#include "exchange/brief_wait.h"

namespace nwsgi::exchange {

Ref<RequestTaker> Mailbox::taker() {
  if (!has_taker_.load(std::memory_order_acquire)) return nullptr;
  std::lock_guard lock(mutex_);
  return taker_;
}

void Mailbox::set_taker_on_loop(Ref<RequestTaker> taker) {
  std::lock_guard lock(mutex_);
  taker_ = std::move(taker);
  has_taker_.store(static_cast<bool>(taker_), std::memory_order_release);
}

size_t Mailbox::live() {
  const Ref<RequestTaker> other = taker();
  return live_.load(std::memory_order_relaxed) + (other ? other->in_progress() : 0);
}

bool Mailbox::submit(const Ref<Exchange>& exchange) {
  // A taker that was closed takes nothing; so does this mailbox then.
  if (const Ref<RequestTaker> other = taker(); other && other->take(exchange)) return true;
  uint64_t handle = 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    uint32_t index = 0;
    if (!free_slots_.empty()) {
      index = free_slots_.back();
      free_slots_.pop_back();
    } else {
      if (slots_.size() >= kMostSlots) return false;
      index = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    }
    Slot& slot = slots_[index];
    slot.exchange = exchange;
    slot.delivered = false;
    handle = (uint64_t{slot.generation} << kSlotBits) | index;
    live_.fetch_add(1, std::memory_order_relaxed);
  }
  // The loop learns of the exchange only by the queue, so nobody sees it half attached. It is queued even if it has
  // events already: they may have been posted to a mailbox that was closed before (take_on_loop skips empty ones).
  exchange->attach(Ref<Mailbox>::share(this), handle);
  exchange->add_events(kRequest | (exchange->has_body() ? kHasBody : 0u));
  std::unique_lock lock(mutex_);
  if (closed_) return take_back_locked(handle);
  enqueue(std::move(lock), {handle, exchange});
  return true;
}

void Mailbox::post(Exchange* exchange, uint32_t events) {
  if (exchange->add_events(events) != 0) return;  // queued already, its events are taken together
  std::unique_lock lock(mutex_);
  // A closed mailbox is never read again: keeping the exchange here would keep both alive for ever.
  if (!closed_) enqueue(std::move(lock), {exchange->handle(), Ref<Exchange>::share(exchange)});
}

void Mailbox::enqueue(std::unique_lock<std::mutex> lock, Queued queued) {
  if (incoming_.empty()) oldest_ = Clock::now();
  incoming_.push_back(std::move(queued));
  has_mail_.store(true, std::memory_order_relaxed);
  wake(std::move(lock));
}

void Mailbox::wake(std::unique_lock<std::mutex> lock) {
  if (loop_awake_ || waker_ == nullptr) return;
  loop_awake_ = true;
  const Waker waker = waker_;
  void* const data = waker_data_;
  waking_.fetch_add(1, std::memory_order_relaxed);
  lock.unlock();
  waker(data);
  waking_.fetch_sub(1, std::memory_order_release);
}

void Mailbox::request_stop(StopRequest request) {
  std::unique_lock lock(mutex_);
  stop_ = std::move(request);
  stop_requested_ = true;
  has_mail_.store(true, std::memory_order_relaxed);
  wake(std::move(lock));
}

// True when close() had already returned the exchange to its caller, who takes care of it; else it never got in.
bool Mailbox::take_back_locked(uint64_t handle) {
  Slot* const slot = slot_locked(handle);
  if (slot == nullptr) return true;
  slot->exchange = nullptr;
  live_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

std::vector<Ref<Exchange>> Mailbox::close(const Failure& failure) {
  std::vector<Ref<Exchange>> begun;
  std::vector<Ref<Exchange>> untouched;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return untouched;
    closed_ = true;
    for (Slot& slot : slots_) {
      if (!slot.exchange) continue;
      if (slot.delivered) {
        begun.push_back(slot.exchange);
      } else {
        untouched.push_back(std::move(slot.exchange));
        live_.fetch_sub(1, std::memory_order_relaxed);
      }
    }
    incoming_.clear();
  }
  if (const Ref<RequestTaker> other = taker()) other->close(failure);
  for (const Ref<Exchange>& exchange : begun) exchange->fail(failure);
  return untouched;
}

void Mailbox::drop_all() {
  std::vector<Slot> slots;
  std::vector<Queued> incoming;
  Ref<RequestTaker> taker;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    taker = std::exchange(taker_, nullptr);
    has_taker_.store(false, std::memory_order_relaxed);
    slots.swap(slots_);
    incoming.swap(incoming_);
    free_slots_.clear();
  }
  taken_.clear();
  live_.store(0, std::memory_order_relaxed);
  lasting_.store(0, std::memory_order_relaxed);
  for (Slot& slot : slots) {
    if (slot.exchange) slot.exchange->attach(nullptr, 0);
  }
}

Clock::duration Mailbox::oldest_wait() {
  std::lock_guard lock(mutex_);
  return incoming_.empty() ? Clock::duration::zero() : Clock::now() - oldest_;
}

void Mailbox::set_waker_on_loop(Waker waker, void* data) {
  {
    std::unique_lock lock(mutex_);
    waker_ = waker;
    waker_data_ = data;
    if (waker != nullptr) attached_.store(true, std::memory_order_relaxed);
    loop_awake_ = false;
    if (waker != nullptr && (!incoming_.empty() || stop_requested_)) wake(std::move(lock));
  }
  if (waker != nullptr) return;
  while (waking_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

bool Mailbox::take_on_loop(std::vector<Envelope>* out, size_t most) {
  std::lock_guard lock(mutex_);
  size_t taken = 0;
  while (taken < most) {
    if (taken_next_ == taken_.size()) {
      taken_.clear();
      taken_next_ = 0;
      if (incoming_.empty()) break;
      taken_.swap(incoming_);
    }
    Queued queued = std::move(taken_[taken_next_++]);
    Slot* const slot = slot_locked(queued.handle);
    if (slot == nullptr || slot->exchange.get() != queued.exchange.get()) continue;  // released, or served elsewhere
    const uint32_t events = queued.exchange->take_events();
    if (events == 0) continue;
    slot->delivered = true;
    out->push_back({queued.handle, events, std::move(queued.exchange)});
    ++taken;
  }
  loop_awake_ = true;
  has_mail_.store(taken_next_ != taken_.size() || !incoming_.empty() || stop_requested_, std::memory_order_relaxed);
  return taken != 0;
}

bool Mailbox::stay_awake_on_loop() {
  return wait_a_moment([this] { return has_mail_.load(std::memory_order_relaxed); }) || has_mail_on_loop();
}

bool Mailbox::has_mail_on_loop() {
  std::lock_guard lock(mutex_);
  loop_awake_ = taken_next_ != taken_.size() || !incoming_.empty() || stop_requested_;
  return loop_awake_;
}

bool Mailbox::take_stop_on_loop(StopRequest* request) {
  std::lock_guard lock(mutex_);
  if (!stop_requested_) return false;
  stop_requested_ = false;
  *request = std::move(stop_);
  return true;
}

Mailbox::Slot* Mailbox::slot_locked(uint64_t handle) {
  const uint64_t index = handle & (kMostSlots - 1);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.generation == handle >> kSlotBits && slot.exchange ? &slot : nullptr;
}

Ref<Exchange> Mailbox::find_on_loop(uint64_t handle) {
  std::lock_guard lock(mutex_);
  const Slot* const slot = slot_locked(handle);
  return slot == nullptr ? nullptr : slot->exchange;
}

void Mailbox::release_on_loop(uint64_t handle) {
  Ref<Exchange> released;
  std::lock_guard lock(mutex_);
  Slot* const slot = slot_locked(handle);
  if (slot == nullptr) return;
  released = std::move(slot->exchange);
  // JavaScript holds handles as doubles: slot and generation together stay below 2^53.
  if (++slot->generation == 0) slot->generation = 1;
  free_slots_.push_back(static_cast<uint32_t>(handle & (kMostSlots - 1)));
  live_.fetch_sub(1, std::memory_order_relaxed);
  if (std::exchange(slot->lasting, false)) lasting_.fetch_sub(1, std::memory_order_relaxed);
}

void Mailbox::upgraded_on_loop(uint64_t handle) {
  std::lock_guard lock(mutex_);
  Slot* const slot = slot_locked(handle);
  if (slot != nullptr && !std::exchange(slot->lasting, true)) lasting_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace nwsgi::exchange
