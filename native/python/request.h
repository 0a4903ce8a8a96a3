// One request while a Python thread runs its application. Python objects that were made for it (wsgi.input, wsgi.errors, write)
// refer to it and may outlive it: after finish() they raise instead of touching anything.
//
// Threads: with the GIL of its interpreter held; the thread that runs the request, and threads that the application starts.
#pragma once

#include <cstdint>
#include <string>

#include "python/application.h"
#include "python/interpreter.h"

namespace nwsgi::python {

class Request final : public RefCounted<Request> {
 public:
  static Ref<Request> create(Interpreter* interpreter, LoadedApplication* application, Ref<Exchange> exchange) {
    return Ref<Request>::adopt(new Request(interpreter, application, std::move(exchange)));
  }

  Interpreter* const interpreter;
  const Ref<LoadedApplication> application;
  // Null once the request is over.
  Ref<Exchange> exchange;

  // ---- from the record (environ.cc) ----
  bool is_head = false;
  bool is_http10 = false;
  bool development_page = false;
  std::string method;  // for log lines
  std::string uri;
  std::string id;      // nwsgi.request_id

  // ---- the response (start_response.cc, response.cc) ----
  bool started = false;          // start_response was called, successfully (`head` is not empty) or not
  bool head_sent = false;
  bool ended = false;            // complete, failed or given up: nothing but log lines is possible
  bool written = false;          // write() was called
  int status = 0;
  std::string head;              // "200 OK\nName:value\n", without Content-Length
  int64_t content_length = -1;   // what the application announced
  int64_t sent = 0;              // bytes of the body that were handed over
  std::string log_partial;       // an unfinished line of wsgi.errors (log_stream.cc)

  // ---- for mod_wsgi's events ----
  double began = 0;              // seconds since the epoch
  unsigned input_reads = 0;
  int64_t input_length = 0;
  unsigned output_writes = 0;
  PyObject* data = nullptr;      // dict of mod_wsgi.request_data(), once somebody has asked for it

  bool over() const { return !exchange; }
  // Nothing reaches the exchange any more.
  void finish() {
    exchange = nullptr;
    Py_CLEAR(data);
  }

 private:
  friend class RefCounted<Request>;
  Request(Interpreter* i, LoadedApplication* a, Ref<Exchange> e)
      : interpreter(i), application(Ref<LoadedApplication>::share(a)), exchange(std::move(e)) {}
  ~Request() = default;
};

// The request that the calling thread runs; null for none. (pool.cc)
Request* current_request();
void set_current_request(Request* request);

}  // namespace nwsgi::python
