// FastCGI 1.0 records as bytes, with the extension that mod_nwsgi and its workers speak. Pure: no sockets.
//
// Extended requests are marked by a flag of BEGIN_REQUEST and use record types from 64 on. PARAMS is the request record
// (record.h) as it is. Numbers inside contents are big-endian, as in FastCGI's own.
// A text longer than one record's content is cut into several records; all but the last have the header's reserved byte
// set (kMore). A receiver puts the contents together.
// Request ids count up on each connection (1 … 65535, then 1 again), so that a late record of a finished request is known.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include "exchange/exchange.h"

namespace nwsgi::exchange::fastcgi {

constexpr uint8_t kVersion = 1;
constexpr size_t kHeaderSize = 8;
constexpr size_t kLongestContent = 0xffff;
// What STDIN and STDOUT are cut into: a multiple of 8, with the header below 32 KiB, which the kernel's buffers like.
constexpr size_t kDataPiece = 32 * 1024 - kHeaderSize;
// What a receiver joins at most (a head, a record, a log text); a sender cuts log texts, others are a broken connection.
constexpr size_t kLongestText = 16 * 1024 * 1024;
// Body bytes that may be sent before the worker asks for any (WANT_BODY adds to that); also after TUNNEL.
constexpr uint32_t kInitialCredit = 64 * 1024;

enum class Type : uint8_t {
  kBeginRequest = 1,
  kAbortRequest = 2,  // extended: u8 AbortReason; the server closes the connection after it
  kEndRequest = 3,
  kParams = 4,
  kStdin = 5,
  kStdout = 6,
  kStderr = 7,
  kData = 8,
  kGetValues = 9,
  kGetValuesResult = 10,
  kUnknownType = 11,
  // worker → server, extended
  kHead = 64,      // text of OutputItem::kHead
  kInterim = 65,   // text of OutputItem::kInterim
  kUpgrade = 66,   // text of OutputItem::kUpgrade
  kTrailers = 67,  // text of OutputItem::kTrailers
  kLog = 68,       // u8 level, text
  kFile = 69,      // i64 offset, i64 length; one descriptor came by SCM_RIGHTS not later than the first byte
  kWantBody = 70,  // u32 bytes of additional credit for STDIN; 0: only "the application waits for the body"
  kFailure = 71,   // see Failure below
  // server → worker, extended
  kBodyError = 72,        // text
  kRequestTrailers = 73,  // text, before the empty STDIN
  kTunnel = 74,           // the 101 was sent: STDIN is raw bytes from now on, with fresh credit of kInitialCredit
};

enum Flag : uint8_t { kKeepConnection = 1, kHasBody = 0x40, kExtended = 0x80 };  // of BEGIN_REQUEST
enum Role : uint16_t { kResponder = 1, kAuthorizer = 2, kFilter = 3 };
enum ProtocolStatus : uint8_t { kRequestComplete = 0, kCannotMultiplex = 1, kOverloaded = 2, kUnknownRole = 3 };
// appStatus of an extended END_REQUEST.
enum AppStatus : uint32_t { kEndComplete = 0, kEndAborted = 1, kEndFailed = 2 };

constexpr uint8_t kMore = 1;  // reserved byte: the text goes on in the next record of this type

struct Header {
  Type type{};
  uint16_t id = 0;
  uint16_t length = 0;  // of the content
  uint8_t padding = 0;
  uint8_t reserved = 0;
  size_t size() const { return kHeaderSize + length + padding; }  // of the whole record
};

// ---- numbers ----

inline uint8_t byte_at(const char* at) { return static_cast<uint8_t>(*at); }
inline uint16_t get16(const char* at) { return static_cast<uint16_t>(byte_at(at) << 8 | byte_at(at + 1)); }
inline uint32_t get32(const char* at) { return static_cast<uint32_t>(get16(at)) << 16 | get16(at + 2); }
inline uint64_t get64(const char* at) { return static_cast<uint64_t>(get32(at)) << 32 | get32(at + 4); }
inline void put16(char* at, uint16_t value) {
  at[0] = static_cast<char>(value >> 8);
  at[1] = static_cast<char>(value);
}
inline void put32(char* at, uint32_t value) {
  put16(at, static_cast<uint16_t>(value >> 16));
  put16(at + 2, static_cast<uint16_t>(value));
}
inline void put64(char* at, uint64_t value) {
  put32(at, static_cast<uint32_t>(value >> 32));
  put32(at + 4, static_cast<uint32_t>(value));
}

// ---- headers ----

// Writes kHeaderSize bytes. We pad nothing.
inline void put_header(char* at, Type type, uint16_t id, size_t length, uint8_t reserved = 0) {
  at[0] = static_cast<char>(kVersion);
  at[1] = static_cast<char>(type);
  put16(at + 2, id);
  put16(at + 4, static_cast<uint16_t>(length));
  at[6] = 0;
  at[7] = static_cast<char>(reserved);
}

// `at` has kHeaderSize bytes. False for another version of FastCGI: the connection cannot be understood.
inline bool get_header(const char* at, Header* header) {
  if (byte_at(at) != kVersion) return false;
  header->type = static_cast<Type>(byte_at(at + 1));
  header->id = get16(at + 2);
  header->length = get16(at + 4);
  header->padding = byte_at(at + 6);
  header->reserved = byte_at(at + 7);
  return true;
}

inline uint16_t next_id(uint16_t id) { return id == 0xffff ? 1 : static_cast<uint16_t>(id + 1); }

// ---- writing records to the end of a string ----

// One record; `content` has at most kLongestContent bytes.
void append_record(std::string* out, Type type, uint16_t id, std::string_view content, uint8_t reserved = 0);
// A text of any length, in as many records as it takes (at least one).
void append_text(std::string* out, Type type, uint16_t id, std::string_view text);
// A stream (PARAMS, STDIN, STDOUT): as many records as it takes, none for an empty one. The end is an empty record,
// append_record(out, type, id, {}).
void append_stream(std::string* out, Type type, uint16_t id, std::string_view bytes);

void append_begin(std::string* out, uint16_t id, uint8_t flags);
void append_end(std::string* out, uint16_t id, uint32_t app_status, ProtocolStatus status = kRequestComplete);
void append_log(std::string* out, uint16_t id, uint8_t level, std::string_view text);
void append_want_body(std::string* out, uint16_t id, uint32_t credit);
void append_failure(std::string* out, uint16_t id, const Failure& failure);
void append_abort(std::string* out, uint16_t id, AbortReason reason);
constexpr size_t kFileRecordSize = kHeaderSize + 16;
// A record of its own, because the descriptor travels with its first byte. Writes kFileRecordSize bytes.
void put_file(char* at, uint16_t id, int64_t offset, int64_t length);

// ---- contents ----

struct Begin {
  uint16_t role = 0;
  uint8_t flags = 0;
};
bool get_begin(std::string_view content, Begin* begin);

struct EndRequest {
  uint32_t app_status = 0;
  uint8_t protocol_status = 0;
};
bool get_end(std::string_view content, EndRequest* end);
bool get_want_body(std::string_view content, uint32_t* credit);
bool get_file(std::string_view content, int64_t* offset, int64_t* length);
bool get_log(std::string_view content, uint8_t* level, std::string_view* text);
// u16 status, u16 retry_after (s), u16 length of the code, u8 logged, code, message.
bool get_failure(std::string_view content, Failure* failure);
// kClientGone when the content says nothing (plain FastCGI).
AbortReason get_abort(std::string_view content);

// Puts the pieces of a text together: see kMore. Kept for each direction of a connection; texts of two types never mix,
// because a sender writes all pieces of one before anything else.
class TextJoiner {
 public:
  enum class Result : uint8_t { kMore, kComplete, kTooLong };
  // On kComplete *text is the whole text, valid until the next call or as long as `content`.
  Result add(const Header& header, std::string_view content, std::string_view* text);
  void reset() { joined_.clear(); joining_ = false; }

 private:
  std::string joined_;
  bool joining_ = false;
};

}  // namespace nwsgi::exchange::fastcgi
