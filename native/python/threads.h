// Threads of the host. They take no signals: those are the server's, or the worker's loop's.
#pragma once

#include <functional>

namespace nwsgi::python {

// Starts a detached thread with room enough for Python's deep recursion. False when the system has none left.
bool start_thread(const char* name, std::function<void()> body);

}  // namespace nwsgi::python
