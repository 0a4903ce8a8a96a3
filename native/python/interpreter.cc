#include "python/interpreter.h"

#include "python/request.h"

namespace nwsgi::python {

namespace {

thread_local Interpreter* thread_interpreter = nullptr;
thread_local Request* thread_request = nullptr;

}  // namespace

Interpreter* current_interpreter() { return thread_interpreter; }
void set_current_interpreter(Interpreter* interpreter) { thread_interpreter = interpreter; }

Request* current_request() { return thread_request; }
void set_current_request(Request* request) { thread_request = request; }

}  // namespace nwsgi::python
