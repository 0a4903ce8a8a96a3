// Takes a worker's answer apart: records of extended FastCGI (exchange/fastcgi.h) become output items.
//
// One reader for each request; no sockets. The owner receives bytes into the places that the reader names. The content
// of a STDOUT record that has not arrived as a whole is received straight into the block that goes on to the client.
// What is read was written by a process that runs somebody's application: everything is checked, and whatever makes no
// sense breaks the answer (broken()).
#pragma once

#include <sys/uio.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "exchange/fastcgi.h"
#include "exchange/work.h"

namespace nwsgi::httpd_side {

class AnswerReader {
 public:
  // `longest_line`: of a response's head; 0: no limit.
  AnswerReader(uint16_t request_id, size_t longest_line);
  ~AnswerReader();
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  // Where the next bytes go, in this order; the number of places (1 or 2).
  int places(iovec (&places)[2]);
  // So many bytes were put there, after every places(). Descriptors that came with them are given first; the reader owns them from then on.
  void received_descriptor(int fd);
  void received(size_t size);

  // What has been read since the last call.
  std::vector<exchange::OutputItem> take_output();
  uint32_t take_credit() { return std::exchange(credit_, 0); }
  bool take_body_asked() { return std::exchange(body_asked_, false); }

  // Something of an answer has arrived: the worker has begun the request.
  bool begun() const { return begun_; }
  bool head_seen() const { return head_seen_; }
  bool upgrade_seen() const { return upgrade_seen_; }
  exchange::End end() const { return end_; }
  // END_REQUEST has come: nothing follows. A tunnel's end() may be kComplete before that: its other direction goes on.
  bool over() const { return over_; }
  const exchange::Failure& failure() const { return failure_; }
  // The worker has refused to begin the request.
  bool refused() const { return refused_; }
  // Not null: what was wrong with the answer. Nothing more is read.
  const char* broken() const { return broken_; }
  bool line_too_long() const { return line_too_long_; }
  // Nothing is left over: the connection can carry another request.
  bool at_rest() const { return begin_ == end_of_data_ && chunk_missing_ == 0 && skip_ == 0 && descriptors_.empty(); }

 private:
  void parse();
  bool parse_one();
  size_t take_stdout(const exchange::fastcgi::Header& header, const char* content, size_t available);
  void take_record(const exchange::fastcgi::Header& header, std::string_view content);
  void take_text(exchange::OutputItem::Kind kind, std::string_view text);
  void take_file(std::string_view content);
  void take_failure(std::string_view content);
  void take_end(std::string_view content);
  bool joins(const exchange::fastcgi::Header& header, std::string_view content, std::string_view* text);
  bool lines_fit(std::string_view head);
  void break_with(const char* what) { broken_ = what; }

  const uint16_t id_;
  const size_t longest_line_;
  std::unique_ptr<char[]> buffer_;  // null while nothing is in it
  size_t begin_ = 0;
  size_t end_of_data_ = 0;
  exchange::Chunk chunk_;      // of a record that has arrived in part; owned
  size_t chunk_missing_ = 0;
  size_t skip_ = 0;            // padding, and contents of other requests, still to come
  std::vector<int> descriptors_;
  int files_ = 0;  // descriptors that have come
  exchange::fastcgi::TextJoiner joiner_;
  exchange::fastcgi::Type joining_{};  // the type whose pieces are put together

  std::vector<exchange::OutputItem> output_;
  uint32_t credit_ = 0;
  bool begun_ = false;
  bool head_seen_ = false;
  bool upgrade_seen_ = false;
  bool body_asked_ = false;
  bool refused_ = false;
  bool line_too_long_ = false;
  exchange::End end_ = exchange::End::kOpen;
  bool over_ = false;
  exchange::Failure failure_;
  const char* broken_ = nullptr;
};

}  // namespace nwsgi::httpd_side
