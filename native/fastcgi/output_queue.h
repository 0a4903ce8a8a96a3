// What waits to be sent on one connection: records, blocks of the application that are sent from where they lie, files.
//
// Thread: the loop's. Never blocks. Small records are put together and leave in one call; blocks are cut into STDOUT records
// without being copied. A file's descriptor travels with its record (extended connections), or the file is read piece by
// piece when its turn comes (plain ones).
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "exchange/exchange.h"
#include "exchange/fastcgi.h"

namespace nwsgi::fastcgi {

namespace wire = exchange::fastcgi;

class OutputQueue {
 public:
  OutputQueue() = default;
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;
  ~OutputQueue() { clear(); }

  // Where small records are appended. Valid until the next call.
  std::string* records() {
    if (segments_.empty()) return &first_;
    return tail();
  }
  // A block as STDOUT; takes the chunk over. Small ones are copied.
  void add_block(uint16_t id, exchange::Chunk* chunk);
  // A FILE record with its descriptor, which is taken over.
  void add_descriptor(uint16_t id, int fd, int64_t offset, int64_t length);
  // The contents of a file as STDOUT; the descriptor is taken over.
  void add_file(uint16_t id, int fd, int64_t offset, int64_t length);

  enum class Result : uint8_t {
    kEmpty,    // all was sent
    kBlocked,  // the socket takes no more for now
    kPaused,   // much was sent: others are to have their turn
    kBroken,   // the peer is gone
    kBadFile,  // a file became shorter or could not be read: what was announced cannot be sent
  };
  // Sends what the socket takes. Adds the application's bytes that are sent to *written.
  Result send(int socket, size_t* written);
  bool empty() const { return first_.size() == first_sent_ && segments_.empty(); }
  size_t bytes() const;
  void clear();

 private:
  struct Segment {
    enum class Kind : uint8_t { kRecords, kBlock, kDescriptor, kFile };
    Kind kind = Kind::kRecords;
    uint16_t id = 0;
    int fd = -1;              // kDescriptor, kFile
    std::string bytes;        // kRecords, kDescriptor; kBlock: the headers of its records
    exchange::Chunk chunk;    // kBlock
    size_t sent = 0;          // of all bytes with headers
    size_t weight = 0;        // bytes of the application inside kRecords
    int64_t offset = 0;       // kFile
    int64_t length = 0;
    size_t size() const { return bytes.size() + chunk.size; }
  };

  std::string* tail();
  Segment& push(Segment::Kind kind);
  void pop();
  Result read_file(Segment* file);
  Result send_some(int socket, size_t* size);
  void account(size_t size, size_t* written);

  // The usual case needs no segment: a response that is put together here and sent at once.
  std::string first_;
  size_t first_sent_ = 0;
  size_t first_weight_ = 0;
  std::deque<Segment> segments_;
};

}  // namespace nwsgi::fastcgi
