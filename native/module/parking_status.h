// How much is parked, in all children of the server; mod_status shows it.
//
// The numbers lie in memory that the parent shares with its children, an entry for each child.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace nwsgi::httpd_side {

struct ParkingCounts {
  std::atomic<uint32_t> connections{0};  // that are the module's
  std::atomic<uint32_t> requests{0};     // of these, that wait or are being answered
};

// Of this child. Before claim_parking_counts() they are nobody's.
ParkingCounts& parking_counts();

// The parent makes the memory, once for all restarts; a child takes an entry of it.
void share_parking_counts();
void claim_parking_counts();

// Adds the numbers to the pages of mod_status, where that is loaded.
void register_parking_status();

}  // namespace nwsgi::httpd_side
