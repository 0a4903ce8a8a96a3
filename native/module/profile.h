// Where the time of one request goes, for npm run bench -- profile: with NWSGI_PROFILE in the environment of httpd each request
// of an application has a note "nwsgi-phases" for a LogFormat: nanoseconds of its phases.
#pragma once

#include <httpd.h>

#include "exchange/phases.h"

namespace nwsgi::httpd_side {

// Reads the environment. Main thread of a child, before the first request.
void start_profiling();
bool profiling();

// The handler was called, on this thread.
void note_handler();
int64_t handler_began();

// Sets the request's note. The thread that serves the request.
void note_phases(request_rec* r, const exchange::Phases& phases);

}  // namespace nwsgi::httpd_side
