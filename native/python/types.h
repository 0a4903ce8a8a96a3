// The types of _nwsgi; each is made once for each interpreter, by PyType_FromModuleAndSpec(). Null with a Python error set.
#pragma once

#include "python/python.h"

namespace nwsgi::python {

PyTypeObject* make_input_type(PyObject* module);           // input.cc
PyTypeObject* make_errors_type(PyObject* module);          // log_stream.cc: wsgi.errors
PyTypeObject* make_log_stream_type(PyObject* module);      // log_stream.cc: sys.stdout, sys.stderr
PyTypeObject* make_file_wrapper_type(PyObject* module);    // file_wrapper.cc
PyTypeObject* make_start_response_type(PyObject* module);  // start_response.cc
PyTypeObject* make_write_type(PyObject* module);           // start_response.cc
PyTypeObject* make_early_hints_type(PyObject* module);     // start_response.cc

}  // namespace nwsgi::python
