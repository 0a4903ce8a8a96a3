#include "fastcgi/slot.h"

#include <algorithm>

namespace nwsgi::fastcgi {

using exchange::Scoreboard;

bool Slot::open(int fd, uint32_t slot, uint32_t generation, std::string* error) {
  if (!board_.map(fd, error)) return false;
  if (slot >= board_.workers()) {
    board_.unmap();
    *error = "the scoreboard has no slot " + std::to_string(slot);
    return false;
  }
  claim_ = {slot, generation};
  return true;
}

// Only this thread writes these fields: a store does, no read-modify-write is needed.
void Slot::begun(bool claimed) {
  ++active_;
  ++begun_;
  if (claimed) ++claimed_;
  if (!board_) return;
  exchange::ScoreboardWorker& entry = *worker();
  entry.active.store(active_, std::memory_order_relaxed);
  entry.begun.store(begun_, std::memory_order_relaxed);
}

void Slot::finished(bool claimed) {
  --active_;
  ++finished_;
  if (board_) {
    exchange::ScoreboardWorker& entry = *worker();
    entry.active.store(active_, std::memory_order_relaxed);
    entry.finished.store(finished_, std::memory_order_relaxed);
  }
  if (claimed) give_back();
}

void Slot::upgraded(bool claimed) {
  ++upgraded_;
  if (board_) worker()->upgraded.store(upgraded_, std::memory_order_relaxed);
  finished(claimed);
}

void Slot::upgrade_over() {
  --upgraded_;
  if (board_) worker()->upgraded.store(upgraded_, std::memory_order_relaxed);
}

void Slot::give_back() {
  --claimed_;
  if (board_) board_.release(claim_);
}

void Slot::reconcile() {
  if (!board_) return;
  const uint64_t tenancy = worker()->tenancy.load();
  if (Scoreboard::generation_of(tenancy) != claim_.generation) return;
  const uint32_t claims = Scoreboard::claims_of(tenancy);
  least_surplus_ = std::min(least_surplus_, claims > claimed_ ? claims - claimed_ : 0);
  if (++ticks_ < kReconcileTicks) return;
  for (uint32_t i = 0; i < least_surplus_; ++i) board_.release(claim_);
  ticks_ = 0;
  least_surplus_ = UINT32_MAX;
}

}  // namespace nwsgi::fastcgi
