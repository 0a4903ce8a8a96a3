// What applications write as text: wsgi.errors, sys.stdout and sys.stderr.
//
// Whole lines go to the log of the request whose thread writes them; one write with several lines is one piece of text, so that
// a traceback which is written in one go stays together. An unfinished line waits, for sys.stdout and sys.stderr in the thread
// that wrote it, for wsgi.errors in the request.
#pragma once

#include "python/request.h"

namespace nwsgi::python {

// The level of what the calling thread writes to any of these streams: an APLOG_* number, or -1 for the stream's own. Returns the
// previous one.
int set_stream_level(int level) noexcept;
// The same as a function of _nwsgi (METH_O).
PyObject* py_log_level(PyObject* module, PyObject* level);

// Passes on the unfinished lines of the calling thread, and those of the request's wsgi.errors. `request` may be null. The GIL is
// held.
void flush_logs(Request* request);

}  // namespace nwsgi::python
