// The Python part (nwsgi_host, native/python/lib) and what it needs of the C++ side: the functions of _nwsgi, and the events that
// functions given to mod_wsgi.subscribe_events() hear of.
//
// Threads: with the GIL of the interpreter held, unless it says otherwise.
#pragma once

#include <atomic>

#include "python/interpreter.h"
#include "python/request.h"

namespace nwsgi::python {

// Adds the functions of _nwsgi to the module. False with a Python error set.
bool add_functions(PyObject* module);

// Imports nwsgi_host from options->library and lets it prepare the interpreter: sys.path, sys.stdout, logging, signal, subprocess,
// mod_wsgi. Sets interpreter->library. sys.path has the library's folder only meanwhile. False with a Python error set.
bool prepare_library(Interpreter* interpreter);

// The interpreter is about to end: tells functions given to subscribe_events() and subscribe_shutdown() so; waiting for threads, and
// atexit, are CPython's own part. Takes as long as these functions take. Leaves no error set.
void end_library(Interpreter* interpreter, const char* reason);

namespace detail {
extern std::atomic<int> listeners;
}

// Whether anybody listens to events, in any interpreter: callers of the four functions below ask first.
inline bool wants_events(const Interpreter*) { return detail::listeners.load(std::memory_order_relaxed) > 0; }

// None of them leaves a Python error set; one that is set when they are called stays set.
// `*callable`, borrowed before, may be replaced by a new reference.
void request_started(Request* request, PyObject* environ, PyObject** callable);
void response_started(Request* request, PyObject* status, PyObject* headers, PyObject* exc_info);
void request_finished(Request* request);
void request_failed(Request* request, PyObject* exception);

}  // namespace nwsgi::python
