// wsgi.file_wrapper (W-117…W-124): as an iterable it reads its file block by block; a response that consists of the untouched
// wrapper around a real file is handed to the server as a descriptor.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "python/run_request.h"
#include "python/types.h"

namespace nwsgi::python {
namespace {

constexpr Py_ssize_t kBlockSize = 64 * 1024;

struct FileWrapper {
  PyObject_HEAD
  PyObject* filelike;
  Py_ssize_t block_size;
  bool touched;  // somebody has iterated it
};

FileWrapper* wrapper_of(PyObject* self) { return reinterpret_cast<FileWrapper*>(self); }

// FileWrapper(filelike, block_size=65536)
PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"filelike", "block_size", nullptr};
  PyObject* filelike;
  Py_ssize_t block_size = kBlockSize;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|n:FileWrapper", const_cast<char**>(names), &filelike, &block_size)) return nullptr;
  if (!PyObject_HasAttrString(filelike, "read")) {
    raise_problem(PyExc_TypeError, "badFile", "wsgi.file_wrapper cannot read %.100s: it has no read()", Py_TYPE(filelike)->tp_name);
    return nullptr;
  }
  if (block_size <= 0) {
    raise_problem(PyExc_ValueError, "badFile", "the block size must be positive, not %zd", block_size);
    return nullptr;
  }
  PyObject* const self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  FileWrapper* const wrapper = wrapper_of(self);
  Py_INCREF(filelike);
  wrapper->filelike = filelike;
  wrapper->block_size = block_size;
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(wrapper_of(self)->filelike);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(wrapper_of(self)->filelike);
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* iterate(PyObject* self) {
  wrapper_of(self)->touched = true;
  Py_INCREF(self);
  return self;
}

PyObject* iterate_next(PyObject* self) {
  FileWrapper* const wrapper = wrapper_of(self);
  wrapper->touched = true;
  Object block = Object::adopt(PyObject_CallMethod(wrapper->filelike, "read", "n", wrapper->block_size));
  if (!block) return nullptr;
  const int more = PyObject_IsTrue(block.get());
  return more > 0 ? block.leak() : nullptr;
}

// W-119: the file's close() as it is now.
PyObject* close(PyObject* self, PyObject*) { return PyObject_CallMethod(wrapper_of(self)->filelike, "close", nullptr); }

// There is a close() only where the file has one.
PyObject* attribute(PyObject* self, PyObject* name) {
  if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "close") == 0) {
    if (!Object::adopt(PyObject_GetAttr(wrapper_of(self)->filelike, name))) return nullptr;
  }
  return PyObject_GenericGetAttr(self, name);
}

PyMethodDef methods[] = {
    {"close", close, METH_NOARGS, "Closes the file."},
    {nullptr, nullptr, 0, nullptr},
};

PyObject* filelike(PyObject* self, void*) { return Object::share(wrapper_of(self)->filelike).leak(); }
PyObject* block_size(PyObject* self, void*) { return PyLong_FromSsize_t(wrapper_of(self)->block_size); }

// The names that wsgiref.util.FileWrapper has.
PyGetSetDef attributes[] = {
    {"filelike", filelike, nullptr, nullptr, nullptr},
    {"blksize", block_size, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_getattro, reinterpret_cast<void*>(attribute)},
    {Py_tp_iter, reinterpret_cast<void*>(iterate)},
    {Py_tp_iternext, reinterpret_cast<void*>(iterate_next)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_tp_doc, const_cast<char*>("FileWrapper(filelike, block_size=65536): a file as the body of a response.")},
    {0, nullptr},
};
PyType_Spec spec = {"_nwsgi.FileWrapper", sizeof(FileWrapper), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

// ---- the descriptor behind a file ----

bool is_exactly(PyObject* object, PyObject* io, const char* name) {
  const Object type = Object::adopt(PyObject_GetAttrString(io, name));
  return type && reinterpret_cast<PyObject*>(Py_TYPE(object)) == type.get();
}

// The object of Python's own io module whose bytes filelike.read() gives, as it is: a file, a buffered one, or a proxy for one of
// them (Django's File, tempfile's). A class that has a fileno() may do anything else with what it reads (gzip.GzipFile).
// May leave a Python error set when there is none.
Object plain_file(PyObject* filelike, PyObject* io) {
  Object source = Object::share(filelike);
  // tempfile.NamedTemporaryFile() wraps the methods of its file in functions.
  if (std::string_view(Py_TYPE(filelike)->tp_name) == "_TemporaryFileWrapper") {
    source = Object::adopt(PyObject_GetAttrString(filelike, "file"));
    if (!source) return {};
  }
  const Object read = Object::adopt(PyObject_GetAttrString(source.get(), "read"));
  if (!read || !PyCFunction_Check(read.get())) return {};
  PyObject* const file = PyCFunction_GET_SELF(read.get());
  if (file == nullptr) return {};
  if (!is_exactly(file, io, "FileIO")) {
    if (!is_exactly(file, io, "BufferedReader") && !is_exactly(file, io, "BufferedRandom")) return {};
    const Object raw = Object::adopt(PyObject_GetAttrString(file, "raw"));
    if (!raw || !is_exactly(raw.get(), io, "FileIO")) return {};
  }
  return Object::share(file);
}

bool call_for_number(PyObject* object, const char* method, int64_t* number) {
  const Object result = Object::adopt(PyObject_CallMethod(object, method, nullptr));
  if (!result) return false;
  *number = PyLong_AsLongLong(result.get());
  return *number >= 0 && !PyErr_Occurred();
}

struct Part {
  int fd = -1;
  int64_t offset = 0;
  int64_t length = 0;
};

// The part of the file that reading it would give. May leave a Python error set where there is none.
bool locate(PyObject* filelike, Part* part) {
  const Object io = Object::adopt(PyImport_ImportModule("io"));
  const Object file = io ? plain_file(filelike, io.get()) : Object();
  int64_t fd;
  if (!file || !call_for_number(file.get(), "fileno", &fd) || !call_for_number(file.get(), "tell", &part->offset)) return false;
  struct stat status {};
  part->fd = static_cast<int>(fd);
  // Files that have something to read but no size: /proc.
  if (::fstat(part->fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) return false;
  if ((::fcntl(part->fd, F_GETFL) & O_ACCMODE) == O_WRONLY) return false;
  part->length = std::max<int64_t>(0, status.st_size - part->offset);
  return true;
}

Sent send_part(Request* request, const Part& part) {
  if (request->content_length < 0) request->content_length = part.length;
  const Sent head = send_head(request);
  if (head != Sent::kMore) return head == Sent::kEnough ? complete(request) : head;
  const int64_t length = std::min(part.length, request->content_length);
  if (length > 0 && !is_bodiless(request)) {
    // The application closes its descriptor before the server has sent the file.
    const int own = ::fcntl(part.fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0) {
      PyErr_SetFromErrno(PyExc_OSError);
      return Sent::kError;
    }
    if (request->exchange->send_file_on_loop(own, part.offset, length) == Exchange::Accept::kOver) return Sent::kGone;
    request->sent += length;
  }
  return complete(request);
}

}  // namespace

PyTypeObject* make_file_wrapper_type(PyObject* module) {
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

Sent send_file(Request* request, PyObject* result, bool* handled) {
  *handled = false;
  if (Py_TYPE(result) != request->interpreter->type(Type::kFileWrapper) || request->written || wrapper_of(result)->touched) return Sent::kMore;
  Part part;
  if (!locate(wrapper_of(result)->filelike, &part)) {
    // Reading it will say what is wrong with it.
    PyErr_Clear();
    return Sent::kMore;
  }
  *handled = true;
  return send_part(request, part);
}

}  // namespace nwsgi::python
