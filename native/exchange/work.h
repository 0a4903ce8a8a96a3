// What passes between the application and the thread that serves the client, in both directions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nwsgi::exchange {

using Clock = std::chrono::steady_clock;

// Severity of a log line; the numbers are httpd's APLOG_* levels.
enum LogLevel : uint8_t { kLogCritical = 2, kLogError = 3, kLogWarning = 4, kLogNotice = 5, kLogInfo = 6, kLogDebug = 7 };

constexpr size_t kHighWater = 128 * 1024;
constexpr size_t kLowWater = 32 * 1024;
constexpr size_t kBodyWindow = 128 * 1024;
// Of lines for the request's error log, until the serving side takes them.
constexpr size_t kMostLogged = 1024 * 1024;

// A block of response bytes, allocated with malloc() so that the server may hand it to an httpd heap bucket, which
// frees it with free() on any thread.
struct Chunk {
  char* data = nullptr;
  size_t size = 0;
};

struct OutputItem {
  enum class Kind : uint8_t {
    kHead,     // text = head for ResponseHead::parse(): "200 OK\nName:value\n…" or HTTP text, latin-1
    kData,     // chunk; ownership moves to whoever took the item
    kFile,     // fd (owned by the item), offset, length
    kInterim,  // text = packed head of a 1xx response
    kUpgrade,  // text = head of a 101 response; kData after it are raw bytes of the new protocol
    kTrailers, // text = "Name:value\n…", what follows the body
    kLog,      // text, level: one or more lines for the request's error log
  };
  Kind kind;
  uint8_t level = 0;
  Chunk chunk;
  int fd = -1;
  int64_t offset = 0;
  int64_t length = 0;
  std::string text;

  explicit OutputItem(Kind k) : kind(k) {}
  OutputItem(OutputItem&& other) noexcept;
  OutputItem& operator=(OutputItem&& other) noexcept;
  OutputItem(const OutputItem&) = delete;
  ~OutputItem();  // frees the chunk, closes the descriptor
  // Body bytes that this item stands for in the accounting (files and texts count as nothing).
  size_t weight() const { return kind == Kind::kData ? chunk.size : 0; }
};

enum class End : uint8_t {
  kOpen,      // the application has not finished
  kComplete,  // all of the response was handed over
  kAborted,   // the response is incomplete and has to look so to the client
  kFailed,    // no head was sent: answer with failure().status
};

// Why an exchange ended without an answer of the application. `code` is a stable "NWSGInnnn" of docs/errors.md;
// `message` says what happened, where and what to do. status is an HTTP status (500, 503, 504, …).
struct Failure {
  int status = 500;
  std::string code;
  std::string message;
  // True when the party that failed the exchange has already written the message to the log.
  bool logged = false;
  // Seconds for a Retry-After header; 0 for none.
  int retry_after = 0;
};

// The numbers are known to src/exchange.ts.
enum class AbortReason : uint8_t { kNone, kClientGone, kTimeout, kServerStopping, kServerFault };

// What the serving thread has to do next, taken under one lock.
struct Work {
  std::vector<OutputItem> output;
  bool body_wanted = false;  // the application waits for body bytes and there is room for them
  End end = End::kOpen;      // valid once output is empty or was taken together with the last item
  bool any() const { return !output.empty() || body_wanted || end != End::kOpen; }
};

}  // namespace nwsgi::exchange
