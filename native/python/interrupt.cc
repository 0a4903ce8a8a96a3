// Requests that timed out: the exception in their threads, and the report where that does not help.
#include <algorithm>

#include "python/pool_impl.h"

namespace nwsgi::python {

namespace {

// Where a thread is, as Python prints it.
std::string stack_of(PyThreadState* state) {
  const Object frame = Object::adopt(reinterpret_cast<PyObject*>(PyThreadState_GetFrame(state)));
  if (!frame) return "";
  const Object traceback = Object::adopt(PyImport_ImportModule("traceback"));
  const Object lines = Object::adopt(traceback ? PyObject_CallMethod(traceback.get(), "format_stack", "O", frame.get()) : nullptr);
  const Object empty = Object::adopt(PyUnicode_FromString(""));
  const Object text = Object::adopt(lines && empty ? PyUnicode_Join(empty.get(), lines.get()) : nullptr);
  Py_ssize_t size = 0;
  const char* const bytes = text ? PyUnicode_AsUTF8AndSize(text.get(), &size) : nullptr;
  if (bytes == nullptr) {
    PyErr_Clear();
    return "";
  }
  return std::string(bytes, static_cast<size_t>(size));
}

std::string describe(const Request* request) {
  return request->method + " " + request->uri + " of " + request->application->script;
}

}  // namespace

void Pool::on_abort(Exchange* exchange, exchange::AbortReason reason) noexcept {
  if (reason != exchange::AbortReason::kTimeout) return;
  {
    std::lock_guard lock(impl_->mutex);
    const auto& workers = impl_->workers;
    const auto found = std::find_if(workers.begin(), workers.end(), [&](const auto& w) { return w->exchange == exchange; });
    if (found == workers.end()) return;
    (*found)->timed_out = true;
    (*found)->timed_out_at = Clock::now();
  }
  impl_->service->hurry();
}

void Pool::each_active(const std::function<void(Request* request, unsigned thread)>& visit) {
  // None begins or ends meanwhile: that takes the GIL.
  std::vector<Worker*> busy;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& worker : impl_->workers) {
      if (worker->request != nullptr) busy.push_back(worker.get());
    }
  }
  for (Worker* const worker : busy) {
    // A visit may have let go of the GIL.
    if (worker->request == nullptr) continue;
    const Ref<Request> request = Ref<Request>::share(worker->request);
    visit(request.get(), worker->number);
  }
}

Clock::time_point Pool::interrupt_due() const {
  const auto patience = impl_->interpreter->options->interrupt_time;
  Clock::time_point due = Clock::time_point::max();
  std::lock_guard lock(impl_->mutex);
  for (const auto& worker : impl_->workers) {
    if (!worker->timed_out || worker->reported) continue;
    due = std::min(due, worker->raised ? worker->timed_out_at + patience : worker->timed_out_at);
  }
  return due;
}

std::vector<Pool::Stuck> Pool::interrupt_timed_out() {
  const Interpreter* const interpreter = impl_->interpreter;
  const Object timeout = Object::adopt(PyObject_GetAttrString(interpreter->library, "RequestTimeout"));
  if (!timeout) PyErr_Clear();
  std::vector<Worker*> hanging;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& worker : impl_->workers) {
      if (!worker->timed_out || worker->reported) continue;
      if (!worker->raised) {
        worker->raised = true;
        PyThreadState_SetAsyncExc(worker->thread_id, timeout ? timeout.get() : PyExc_SystemExit);
      } else if (worker->timed_out_at + interpreter->options->interrupt_time <= Clock::now()) {
        worker->reported = true;
        hanging.push_back(worker.get());
      }
    }
  }
  std::vector<Stuck> reports;
  for (const Worker* const worker : hanging) {
    // Formatting runs Python code, which may let the thread go on and end its request.
    if (worker->request == nullptr) continue;
    const Ref<Request> request = Ref<Request>::share(worker->request);
    Stuck report{request->application->observer, describe(request.get()), ""};
    report.stack = stack_of(worker->state);
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace nwsgi::python
