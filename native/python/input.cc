// wsgi.input (W-47…W-60): the file interface of a binary stream that cannot be written, positioned or closed.
#include <algorithm>
#include <string>

#include "python/body_reader.h"
#include "python/fork_guard.h"
#include "python/run_request.h"
#include "python/types.h"

namespace nwsgi::python {
namespace {

using Turn = BodyReader::Turn;

// What read() makes room for at first; doubled as the body comes in, so that nobody's claim about its size costs memory.
constexpr size_t kFirstRoom = 16 * 1024;
constexpr size_t kBlock = 64 * 1024;

struct Input {
  PyObject_HEAD
  Request* request;     // a reference
  BodyReader* reader;   // made by the first read: most requests never look at their body
};

Input* input_of(PyObject* self) { return reinterpret_cast<Input*>(self); }

// Null with a Python error set when nothing can be read any more.
BodyReader* reader_of(PyObject* self) {
  Input* const input = input_of(self);
  if (input->request->over() || input->request->ended) {
    raise_problem(PyExc_RuntimeError, "tooLate", "wsgi.input was read after the response had ended");
    return nullptr;
  }
  if (in_forked_child()) {
    raise_problem(PyExc_RuntimeError, "inputFailed", "wsgi.input belongs to the server's process and was read in a child of it");
    return nullptr;
  }
  if (input->reader == nullptr) input->reader = new BodyReader(input->request->exchange);
  ++input->request->input_reads;
  return input->reader;
}

// False, with a Python error set, when the body has failed.
bool no_error(const BodyReader* reader) {
  const char* const error = reader->error();
  if (error == nullptr) return true;
  raise_problem(PyExc_OSError, reader->aborted() ? "clientGone" : "inputFailed", "%s", error);
  return false;
}

// An optional size: -1 for "everything". False with a Python error set.
bool parse_size(const char* method, PyObject* const* arguments, Py_ssize_t count, Py_ssize_t* size) {
  *size = -1;
  if (count > 1) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", method, count);
    return false;
  }
  if (count == 0 || arguments[0] == Py_None) return true;
  if (!PyIndex_Check(arguments[0])) {
    PyErr_Format(PyExc_TypeError, "%s(): the size must be an integer or None, not %.100s", method, Py_TYPE(arguments[0])->tp_name);
    return false;
  }
  *size = PyNumber_AsSsize_t(arguments[0], nullptr);
  if (*size == -1 && PyErr_Occurred()) return false;
  *size = std::max<Py_ssize_t>(*size, -1);
  return true;
}

void count_length(PyObject* self, PyObject* bytes) {
  if (bytes != nullptr) input_of(self)->request->input_length += PyBytes_GET_SIZE(bytes);
}

// So many bytes, fewer only at the end of the body. Where an error comes before, that is what the application hears of.
PyObject* read_bytes(BodyReader* reader, size_t most) {
  size_t room;
  size_t got = 0;
  PyObject* bytes;
  {
    const Turn turn(reader);
    room = std::min(most, std::max(kFirstRoom, reader->ahead_size()));
    bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(room));
    while (bytes != nullptr) {
      got += reader->read(PyBytes_AS_STRING(bytes) + got, room - got, room - got);
      if (got < room || room == most) break;
      room = room > most / 2 ? most : room * 2;
      _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(room));
    }
  }
  if (bytes == nullptr || got == room) return bytes;
  if (!no_error(reader)) {
    Py_DECREF(bytes);
    return nullptr;
  }
  _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(got));
  return bytes;
}

PyObject* read(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  Py_ssize_t size;
  if (!parse_size("read", arguments, count, &size)) return nullptr;
  BodyReader* const reader = reader_of(self);
  if (reader == nullptr) return nullptr;
  if (size == 0) return PyBytes_FromStringAndSize(nullptr, 0);
  PyObject* const bytes = read_bytes(reader, size < 0 ? static_cast<size_t>(PY_SSIZE_T_MAX / 2) : static_cast<size_t>(size));
  count_length(self, bytes);
  return bytes;
}

// What is there, at least one byte.
PyObject* read1(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  Py_ssize_t size;
  if (!parse_size("read1", arguments, count, &size)) return nullptr;
  BodyReader* const reader = reader_of(self);
  if (reader == nullptr) return nullptr;
  const size_t most = size < 0 ? kBlock : std::min(static_cast<size_t>(size), kBlock);
  PyObject* bytes = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(most));
  if (bytes == nullptr || most == 0) return bytes;
  size_t got;
  {
    const Turn turn(reader);
    got = reader->read(PyBytes_AS_STRING(bytes), 1, most);
  }
  if (got == 0 && !no_error(reader)) {
    Py_DECREF(bytes);
    return nullptr;
  }
  if (got < most) _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(got));
  count_length(self, bytes);
  return bytes;
}

// As io.RawIOBase.readinto(): what is there, at least one byte.
PyObject* readinto(PyObject* self, PyObject* target) {
  BodyReader* const reader = reader_of(self);
  if (reader == nullptr) return nullptr;
  Py_buffer buffer;
  if (PyObject_GetBuffer(target, &buffer, PyBUF_WRITABLE) != 0) return nullptr;
  size_t got = 0;
  if (buffer.len > 0) {
    const Turn turn(reader);
    got = reader->read(static_cast<char*>(buffer.buf), 1, static_cast<size_t>(buffer.len));
  }
  const bool empty = buffer.len == 0;
  PyBuffer_Release(&buffer);
  if (got == 0 && !empty && !no_error(reader)) return nullptr;
  input_of(self)->request->input_length += static_cast<int64_t>(got);
  return PyLong_FromSize_t(got);
}

// Empty at the end.
PyObject* next_line(PyObject* self, size_t most) {
  BodyReader* const reader = reader_of(self);
  if (reader == nullptr) return nullptr;
  PyObject* line = nullptr;
  {
    const Turn turn(reader);
    const size_t size = reader->find_line(most);
    // An unfinished line before an error is no line.
    const bool whole = size != 0 && (size == most || reader->ahead()[size - 1] == '\n');
    if (whole || reader->error() == nullptr) {
      line = PyBytes_FromStringAndSize(reader->ahead(), static_cast<Py_ssize_t>(size));
      if (line != nullptr) reader->skip(size);
    }
  }
  if (line == nullptr && !PyErr_Occurred()) no_error(reader);
  count_length(self, line);
  return line;
}

PyObject* readline(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  Py_ssize_t size;
  if (!parse_size("readline", arguments, count, &size)) return nullptr;
  return next_line(self, size < 0 ? static_cast<size_t>(PY_SSIZE_T_MAX) : static_cast<size_t>(size));
}

PyObject* readlines(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
  Py_ssize_t hint;
  if (!parse_size("readlines", arguments, count, &hint)) return nullptr;
  Object lines = Object::adopt(PyList_New(0));
  if (!lines) return nullptr;
  for (Py_ssize_t bytes = 0; hint <= 0 || bytes < hint;) {
    const Object line = Object::adopt(next_line(self, static_cast<size_t>(PY_SSIZE_T_MAX)));
    if (!line) return nullptr;
    const Py_ssize_t size = PyBytes_GET_SIZE(line.get());
    if (size == 0) break;
    if (PyList_Append(lines.get(), line.get()) != 0) return nullptr;
    bytes += size;
  }
  return lines.leak();
}

PyObject* iterate(PyObject* self) {
  Py_INCREF(self);
  return self;
}

PyObject* iterate_next(PyObject* self) {
  PyObject* const line = next_line(self, static_cast<size_t>(PY_SSIZE_T_MAX));
  if (line == nullptr || PyBytes_GET_SIZE(line) != 0) return line;
  Py_DECREF(line);
  return nullptr;
}

PyObject* enter(PyObject* self, PyObject*) { return iterate(self); }
PyObject* ignored(PyObject*, PyObject* const*, Py_ssize_t) { Py_RETURN_NONE; }
PyObject* yes(PyObject*, PyObject*) { Py_RETURN_TRUE; }
PyObject* no(PyObject*, PyObject*) { Py_RETURN_FALSE; }
PyObject* closed(PyObject*, void*) { Py_RETURN_FALSE; }

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  Input* const input = input_of(self);
  delete input->reader;
  if (input->request != nullptr) input->request->release();
  type->tp_free(self);
  Py_DECREF(type);
}

PyCFunction fast(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"read", fast(read), METH_FASTCALL, "read(size=-1, /): so many bytes, or all that are left; fewer only at the end of the body."},
    {"read1", fast(read1), METH_FASTCALL, "read1(size=-1, /): what has arrived; waits for the first byte."},
    {"readall", fast([](PyObject* self, PyObject* const*, Py_ssize_t) { return read(self, nullptr, 0); }), METH_FASTCALL, nullptr},
    {"readinto", readinto, METH_O, "readinto(buffer, /): what has arrived; waits for the first byte."},
    {"readline", fast(readline), METH_FASTCALL, "readline(size=-1, /)"},
    {"readlines", fast(readlines), METH_FASTCALL, "readlines(hint=-1, /)"},
    {"close", fast(ignored), METH_FASTCALL, "Does nothing: the body belongs to the server."},
    {"flush", fast(ignored), METH_FASTCALL, nullptr},
    {"readable", yes, METH_NOARGS, nullptr},
    {"writable", no, METH_NOARGS, nullptr},
    {"seekable", no, METH_NOARGS, nullptr},
    {"isatty", no, METH_NOARGS, nullptr},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", fast(ignored), METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"closed", closed, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_iter, reinterpret_cast<void*>(iterate)},
    {Py_tp_iternext, reinterpret_cast<void*>(iterate_next)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_doc, const_cast<char*>("wsgi.input: the body of the request.")},
    {0, nullptr},
};

PyType_Spec spec = {"_nwsgi.Input", sizeof(Input), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

PyTypeObject* make_input_type(PyObject* module) {
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

PyObject* make_input(Request* request) {
  PyTypeObject* const type = request->interpreter->type(Type::kInput);
  PyObject* const self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  input_of(self)->request = request;
  request->retain();
  return self;
}

}  // namespace nwsgi::python
