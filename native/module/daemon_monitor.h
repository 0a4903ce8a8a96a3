// The process between httpd's parent and a supervisor.
//
// Whatever a child of httpd's parent ends with, httpd takes to heart: exit code 15 (APEXIT_CHILDFATAL) of any child of
// it stops the whole server. A supervisor runs as the user of its applications, which therefore could have it end that
// way. So httpd's child is this process: a fork that belongs to root and does nothing but hand on signals, and the
// supervisor's end.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace nwsgi::httpd_side {

// Ends of supervisors as exit codes of their monitors.
constexpr int kSignalled = 128;  // + number of the signal
int monitored_exit_code(int wait_status);

// Waits for the child, and ends as it did. Called with all signals blocked, before anything else was done in this
// process. HUP means something else until the child is ready (*ready_pid is its pid), and is dropped; all other signals
// are handed on.
[[noreturn]] void monitor(pid_t child, const std::atomic<int32_t>& ready_pid);

}  // namespace nwsgi::httpd_side
