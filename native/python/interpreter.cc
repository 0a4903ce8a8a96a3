#include "python/interpreter.h"

#include <mutex>
#include <vector>

#include "python/request.h"

namespace nwsgi::python {

namespace {

thread_local Interpreter* thread_interpreter = nullptr;
thread_local Request* thread_request = nullptr;

struct Registry {
  std::mutex mutex;
  std::vector<Interpreter*> interpreters;
};

// Never destroyed: threads of applications may run until the process is gone.
Registry& registry() {
  static Registry* const known = new Registry();
  return *known;
}

}  // namespace

Interpreter* current_interpreter() { return thread_interpreter; }
void set_current_interpreter(Interpreter* interpreter) { thread_interpreter = interpreter; }

Interpreter* running_interpreter() {
  const PyInterpreterState* const state = PyInterpreterState_Get();
  if (thread_interpreter != nullptr && thread_interpreter->state == state) return thread_interpreter;
  Registry& known = registry();
  std::lock_guard lock(known.mutex);
  for (Interpreter* const interpreter : known.interpreters) {
    if (interpreter->state == state) return interpreter;
  }
  return nullptr;
}

void register_interpreter(Interpreter* interpreter) {
  Registry& known = registry();
  std::lock_guard lock(known.mutex);
  known.interpreters.push_back(interpreter);
}

void forget_interpreter(Interpreter* interpreter) {
  Registry& known = registry();
  std::lock_guard lock(known.mutex);
  std::erase(known.interpreters, interpreter);
}

Request* current_request() { return thread_request; }
void set_current_request(Request* request) { thread_request = request; }

}  // namespace nwsgi::python
