// This worker's entry of the scoreboard, as far as requests are concerned. Thread: the loop's.
#pragma once

#include <cstdint>
#include <string>

#include "exchange/scoreboard.h"

namespace nwsgi::fastcgi {

// Does nothing as long as there is no table (a worker that is run by itself).
class Slot {
 public:
  // Maps the table of the descriptor. False with a message when it is none, or has no such slot.
  bool open(int fd, uint32_t slot, uint32_t generation, std::string* error);
  explicit operator bool() const { return static_cast<bool>(board_); }
  exchange::ScoreboardWorker* worker() const { return board_ ? &board_.worker(claim_.slot) : nullptr; }

  // A request begins; `claimed`: its sender holds a claim, which is now this worker's to give back.
  void begun(bool claimed);
  // The request is over.
  void finished(bool claimed);
  // The request becomes a connection that may last for days: it gives its claim back.
  void upgraded(bool claimed);
  void upgrade_over();
  uint32_t active() const { return active_; }
  uint32_t upgrades() const { return upgraded_; }

  // Called about once a second. Takes back claims that nobody has used for a minute: whoever made them died before it
  // could send a request.
  void reconcile();
  static constexpr uint32_t kReconcileTicks = 60;

 private:
  void give_back();

  exchange::Scoreboard board_;
  exchange::Claim claim_;  // of which there are as many as requests that came with one
  uint32_t active_ = 0;
  uint32_t claimed_ = 0;
  uint32_t upgraded_ = 0;
  uint64_t begun_ = 0;
  uint64_t finished_ = 0;
  uint32_t ticks_ = 0;
  uint32_t least_surplus_ = UINT32_MAX;
};

}  // namespace nwsgi::fastcgi
