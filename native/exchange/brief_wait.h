// Waiting a moment without going to sleep.
#pragma once

#include <sched.h>

#include <chrono>

namespace nwsgi::exchange {

// How many waits of the calling thread are still left out; see wait_a_moment().
inline thread_local unsigned moments_left_out = 0;

// Gives the processor away until `done()` or until the moment is over; true when done. Going to sleep and being woken
// costs both threads more than the few microseconds that a simple request takes. sched_yield() instead of a pause: with
// every core busy it lets the very thread run that is waited for, with an idle one it returns at once, and the bounds
// keep the cost of a vain wait below that of the sleep that follows. Where others have the processor for long, though, a
// yield costs their whole time slice, while a thread that sleeps is let in as soon as it is woken: after one such yield the
// thread's next waits are left out.
template <typename Done>
bool wait_a_moment(Done done) {
  using Clock = std::chrono::steady_clock;
  constexpr int kMostYields = 16;
  constexpr std::chrono::microseconds kLongest{40};
  constexpr std::chrono::microseconds kTimeSlice{700};
  constexpr unsigned kLeftOut = 100;
  if (moments_left_out != 0) {
    --moments_left_out;
    return done();
  }
  const auto until = Clock::now() + kLongest;
  for (int i = 0; i < kMostYields; ++i) {
    if (done()) return true;
    const auto now = Clock::now();
    if (now >= until) {
      if (now - until > kTimeSlice) moments_left_out = kLeftOut;
      return false;
    }
    sched_yield();
  }
  return done();
}

}  // namespace nwsgi::exchange
