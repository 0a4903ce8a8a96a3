// CPython's header, and the owning reference that everything here uses. Only files of native/python include this.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

namespace nwsgi::python {

// An owned reference; null for none. Made, copied and destroyed with the GIL of its interpreter held.
class Object {
 public:
  Object() = default;
  // Takes over a reference that the caller owns (the result of most calls of CPython).
  static Object adopt(PyObject* object) { return Object(object); }
  // Adds a reference of its own.
  static Object share(PyObject* object) {
    Py_XINCREF(object);
    return Object(object);
  }
  Object(const Object& other) : object_(other.object_) { Py_XINCREF(object_); }
  Object(Object&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Object& operator=(Object other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Object() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Hands the reference to the caller.
  PyObject* leak() { return std::exchange(object_, nullptr); }
  void reset() { Py_CLEAR(object_); }

 private:
  explicit Object(PyObject* object) : object_(object) {}
  PyObject* object_ = nullptr;
};

// The GIL is let go for the life of this object; nothing of Python may be touched meanwhile.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  // CPython ends a thread that wants the GIL of an interpreter that has ended, by unwinding it (until 3.13).
  ~WithoutGil() noexcept(false) { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* const state_;
};

}  // namespace nwsgi::python
