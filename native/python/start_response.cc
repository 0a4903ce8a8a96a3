// start_response, the write() that it returns, and wsgi.early_hints (W-65…W-84, W-87, W-130). What a head may be is the same as for
// JavaScript (src/wsgi/head.ts).
#include <strings.h>

#include <array>
#include <cstddef>
#include <string_view>

#include "python/mod_wsgi.h"
#include "python/run_request.h"
#include "python/types.h"

#include <structmember.h>  // behind Python.h

namespace nwsgi::python {
namespace {

// A callable of one request; keeps it.
struct RequestCallable {
  PyObject_HEAD
  vectorcallfunc call;
  Request* request;
};

Request* request_of(PyObject* self) { return reinterpret_cast<RequestCallable*>(self)->request; }

PyObject* make_callable(Request* request, Type which, vectorcallfunc call) {
  auto* const made = PyObject_New(RequestCallable, request->interpreter->type(which));
  if (made == nullptr) return nullptr;
  made->call = call;
  made->request = request;
  request->retain();
  return reinterpret_cast<PyObject*>(made);
}

void free_callable(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  request_of(self)->release();
  PyObject_Free(self);
  Py_DECREF(type);
}

// ---- what status and headers may be ----

// Characters of a value or reason (bit 1), and of a token (bit 2).
constexpr uint8_t kInValue = 1;
constexpr uint8_t kInToken = 2;
constexpr std::array<uint8_t, 256> kCharacters = [] {
  std::array<uint8_t, 256> table{};
  for (unsigned c = 0x20; c < 0x100; ++c) {
    if (c != 0x7f) table[c] = kInValue;
  }
  table['\t'] = kInValue;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789")) table[static_cast<unsigned char>(c)] |= kInToken;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] |= kInToken;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] |= kInToken;
  return table;
}();

bool consists_of(std::string_view text, uint8_t kind) {
  for (const char c : text) {
    if ((kCharacters[static_cast<unsigned char>(c)] & kind) == 0) return false;
  }
  return true;
}

// The bytes of a str that has no characters above U+00FF; false for others.
bool latin1_of(PyObject* text, std::string_view* bytes) {
#if PY_VERSION_HEX < 0x030C0000
  if (PyUnicode_READY(text) < 0) {
    PyErr_Clear();
    return false;
  }
#endif
  if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND) return false;
  *bytes = {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text)), static_cast<size_t>(PyUnicode_GET_LENGTH(text))};
  return true;
}

// Hop-by-hop fields (W-79) and Status (W-80): the server's own business.
constexpr std::string_view kForbidden[] = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
                                           "trailer",    "trailers",   "transfer-encoding",  "upgrade",             "status"};
constexpr std::string_view kContentLength = "content-length";

bool same_name(std::string_view name, std::string_view lower) {
  return name.size() == lower.size() && strncasecmp(name.data(), lower.data(), lower.size()) == 0;
}

bool is_forbidden(std::string_view name) {
  switch (name[0] | 0x20) {
    case 'c': case 'k': case 'p': case 't': case 'u': case 's':
      for (const std::string_view each : kForbidden) {
        if (same_name(name, each)) return true;
      }
      return false;
    default:
      return false;
  }
}

// Three digits, a space, and a reason that does not end with a space.
bool is_status(std::string_view text) {
  const auto digit = [&text](size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  return text.size() > 4 && text[0] != '0' && digit(0) && digit(1) && digit(2) && text[3] == ' ' && text.back() != ' ' &&
         text.find('\t') == text.npos && consists_of(text.substr(4), kInValue);
}

// The head as it is packed for the exchange.
struct Head {
  int status = 0;
  std::string text;
  int64_t content_length = -1;
};

bool pack_status(PyObject* status, Head* head) {
  if (!PyUnicode_Check(status)) {
    raise_problem(PyExc_TypeError, "badStatus", "the status must be a str such as \"200 OK\", not %s", show(status).c_str());
    return false;
  }
  std::string_view text;
  if (!latin1_of(status, &text) || !is_status(text)) {
    raise_problem(PyExc_ValueError, "badStatus",
                  "the status must be three digits, a space and a reason without control characters, not %s", show(status).c_str());
    return false;
  }
  head->status = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  if (head->status < 200) {
    raise_problem(PyExc_ValueError, "badStatus", "%s is an interim status; use environ[\"wsgi.early_hints\"] for 103",
                  show(status).c_str());
    return false;
  }
  (head->text = text) += '\n';
  return true;
}

bool pack_length(std::string_view value, PyObject* shown, Head* head) {
  int64_t length = 0;
  bool is_number = !value.empty() && value.size() <= 15;
  for (const char c : value) {
    is_number = is_number && c >= '0' && c <= '9';
    length = is_number ? length * 10 + (c - '0') : 0;
  }
  if (!is_number) {
    raise_problem(PyExc_ValueError, "badHeaders", "Content-Length must be a number of bytes, not %s", show(shown).c_str());
  } else if (head->content_length >= 0) {
    raise_problem(PyExc_ValueError, "badHeaders", "Content-Length is given twice");
  } else {
    head->content_length = length;
    return true;
  }
  return false;
}

bool pack_pair(PyObject* pair, Py_ssize_t index, Head* head) {
  if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
    raise_problem(PyExc_TypeError, "badHeaders", "header %zd must be a tuple (name, value), not %s", index, show(pair).c_str());
    return false;
  }
  PyObject* const name_object = PyTuple_GET_ITEM(pair, 0);
  PyObject* const value_object = PyTuple_GET_ITEM(pair, 1);
  if (!PyUnicode_Check(name_object)) {
    raise_problem(PyExc_TypeError, "badHeaders", "the name of header %zd must be a str, not %s", index, show(name_object).c_str());
    return false;
  }
  if (!PyUnicode_Check(value_object)) {
    raise_problem(PyExc_TypeError, "badHeaders", "the value of header %s must be a str, not %s", show(name_object).c_str(),
                  show(value_object).c_str());
    return false;
  }
  std::string_view name;
  std::string_view value;
  if (!latin1_of(value_object, &value) || !consists_of(value, kInValue)) {
    raise_problem(PyExc_ValueError, "badHeaders", "the value of header %s has a control character or one above U+00FF",
                  show(name_object).c_str());
    return false;
  }
  if (!latin1_of(name_object, &name) || name.empty() || !consists_of(name, kInToken)) {
    raise_problem(PyExc_ValueError, "badHeaders", "the header name %s is not an HTTP token", show(name_object).c_str());
    return false;
  }
  if (same_name(name, kContentLength)) return pack_length(value, value_object, head);
  if (is_forbidden(name)) {
    raise_problem(PyExc_ValueError, "badHeaders", "the header %s belongs to the server; an application cannot set it",
                  show(name_object).c_str());
    return false;
  }
  head->text += name;
  head->text += ':';
  head->text += value;
  head->text += '\n';
  return true;
}

// Nothing in here runs code of the application, so the list stays as it is.
bool pack_headers(PyObject* headers, Head* head) {
  if (!PyList_Check(headers)) {
    raise_problem(PyExc_TypeError, "badHeaders", "the headers must be a list of (name, value) tuples, not %s", show(headers).c_str());
    return false;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); ++i) {
    if (!pack_pair(PyList_GET_ITEM(headers, i), i, head)) return false;
  }
  return true;
}

// ---- start_response ----

void raise_late(const char* what) {
  raise_problem(PyExc_RuntimeError, "tooLate", "%s was called after the response had ended", what);
}

bool is_given(PyObject* exc_info) {
  return exc_info != Py_None && exc_info != Py_False && !(PyTuple_Check(exc_info) && PyTuple_GET_SIZE(exc_info) == 0);
}

// W-69: the application's own exception, once its answer can no longer be replaced.
void raise_again(PyObject* exc_info) {
  PyObject* const value = PyTuple_GET_ITEM(exc_info, 1);
  if (!PyExceptionInstance_Check(value)) {
    raise_problem(PyExc_RuntimeError, "startedTwice", "start_response was called with exc_info after the response had begun");
    return;
  }
  PyObject* const traceback = PyTuple_GET_ITEM(exc_info, 2);
  if (PyTraceBack_Check(traceback)) PyException_SetTraceback(value, traceback);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(value)), value);
}

bool may_start(Request* request, PyObject* exc_info) {
  if (request->ended) {
    raise_late("start_response");
    return false;
  }
  if (is_given(exc_info)) {
    if (!PyTuple_Check(exc_info) || PyTuple_GET_SIZE(exc_info) != 3) {
      raise_problem(PyExc_TypeError, "startedTwice", "exc_info must be the tuple that sys.exc_info() returns, not %s",
                    show(exc_info).c_str());
      return false;
    }
    if (!request->head_sent) return true;
    raise_again(exc_info);
    return false;
  }
  if (!request->started) return true;
  raise_problem(PyExc_RuntimeError, "startedTwice",
                "start_response was called before; pass sys.exc_info() as third argument to replace the answer");
  return false;
}

PyObject* call_write(PyObject* self, PyObject* const* arguments, size_t flags, PyObject* names) {
  if (PyVectorcall_NARGS(flags) != 1 || names != nullptr) {
    PyErr_SetString(PyExc_TypeError, "write() takes exactly one positional argument: the bytes");
    return nullptr;
  }
  Request* const request = request_of(self);
  PyObject* const data = arguments[0];
  if (request->ended) {
    raise_late("write");
    return nullptr;
  }
  if (!PyBytes_Check(data)) {
    raise_problem(PyExc_TypeError, "badChunk", "a block of the response must be bytes, not %s", show(data).c_str());
    return nullptr;
  }
  if (!write_block(request, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* call_start_response(PyObject* self, PyObject* const* arguments, size_t flags, PyObject* names) {
  const Py_ssize_t count = PyVectorcall_NARGS(flags);
  if (count < 2 || count > 3 || names != nullptr) {
    PyErr_SetString(PyExc_TypeError, "start_response() takes two or three positional arguments: status, headers, exc_info");
    return nullptr;
  }
  Request* const request = request_of(self);
  PyObject* const exc_info = count == 3 ? arguments[2] : Py_None;
  if (!may_start(request, exc_info)) return nullptr;
  request->started = true;
  Head head;
  head.text.reserve(400);
  if (!pack_status(arguments[0], &head) || !pack_headers(arguments[1], &head)) return nullptr;
  request->status = head.status;
  request->head = std::move(head.text);
  request->content_length = head.content_length;
  if (wants_events(request->interpreter)) response_started(request, arguments[0], arguments[1], exc_info);
  return make_callable(request, Type::kWrite, call_write);
}

// ---- wsgi.early_hints ----

PyObject* call_early_hints(PyObject* self, PyObject* const* arguments, size_t flags, PyObject* names) {
  if (PyVectorcall_NARGS(flags) != 1 || names != nullptr) {
    PyErr_SetString(PyExc_TypeError, "wsgi.early_hints takes exactly one positional argument: the headers");
    return nullptr;
  }
  Request* const request = request_of(self);
  Head head;
  head.text = "103 Early Hints\n";
  if (!pack_headers(arguments[0], &head)) return nullptr;
  if (!request->head_sent && !request->ended && !request->is_http10) request->exchange->interim_on_loop(std::move(head.text));
  Py_RETURN_NONE;
}

// ---- types ----

PyTypeObject* make_type(PyObject* module, const char* name, const char* doc) {
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(RequestCallable, call), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>(doc)},
      {Py_tp_dealloc, reinterpret_cast<void*>(free_callable)},
      {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
      {Py_tp_members, members},
      {0, nullptr},
  };
  PyType_Spec spec = {name, sizeof(RequestCallable), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

}  // namespace

PyTypeObject* make_start_response_type(PyObject* module) {
  return make_type(module, "_nwsgi.StartResponse", "start_response(status, headers, exc_info=None) -> write");
}

PyTypeObject* make_write_type(PyObject* module) { return make_type(module, "_nwsgi.Write", "write(bytes): sends a block of the response"); }

PyTypeObject* make_early_hints_type(PyObject* module) {
  return make_type(module, "_nwsgi.EarlyHints", "wsgi.early_hints(headers): sends a response with status 103");
}

PyObject* make_start_response(Request* request) { return make_callable(request, Type::kStartResponse, call_start_response); }

PyObject* make_early_hints(Request* request) { return make_callable(request, Type::kEarlyHints, call_early_hints); }

}  // namespace nwsgi::python
