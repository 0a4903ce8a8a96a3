#include "module/profile.h"

#include <apr_strings.h>
#include <apr_time.h>

#include <cstdlib>

namespace nwsgi::httpd_side {
namespace {

using exchange::Phases;

bool wanted = false;
thread_local int64_t began = 0;

// From point to point; what was not passed took no time.
apr_int64_t between(const Phases& phases, Phases::Point from, Phases::Point to) {
  return phases.at(from) == 0 || phases.at(to) == 0 ? 0 : phases.at(to) - phases.at(from);
}

// A request of a process group is taken by another process: what lies between is one phase.
apr_int64_t outside(const Phases& phases) {
  return phases.at(Phases::kTaken) != 0 ? 0 : between(phases, Phases::kSubmitted, Phases::kSeen);
}

}  // namespace

void start_profiling() { wanted = std::getenv("NWSGI_PROFILE") != nullptr; }
bool profiling() { return wanted; }

void note_handler() {
  if (wanted) began = Phases::now();
}
int64_t handler_began() { return began; }

void note_phases(request_rec* r, const Phases& phases) {
  // httpd's times are those of the wall clock: this one is measured against now.
  const apr_int64_t http = (apr_time_now() - r->request_time) * 1000 - (Phases::now() - phases.at(Phases::kHandler));
  const char* const text = apr_psprintf(
      r->pool,
      "http=%" APR_INT64_T_FMT " submit=%" APR_INT64_T_FMT " queue=%" APR_INT64_T_FMT " application=%" APR_INT64_T_FMT
      " wake=%" APR_INT64_T_FMT " worker=%" APR_INT64_T_FMT " write=%" APR_INT64_T_FMT,
      http < 0 ? 0 : http, between(phases, Phases::kHandler, Phases::kSubmitted),
      between(phases, Phases::kSubmitted, Phases::kTaken), between(phases, Phases::kTaken, Phases::kAnswered),
      phases.at(Phases::kTaken) == 0 ? 0 : between(phases, Phases::kAnswered, Phases::kSeen), outside(phases),
      between(phases, Phases::kSeen, Phases::kWritten));
  apr_table_setn(r->notes, "nwsgi-phases", text);
}

}  // namespace nwsgi::httpd_side
