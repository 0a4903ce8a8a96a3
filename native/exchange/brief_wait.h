// Waiting a moment without going to sleep.
#pragma once

#include <sched.h>

#include <chrono>

namespace nwsgi::exchange {

// Gives the processor away until `done()` or until the moment is over; true when done. Going to sleep and being woken
// costs both threads more than the few microseconds that a simple request takes. sched_yield() instead of a pause: with
// every core busy it lets the very thread run that is waited for, with an idle one it returns at once, and the bounds
// keep the cost of a vain wait below that of the sleep that follows.
template <typename Done>
bool wait_a_moment(Done done) {
  constexpr int kMostYields = 16;
  constexpr std::chrono::microseconds kLongest{40};
  const auto until = std::chrono::steady_clock::now() + kLongest;
  for (int i = 0; i < kMostYields; ++i) {
    if (done()) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    sched_yield();
  }
  return done();
}

}  // namespace nwsgi::exchange
