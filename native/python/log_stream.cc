#include "python/log_stream.h"

#include <atomic>
#include <string_view>
#include <utility>

#include "exchange/work.h"
#include "python/log_lines.h"
#include "python/run_request.h"
#include "python/types.h"

namespace nwsgi::python {
namespace {

thread_local int thread_level = -1;

// wsgi.errors, sys.stdout, sys.stderr, and what their attribute `buffer` gives: the same stream for bytes.
struct Stream {
  PyObject_HEAD
  Request* request;  // a reference: of wsgi.errors; null: of whatever request the writing thread runs
  uint64_t number;   // of a stream without a request
  uint8_t level;
  bool binary;
  PyObject* name;    // null: that of wsgi.errors
};

Stream* stream_of(PyObject* self) { return reinterpret_cast<Stream*>(self); }

uint64_t next_number() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void pass_text(const Stream* stream, std::string_view text) {
  const auto level = static_cast<uint8_t>(thread_level < 0 ? stream->level : thread_level);
  if (stream->request != nullptr) return pass_lines(stream->request, level, &stream->request->log_partial, text);
  pass_lines(current_request(), level, partial_of_thread(stream->number, stream->level), text);
}

PyObject* write_text(const Stream* stream, PyObject* text) {
  if (!PyUnicode_Check(text)) {
    return PyErr_Format(PyExc_TypeError, "write() argument must be str, not %.100s", Py_TYPE(text)->tp_name);
  }
  Py_ssize_t size;
  if (const char* bytes = PyUnicode_AsUTF8AndSize(text, &size)) {
    pass_text(stream, {bytes, static_cast<size_t>(size)});
  } else {
    // A surrogate without its other half (W-62).
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return nullptr;
    PyErr_Clear();
    const Object escaped = Object::adopt(PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace"));
    if (!escaped) return nullptr;
    pass_text(stream, {PyBytes_AS_STRING(escaped.get()), static_cast<size_t>(PyBytes_GET_SIZE(escaped.get()))});
  }
  return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

PyObject* write_bytes(const Stream* stream, PyObject* bytes) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(bytes, &buffer, PyBUF_SIMPLE) != 0) return nullptr;
  pass_text(stream, {static_cast<const char*>(buffer.buf), static_cast<size_t>(buffer.len)});
  const Py_ssize_t size = buffer.len;
  PyBuffer_Release(&buffer);
  return PyLong_FromSsize_t(size);
}

PyObject* write(PyObject* self, PyObject* what) {
  const Stream* const stream = stream_of(self);
  return stream->binary ? write_bytes(stream, what) : write_text(stream, what);
}

PyObject* writelines(PyObject* self, PyObject* lines) {
  const Object iterator = Object::adopt(PyObject_GetIter(lines));
  if (!iterator) return nullptr;
  while (const Object line = Object::adopt(PyIter_Next(iterator.get()))) {
    if (!Object::adopt(write(self, line.get()))) return nullptr;
  }
  if (PyErr_Occurred()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* flush(PyObject* self, PyObject*) {
  const Stream* const stream = stream_of(self);
  if (stream->request != nullptr) {
    pass_rest(stream->request, stream->level, &stream->request->log_partial);
  } else {
    pass_rest(current_request(), stream->level, partial_of_thread(stream->number, stream->level));
  }
  Py_RETURN_NONE;
}

PyObject* new_stream(PyTypeObject* type, Request* request, uint64_t number, uint8_t level, bool binary, PyObject* name) {
  PyObject* const self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Stream* const stream = stream_of(self);
  stream->request = request;
  if (request != nullptr) request->retain();
  stream->number = number;
  stream->level = level;
  stream->binary = binary;
  Py_XINCREF(name);
  stream->name = name;
  return self;
}

// LogStream(level, name='<log>')
PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"level", "name", nullptr};
  int level;
  PyObject* name = nullptr;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i|U:LogStream", const_cast<char**>(names), &level, &name)) return nullptr;
  if (level < exchange::kLogCritical || level > exchange::kLogDebug) {
    return PyErr_Format(PyExc_ValueError, "LogStream(): no such level: %d", level);
  }
  const Object own = name == nullptr ? Object::adopt(PyUnicode_FromString("<log>")) : Object::share(name);
  return own ? new_stream(type, nullptr, next_number(), static_cast<uint8_t>(level), false, own.get()) : nullptr;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  Stream* const stream = stream_of(self);
  if (stream->request != nullptr) stream->request->release();
  Py_CLEAR(stream->name);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* name(PyObject* self, void*) {
  const Stream* const stream = stream_of(self);
  return stream->name == nullptr ? PyUnicode_FromString("wsgi.errors") : Object::share(stream->name).leak();
}

PyObject* represent(PyObject* self) {
  const Object called = Object::adopt(name(self, nullptr));
  if (!called) return nullptr;
  return PyUnicode_FromFormat("<%s name=%R mode='%s'>", Py_TYPE(self)->tp_name, called.get(), stream_of(self)->binary ? "wb" : "w");
}

PyObject* enter(PyObject* self, PyObject*) {
  Py_INCREF(self);
  return self;
}
PyObject* nothing(PyObject*, PyObject*, PyObject*) { Py_RETURN_NONE; }
PyObject* yes(PyObject*, PyObject*) { Py_RETURN_TRUE; }
PyObject* no(PyObject*, PyObject*) { Py_RETURN_FALSE; }

// What a child process may have as its output: it leads to the server's error log.
PyObject* fileno(PyObject*, PyObject*) { return PyLong_FromLong(2); }

PyObject* is_false(PyObject*, void*) { Py_RETURN_FALSE; }
PyObject* is_true(PyObject*, void*) { Py_RETURN_TRUE; }
PyObject* is_none(PyObject*, void*) { Py_RETURN_NONE; }
PyObject* text(PyObject*, void* value) { return PyUnicode_FromString(static_cast<const char*>(value)); }
PyObject* mode(PyObject* self, void*) { return PyUnicode_FromString(stream_of(self)->binary ? "wb" : "w"); }
PyObject* level(PyObject* self, void*) { return PyLong_FromLong(stream_of(self)->level); }

PyObject* buffer(PyObject* self, void*) {
  const Stream* const stream = stream_of(self);
  if (stream->binary) {
    PyErr_SetString(PyExc_AttributeError, "buffer");
    return nullptr;
  }
  return new_stream(Py_TYPE(self), stream->request, stream->number, stream->level, true, stream->name);
}

PyCFunction with_keywords(PyCFunctionWithKeywords function) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)); }

PyMethodDef methods[] = {
    {"write", write, METH_O, "write(text, /): whole lines go to the log at once."},
    {"writelines", writelines, METH_O, nullptr},
    {"flush", flush, METH_NOARGS, "Passes on a line that has not ended."},
    {"close", with_keywords(nothing), METH_VARARGS | METH_KEYWORDS, "Does nothing: the log belongs to the server."},
    {"reconfigure", with_keywords(nothing), METH_VARARGS | METH_KEYWORDS, "Does nothing: the log takes UTF-8."},
    {"isatty", no, METH_NOARGS, nullptr},
    {"readable", no, METH_NOARGS, nullptr},
    {"writable", yes, METH_NOARGS, nullptr},
    {"seekable", no, METH_NOARGS, nullptr},
    {"fileno", fileno, METH_NOARGS, "2: the server's standard error."},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", with_keywords(nothing), METH_VARARGS | METH_KEYWORDS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"buffer", buffer, nullptr, "The same stream for bytes.", nullptr},
    {"closed", is_false, nullptr, nullptr, nullptr},
    {"encoding", text, nullptr, nullptr, const_cast<char*>("utf-8")},
    {"errors", text, nullptr, nullptr, const_cast<char*>("backslashreplace")},
    {"level", level, nullptr, "Of the lines in the log: an APLOG_* number.", nullptr},
    {"line_buffering", is_true, nullptr, nullptr, nullptr},
    {"mode", mode, nullptr, nullptr, nullptr},
    {"name", name, nullptr, nullptr, nullptr},
    {"newlines", is_none, nullptr, nullptr, nullptr},
    {"write_through", is_false, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot errors_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(represent)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_doc, const_cast<char*>("wsgi.errors: text for the request's error log.")},
    {0, nullptr},
};
PyType_Spec errors_spec = {"_nwsgi.Errors", sizeof(Stream), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, errors_slots};

PyType_Slot log_stream_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(represent)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_doc, const_cast<char*>("LogStream(level, name='<log>'): text for the log of the request that the writing thread runs.")},
    {0, nullptr},
};
PyType_Spec log_stream_spec = {"_nwsgi.LogStream", sizeof(Stream), 0, Py_TPFLAGS_DEFAULT, log_stream_slots};

// isinstance(sys.stdout, io.TextIOBase) is what some libraries ask.
PyTypeObject* make_text_stream(PyObject* module, PyType_Spec* spec) {
  Object type = Object::adopt(PyType_FromModuleAndSpec(module, spec, nullptr));
  const Object io = Object::adopt(type ? PyImport_ImportModule("io") : nullptr);
  const Object base = Object::adopt(io ? PyObject_GetAttrString(io.get(), "TextIOBase") : nullptr);
  const Object done = Object::adopt(base ? PyObject_CallMethod(base.get(), "register", "O", type.get()) : nullptr);
  return done ? reinterpret_cast<PyTypeObject*>(type.leak()) : nullptr;
}

}  // namespace

int set_stream_level(int level) noexcept { return std::exchange(thread_level, level); }

PyObject* py_log_level(PyObject*, PyObject* level) {
  const long number = PyLong_AsLong(level);
  if (number == -1 && PyErr_Occurred()) return nullptr;
  return PyLong_FromLong(set_stream_level(number <= 0 || number > exchange::kLogDebug ? -1 : static_cast<int>(number)));
}

void flush_logs(Request* request) {
  pass_rest_of_thread(request);
  if (request != nullptr) pass_rest(request, exchange::kLogError, &request->log_partial);
}

PyTypeObject* make_errors_type(PyObject* module) { return make_text_stream(module, &errors_spec); }
PyTypeObject* make_log_stream_type(PyObject* module) { return make_text_stream(module, &log_stream_spec); }

PyObject* make_errors(Request* request) {
  return new_stream(request->interpreter->type(Type::kErrors), request, 0, exchange::kLogError, false, nullptr);
}

}  // namespace nwsgi::python
