// The way of the response's bytes to the exchange: head, Content-Length, back-pressure (W-85…W-87, W-99…W-107). What is sent for what
// is the same as for JavaScript (src/wsgi/exchange.ts).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "python/fork_guard.h"
#include "python/log_stream.h"
#include "python/run_request.h"

namespace nwsgi::python {
namespace {

using Accept = Exchange::Accept;

// Bodies above that are handed over in pieces of that size, so that they are not in memory twice, and without the GIL.
constexpr Py_ssize_t kPiece = 256 * 1024;

exchange::Chunk copy_of(const char* bytes, Py_ssize_t size) {
  exchange::Chunk chunk;
  if (size == 0) return chunk;
  chunk.data = static_cast<char*>(std::malloc(static_cast<size_t>(size)));
  if (chunk.data == nullptr) std::abort();  // as operator new would, which everything around here uses
  chunk.size = static_cast<size_t>(size);
  std::memcpy(chunk.data, bytes, chunk.size);
  return chunk;
}

// The head as the exchange takes it; it is not needed afterwards.
std::string packed_head(Request* request) {
  request->head_sent = true;
  std::string head = std::move(request->head);
  request->head.assign(1, '\n');  // not empty: start_response was called
  // 204 has no length (W-106); that of 304 tells about the representation, if the application knows it.
  if (request->content_length >= 0 && request->status != 204) {
    char line[48];
    const int size = std::snprintf(line, sizeof line, "Content-Length:%lld\n", static_cast<long long>(request->content_length));
    head.append(line, static_cast<size_t>(size));
  }
  return head;
}

bool has_head(Request* request) {
  if (!request->head.empty()) return true;
  raise_problem(PyExc_RuntimeError, "notStarted", "a block of the response came before start_response was called");
  return false;
}

Sent end_of(Request* request, Accept accepted) {
  request->ended = true;
  return accepted == Accept::kOk ? Sent::kEnough : Sent::kGone;
}

// Head, body and end in one call.
Sent respond(Request* request, const char* bytes, Py_ssize_t size) {
  if (is_bodiless(request)) {
    if (request->is_head && request->content_length < 0 && size > 0) request->content_length = size;
    size = 0;
  } else if (request->content_length < 0) {
    request->content_length = size;
  }
  flush_logs(request);
  request->sent = size;
  request->output_writes += size > 0 ? 1 : 0;
  return end_of(request, request->exchange->respond_on_loop(packed_head(request), copy_of(bytes, size)));
}

// A long block in pieces. Without the GIL: touches nothing of Python, nor of the request.
bool send_pieces(Exchange* exchange, const char* bytes, Py_ssize_t size) {
  while (size > 0) {
    const Py_ssize_t piece = std::min(size, kPiece);
    size_t queued = 0;
    if (exchange->write_on_loop(copy_of(bytes, piece), &queued) == Accept::kOver) return false;
    if (queued > exchange::kHighWater && !exchange->wait_writable_on_thread()) return false;
    bytes += piece;
    size -= piece;
  }
  return true;
}

// False when the request is over.
bool send_bytes(Request* request, const char* bytes, Py_ssize_t size) {
  // Another thread of the application may end the request meanwhile.
  const Ref<Exchange> exchange = request->exchange;
  if (size > kPiece) {
    const WithoutGil without;
    return send_pieces(exchange.get(), bytes, size);
  }
  size_t queued = 0;
  if (exchange->write_on_loop(copy_of(bytes, size), &queued) == Accept::kOver) return false;
  if (queued <= exchange::kHighWater) return true;
  const WithoutGil without;
  return exchange->wait_writable_on_thread();
}

// `may_end`: nobody but the iterable can add anything, so that a first block with all that was announced ends the response.
Sent send(Request* request, const char* bytes, Py_ssize_t size, bool may_end) {
  if (request->ended) return Sent::kGone;
  if (size == 0) return request->exchange->over() ? Sent::kGone : Sent::kMore;
  if (!has_head(request)) return Sent::kError;
  const bool limited = request->content_length >= 0 && !is_bodiless(request);
  const Py_ssize_t room = limited ? static_cast<Py_ssize_t>(request->content_length - request->sent) : PY_SSIZE_T_MAX;
  if (may_end && !request->head_sent) {
    if (is_bodiless(request)) return respond(request, nullptr, 0);
    if (limited && size >= room && room <= kPiece) return respond(request, bytes, room);
  }
  if (send_head(request) == Sent::kGone) return Sent::kGone;
  if (is_bodiless(request)) return Sent::kEnough;
  const Py_ssize_t part = std::min(size, room);
  if (part > 0) {
    request->sent += part;
    ++request->output_writes;
    if (!send_bytes(request, bytes, part)) return Sent::kGone;
  }
  return limited && size >= room ? Sent::kEnough : Sent::kMore;
}

const char* reason_of(exchange::AbortReason reason) {
  switch (reason) {
    case exchange::AbortReason::kTimeout: return "the request took too long";
    case exchange::AbortReason::kServerStopping: return "the server stops";
    case exchange::AbortReason::kServerFault: return "the server had a fault";
    default: return "the client left";
  }
}

}  // namespace

const char* abort_text(Exchange* exchange) { return reason_of(exchange->abort_reason()); }

Sent send_head(Request* request) {
  if (request->ended) return Sent::kGone;
  if (request->head_sent) return Sent::kMore;
  if (!has_head(request)) return Sent::kError;
  return request->exchange->head_on_loop(packed_head(request)) == Accept::kOk ? Sent::kMore : Sent::kGone;
}

Sent send_block(Request* request, const char* bytes, Py_ssize_t size) { return send(request, bytes, size, true); }

bool write_block(Request* request, const char* bytes, Py_ssize_t size) {
  if (in_forked_child()) {
    raise_problem(PyExc_RuntimeError, "pythonForked", "write() was called in a process that the application forked");
    return false;
  }
  request->written = true;
  const int64_t total = request->sent + size;
  const Ref<Exchange> exchange = request->exchange;
  const Sent sent = send(request, bytes, size, false);
  if (sent == Sent::kError) return false;
  if (sent == Sent::kGone) {
    raise_problem(PyExc_OSError, "clientGone", "%s", abort_text(exchange.get()));
    return false;
  }
  if (request->content_length >= 0 && total > request->content_length && !is_bodiless(request)) {
    raise_problem(PyExc_ValueError, "longBody", "write() got %lld bytes, Content-Length is %lld", static_cast<long long>(total),
                  static_cast<long long>(request->content_length));
    return false;
  }
  return true;
}

Sent send_whole(Request* request, const char* bytes, Py_ssize_t size) {
  if (request->ended) return Sent::kGone;
  if (!has_head(request)) return Sent::kError;
  if (size <= kPiece || is_bodiless(request)) return respond(request, bytes, size);
  if (request->content_length < 0) request->content_length = size;
  const Sent sent = send(request, bytes, size, false);
  return sent == Sent::kEnough ? complete(request) : sent;
}

Sent complete(Request* request) {
  if (request->ended) return Sent::kGone;
  const bool is_short = request->content_length > request->sent && !is_bodiless(request);
  if ((request->head.empty() || is_short) && request->exchange->over()) return end_of(request, Accept::kOver);
  if (request->head.empty()) {
    raise_problem(PyExc_RuntimeError, "notStarted", "the response ended and start_response had not been called");
    return Sent::kError;
  }
  if (is_short) {
    raise_problem(PyExc_ValueError, "shortBody", "the body has %lld bytes, Content-Length is %lld",
                  static_cast<long long>(request->sent), static_cast<long long>(request->content_length));
    return Sent::kError;
  }
  if (!request->head_sent) return respond(request, nullptr, 0);
  flush_logs(request);
  return end_of(request, request->exchange->complete_on_loop());
}

}  // namespace nwsgi::python
