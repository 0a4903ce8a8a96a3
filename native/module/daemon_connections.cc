#include "module/daemon_connections.h"

#include <unistd.h>

#include <utility>

namespace nwsgi::httpd_side {

using exchange::Claim;
using exchange::Scoreboard;
using exchange::WorkerState;

DaemonConnection::~DaemonConnection() { ::close(fd); }

bool DaemonConnections::turn_over(Slot* slot, uint32_t generation, std::vector<Held>* old) {
  if (slot->generation == generation) return true;
  // Generations count up, and around.
  if (static_cast<int32_t>(generation - slot->generation) < 0) return false;
  old->swap(slot->idle);
  slot->generation = generation;
  return true;
}

DaemonConnections::Held DaemonConnections::take(const Claim& worker) {
  if (worker.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[worker.slot];
  std::vector<Held> old;
  std::lock_guard lock(slot.mutex);
  if (!turn_over(&slot, worker.generation, &old) || slot.idle.empty()) return nullptr;
  Held connection = std::move(slot.idle.back());
  slot.idle.pop_back();
  return connection;
}

void DaemonConnections::give_back(Held connection) {
  if (connection->worker.slot >= slots_.size()) return;
  Slot& slot = slots_[connection->worker.slot];
  std::vector<Held> old;
  std::lock_guard lock(slot.mutex);
  if (turn_over(&slot, connection->worker.generation, &old)) slot.idle.push_back(std::move(connection));
}

void DaemonConnections::forget(const Claim& worker) {
  if (worker.slot >= slots_.size()) return;
  Slot& slot = slots_[worker.slot];
  std::vector<Held> old;
  std::lock_guard lock(slot.mutex);
  if (slot.generation == worker.generation) old.swap(slot.idle);
}

void DaemonConnections::sweep(const Scoreboard& scoreboard) {
  for (uint32_t i = 0; i < slots_.size() && i < scoreboard.workers(); ++i) {
    std::vector<Held> old;
    Slot& slot = slots_[i];
    std::lock_guard lock(slot.mutex);
    if (slot.idle.empty()) continue;
    const exchange::ScoreboardWorker& worker = scoreboard.worker(i);
    const bool serves = worker.state == WorkerState::kServing;
    if (!serves || Scoreboard::generation_of(worker.tenancy) != slot.generation) old.swap(slot.idle);
  }
}

size_t DaemonConnections::idle(uint32_t slot) {
  std::lock_guard lock(slots_[slot].mutex);
  return slots_[slot].idle.size();
}

}  // namespace nwsgi::httpd_side
