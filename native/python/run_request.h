// Calls an application for one request and delivers what it returns (PEP 3333).
#pragma once

#include "python/request.h"

namespace nwsgi::python {

// On a pool's thread, with the GIL held before and after. Ends the exchange in every case, or hands it to the observer as a
// RequestFault; leaves no Python error set; close() of the result was called.
void run_request(Request* request);

// After code of an application has run, before anything else is done with what came of it: does not return in a process that the
// application has forked. With the GIL held; a Python error may be set.
void stay_in_server();

// ---- parts, each in a file of its own ----

// The environ: a fresh dict of the application's constants (environ.h) and the record's variables; also fills the request's fields
// "from the record". Null with a Python error set, or with none for a malformed record. (environ.cc)
PyObject* build_environ(Request* request);

// wsgi.input, wsgi.errors (input.cc, log_stream.cc); null with a Python error set.
PyObject* make_input(Request* request);
PyObject* make_errors(Request* request);
// start_response (start_response.cc) and the write callable that it returns.
PyObject* make_start_response(Request* request);
PyObject* make_early_hints(Request* request);

// ---- the response (response.cc) ----
// Hands one block over: the head first, Content-Length honoured (W-99), waits while the client is slow. `bytes` may be empty, and
// stays the caller's, who holds a reference of it: the GIL may be let go. kError with a Python error set; kEnough: the client
// wants no more, complete() has to follow; kGone: the request was aborted.
enum class Sent : uint8_t { kMore, kEnough, kGone, kError };
Sent send_block(Request* request, const char* bytes, Py_ssize_t size);
// As PEP 3333's write(): what send_block() leaves out or cannot send is an error. False with a Python error set.
bool write_block(Request* request, const char* bytes, Py_ssize_t size);
// A body that is complete, of the length that was announced, where nothing was sent before: head, body and end at once.
Sent send_whole(Request* request, const char* bytes, Py_ssize_t size);
// Hands the head over now, with Content-Length where request->content_length is known. Nothing if that was done before.
Sent send_head(Request* request);
// Ends a response whose blocks were all sent. Sent::kError with a Python error set for a body that is too short (W-100), or
// where start_response was not called (W-07).
Sent complete(Request* request);
// "the client left": why a request is over.
const char* abort_text(Exchange* exchange);
// Whether the response must not have a body: HEAD, 204, 304 (W-105, W-106).
inline bool is_bodiless(const Request* request) {
  return request->is_head || request->status == 204 || request->status == 304;
}

// The result is a file wrapper that can be sent by its descriptor (W-117…W-124): does so and ends the response.
// *handled is false when it has to be iterated like anything else. (file_wrapper.cc)
Sent send_file(Request* request, PyObject* result, bool* handled);

// ---- faults (fault.cc) ----
// Takes the Python error that is set, and clears it. `problem`: where the exception itself does not say (SystemExit,
// RequestTimeout and our own errors do).
Fault take_fault(Interpreter* interpreter, const char* problem);
// Sets a Python exception (of `type`) whose problem is known to take_fault(), with "NWSGIcode message" as its text.
void raise_problem(PyObject* type, const char* problem, const char* format, ...);

// A short, harmless rendering of a value for messages: runs no code of the application's.
std::string show(PyObject* value);
// The stable code of a problem, "NWSGI2203"; that of applicationFailed for one it does not know.
const char* code_of(std::string_view problem);

// Writes to the request's log, else (it is over) to the observer's; null: log_for_site(). With the GIL held, or on the thread that
// runs the request.
void log_for(Request* request, uint8_t level, std::string text);
// A line of no request: to the newest observer of the host, else to the process's standard error. (host.cc)
void log_for_site(uint8_t level, std::string text);

}  // namespace nwsgi::python
