// Starts CPython, makes and ends interpreters. All of it on the host's service thread.
#pragma once

#include <string>

#include "python/host.h"
#include "python/interpreter.h"

namespace nwsgi::python {

// Initialises CPython as an isolated one: neither its environment variables nor its signal handlers are looked at or set. False
// with the reason. Afterwards the GIL is held, and the calling thread is Python's main thread.
bool start_python(const HostOptions& options, std::string* error);

// Makes a sub-interpreter; the caller's thread state is current before, and has the GIL. The new one's is current afterwards, with
// the GIL of the new interpreter held. Null with the reason, and nothing changed.
PyThreadState* new_interpreter(bool own_gil, std::string* error);

// Ends the sub-interpreter of the current thread state. False when it cannot be ended, because threads of the application still
// run in it: then it just stays. Afterwards there is no current thread state, and no GIL is held, unless it returned false.
bool end_interpreter(PyThreadState* state);

// Text of the Python error that is set, and clears it.
std::string take_error_text();

}  // namespace nwsgi::python
