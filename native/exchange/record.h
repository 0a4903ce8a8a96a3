// The request record: everything about a request that crosses into the application, as one block of bytes.
//
// Encoding: a sequence of name/value pairs as in FCGI_PARAMS (FastCGI specification 1.0, section 3.4): the length of
// the name, the length of the value (one byte below 128, else four bytes big-endian with the top bit set), the name,
// the value. Bytes are what the client or httpd gave; no charset is applied. The daemon transport sends the very same
// block, so one decoder (src/record.ts) serves both.
//
// The first pair is nwsgi.x-target. A name that starts with ':' is a header of the request, with the name that the client
// wrote behind the colon. Names that start with "nwsgi.x-" are instructions for the gateway and never reach the environ:
//   nwsgi.x-target            type (auto, wsgi, node, fetch), name of the callable's export, and path of the script, each
//                             but the last ended by a line feed
//   nwsgi.x-authorization     "1": applications of every kind see Authorization and Proxy-Authorization; "0": none does;
//                             absent: those that are no WSGI applications do
//   nwsgi.x-local-port        the port of the connection's local end
//   nwsgi.x-env               variables for the application's process.env, "NAME=value" joined by NULs; of two with the
//                             same name the later wins
//   nwsgi.x-error-page        "development" when the site asked for readable error pages
//   nwsgi.x-reloading         "1" when a changed script is to be reloaded
//   nwsgi.x-multiprocess      "1" when another process may run the same application
//   nwsgi.x-sendfile          "1" when wsgi.file_wrapper may hand files to the server
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nwsgi::exchange {

class RecordWriter {
 public:
  explicit RecordWriter(size_t expected_bytes = 2048) { bytes_.reserve(expected_bytes); }

  // Appends one pair. Values longer than 2^31-1 bytes cannot be expressed and are refused (returns false); httpd's own
  // limits (LimitRequestFieldSize) keep real values far below that.
  bool add(std::string_view name, std::string_view value);

  // Appends a header of the request: its name behind a colon.
  bool add_header(std::string_view header_name, std::string_view value);

  // Appends pairs that are encoded already.
  void add_encoded(std::string_view pairs) { bytes_.append(pairs); }

  std::string take() { return std::move(bytes_); }

  // For a writer that is used again: what was written, in memory of just that size. The record lives as long as the request,
  // of which many may wait.
  std::string copy() const { return std::string(bytes_.data(), bytes_.size()); }
  void clear() { bytes_.clear(); }
  size_t capacity() const { return bytes_.capacity(); }

 private:
  char* add_lengths(size_t name, size_t value);
  std::string bytes_;
};

// Walks a record; used by tests and by hosts that need a single value. Returns false when the bytes are malformed.
class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : rest_(bytes) {}
  bool next(std::string_view* name, std::string_view* value);
  bool at_end() const { return rest_.empty(); }

 private:
  bool read_length(size_t* length);
  std::string_view rest_;
};

}  // namespace nwsgi::exchange
