#include "fastcgi/output_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace nwsgi::fastcgi {

namespace {

// Up to here copying a block is cheaper than to send it from where it lies.
constexpr size_t kCopied = 8 * 1024;
constexpr size_t kKeptCapacity = 8 * 1024;
constexpr size_t kMostPieces = 32;
constexpr size_t kMostPerTurn = 1024 * 1024;
constexpr size_t kPiece = 65528;  // of a block, in one record; a multiple of 8
constexpr size_t kFilePiece = 60 * 1024;

struct Pieces {
  iovec vectors[kMostPieces];
  size_t count = 0;
  size_t bytes = 0;
  bool full() const { return count == kMostPieces; }
  void add(const char* at, size_t size) {
    if (size == 0) return;
    vectors[count++] = {const_cast<char*>(at), size};
    bytes += size;
  }
};

// The records of a block are header, piece, header, piece …; `sent` counts in that row.
void add_block_pieces(const std::string& headers, const exchange::Chunk& chunk, size_t sent, Pieces* pieces) {
  constexpr size_t kRow = wire::kHeaderSize + kPiece;
  for (size_t row = sent / kRow; row * wire::kHeaderSize < headers.size() && !pieces->full(); ++row) {
    const size_t skip = row == sent / kRow ? sent % kRow : 0;
    const size_t size = std::min(kPiece, chunk.size - row * kPiece);
    if (skip < wire::kHeaderSize) {
      pieces->add(headers.data() + row * wire::kHeaderSize + skip, wire::kHeaderSize - skip);
      if (pieces->full()) return;
    }
    const size_t inside = skip < wire::kHeaderSize ? 0 : skip - wire::kHeaderSize;
    pieces->add(chunk.data + row * kPiece + inside, size - inside);
  }
}

ssize_t send_pieces(int socket, Pieces* pieces, int descriptor) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
  ssize_t size = 0;
  if (pieces->count == 1 && descriptor < 0) {
    do {
      size = ::send(socket, pieces->vectors[0].iov_base, pieces->vectors[0].iov_len, kFlags);
    } while (size < 0 && errno == EINTR);
    return size;
  }
  msghdr message{};
  message.msg_iov = pieces->vectors;
  message.msg_iovlen = pieces->count;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (descriptor >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  do {
    size = ::sendmsg(socket, &message, kFlags);
  } while (size < 0 && errno == EINTR);
  return size;
}

}  // namespace

OutputQueue::Segment& OutputQueue::push(Segment::Kind kind) {
  Segment& segment = segments_.emplace_back();
  segment.kind = kind;
  return segment;
}

std::string* OutputQueue::tail() {
  if (segments_.empty() || segments_.back().kind != Segment::Kind::kRecords) push(Segment::Kind::kRecords);
  return &segments_.back().bytes;
}

void OutputQueue::add_block(uint16_t id, exchange::Chunk* chunk) {
  if (chunk->size == 0) return;
  if (chunk->size <= kCopied) {
    wire::append_record(records(), wire::Type::kStdout, id, {chunk->data, chunk->size});
    (segments_.empty() ? first_weight_ : segments_.back().weight) += chunk->size;
    return;
  }
  Segment& segment = push(Segment::Kind::kBlock);
  segment.chunk = std::exchange(*chunk, {});
  segment.bytes.resize((segment.chunk.size + kPiece - 1) / kPiece * wire::kHeaderSize);
  char* header = segment.bytes.data();
  for (size_t left = segment.chunk.size; left != 0; header += wire::kHeaderSize) {
    const size_t size = std::min(left, kPiece);
    wire::put_header(header, wire::Type::kStdout, id, size);
    left -= size;
  }
}

void OutputQueue::add_descriptor(uint16_t id, int fd, int64_t offset, int64_t length) {
  Segment& segment = push(Segment::Kind::kDescriptor);
  segment.fd = fd;
  segment.bytes.resize(wire::kFileRecordSize);
  wire::put_file(segment.bytes.data(), id, offset, length);
}

void OutputQueue::add_file(uint16_t id, int fd, int64_t offset, int64_t length) {
  Segment& segment = push(Segment::Kind::kFile);
  segment.id = id;
  segment.fd = fd;
  segment.offset = offset;
  segment.length = length;
}

size_t OutputQueue::bytes() const {
  size_t size = first_.size() - first_sent_;
  for (const Segment& segment : segments_) size += segment.size() - segment.sent + static_cast<size_t>(segment.length);
  return size;
}

void OutputQueue::pop() {
  Segment& segment = segments_.front();
  std::free(segment.chunk.data);
  if (segment.fd >= 0) ::close(segment.fd);
  segments_.pop_front();
}

void OutputQueue::clear() {
  while (!segments_.empty()) pop();
  first_.clear();
  first_sent_ = first_weight_ = 0;
}

// Makes records of the file's next piece, in front of it.
OutputQueue::Result OutputQueue::read_file(Segment* file) {
  const size_t size = static_cast<size_t>(std::min<int64_t>(file->length, kFilePiece));
  std::string records(wire::kHeaderSize + size, '\0');
  wire::put_header(records.data(), wire::Type::kStdout, file->id, size);
  for (size_t done = 0; done < size;) {
    const ssize_t got = ::pread(file->fd, records.data() + wire::kHeaderSize + done, size - done,
                                static_cast<off_t>(file->offset) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Result::kBadFile;
    done += static_cast<size_t>(got);
  }
  file->offset += static_cast<int64_t>(size);
  file->length -= static_cast<int64_t>(size);
  if (file->length == 0) pop();
  Segment segment;
  segment.bytes = std::move(records);
  segments_.push_front(std::move(segment));
  return Result::kEmpty;
}

OutputQueue::Result OutputQueue::send(int socket, size_t* written) {
  size_t total = 0;
  while (!empty()) {
    if (total >= kMostPerTurn) return Result::kPaused;
    size_t size = 0;
    const Result result = send_some(socket, &size);
    account(size, written);
    total += size;
    if (result != Result::kEmpty) return result;
  }
  return Result::kEmpty;
}

// One call of sendmsg(). A descriptor goes with a message that begins with its record, and nothing goes with it.
OutputQueue::Result OutputQueue::send_some(int socket, size_t* size) {
  Pieces pieces;
  int descriptor = -1;
  if (first_sent_ < first_.size()) pieces.add(first_.data() + first_sent_, first_.size() - first_sent_);
  for (size_t i = 0; i < segments_.size() && !pieces.full(); ++i) {
    Segment& segment = segments_[i];
    if (segment.kind == Segment::Kind::kFile) {
      if (pieces.count != 0) break;
      if (segment.length == 0) {
        pop();
        return Result::kEmpty;
      }
      return read_file(&segment);
    }
    if (segment.kind == Segment::Kind::kBlock) {
      add_block_pieces(segment.bytes, segment.chunk, segment.sent, &pieces);
      continue;
    }
    if (segment.kind == Segment::Kind::kDescriptor && pieces.count != 0) break;
    pieces.add(segment.bytes.data() + segment.sent, segment.bytes.size() - segment.sent);
    if (segment.kind != Segment::Kind::kDescriptor) continue;
    if (segment.sent == 0) descriptor = segment.fd;
    break;
  }
  if (pieces.count == 0) {  // an empty segment of records
    if (!segments_.empty()) pop();
    return Result::kEmpty;
  }
  const ssize_t sent = send_pieces(socket, &pieces, descriptor);
  if (sent >= 0) {
    *size = static_cast<size_t>(sent);
    return Result::kEmpty;
  }
  if (errno == ETOOMANYREFS) return Result::kPaused;  // so many descriptors are on their way that the system takes no more
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? Result::kBlocked : Result::kBroken;
}

void OutputQueue::account(size_t size, size_t* written) {
  if (first_sent_ < first_.size()) {
    const size_t part = std::min(size, first_.size() - first_sent_);
    first_sent_ += part;
    size -= part;
    if (first_sent_ == first_.size()) {
      *written += first_weight_;
      first_sent_ = first_weight_ = 0;
      if (first_.capacity() > kKeptCapacity) first_ = std::string();
      first_.clear();
    }
  }
  while (size != 0) {
    Segment& segment = segments_.front();
    const size_t part = std::min(size, segment.size() - segment.sent);
    segment.sent += part;
    size -= part;
    if (segment.sent != segment.size()) return;
    *written += segment.weight + segment.chunk.size;
    pop();
  }
}

}  // namespace nwsgi::fastcgi
