// Connections of this child to the workers of one process group that carry no request at present.
//
// Threads: any. One small lock for each worker slot, held for the time of a push or pop, never while waiting.
// A worker that is replaced leaves its slot to another generation; connections of earlier ones are closed when the slot
// is next used, or by sweep().
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "exchange/scoreboard.h"

namespace nwsgi::httpd_side {

// A connection to a worker. It belongs to one request at a time.
struct DaemonConnection {
  // The socket's own time-out for reads that may block.
  static constexpr std::chrono::milliseconds kSocketWait{50};

  DaemonConnection(int descriptor, exchange::Claim worker) : fd(descriptor), worker(worker) {}
  ~DaemonConnection();  // closes
  DaemonConnection(const DaemonConnection&) = delete;
  DaemonConnection& operator=(const DaemonConnection&) = delete;

  const int fd;
  const exchange::Claim worker;  // the slot, and who is in it
  uint16_t last_id = 0;          // of a request
};

class DaemonConnections {
 public:
  using Held = std::unique_ptr<DaemonConnection>;

  DaemonConnections() = default;
  DaemonConnections(const DaemonConnections&) = delete;
  DaemonConnections& operator=(const DaemonConnections&) = delete;

  // An idle connection to exactly this worker, the one that was used last; null when there is none.
  Held take(const exchange::Claim& worker);
  // For a connection whose request is over and that is fit for the next one.
  void give_back(Held connection);
  // Closes what is idle of this worker: it is gone.
  void forget(const exchange::Claim& worker);
  // Closes connections to workers that do not serve any more.
  void sweep(const exchange::Scoreboard& scoreboard);

  size_t idle(uint32_t slot);

 private:
  struct Slot {
    std::mutex mutex;
    uint32_t generation = 0;
    std::vector<Held> idle;
  };
  // Makes this generation the slot's, unless a later one has been there; with the slot's lock. Connections of earlier
  // ones go to *old, to be closed without the lock.
  static bool turn_over(Slot* slot, uint32_t generation, std::vector<Held>* old);

  std::array<Slot, exchange::Scoreboard::kWorkerSlots> slots_;
};

}  // namespace nwsgi::httpd_side
