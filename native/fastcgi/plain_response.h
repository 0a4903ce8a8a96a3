// A response for a FastCGI client of another make: "Status: 200 OK" and the headers as text in front of the body, all in
// STDOUT. The client cannot be told by a record that a response is incomplete: it is told by the end of the connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "exchange/exchange.h"

namespace nwsgi::fastcgi {

class PlainResponse {
 public:
  explicit PlainResponse(bool is_head = false) : is_head_(is_head) {}

  // Makes the text of the head. False when it is malformed.
  bool take_head(std::string packed, std::string* text);
  bool head_taken() const { return head_taken_; }
  // How many of the next `size` bytes of the body are to be sent: none for a HEAD, and none beyond an announced length.
  uint64_t clip(uint64_t size);
  // All that was announced has been sent.
  bool complete() const { return head_taken_ && (!counts() || sent_ == length_); }
  int64_t announced() const { return length_; }
  uint64_t sent() const { return static_cast<uint64_t>(sent_); }
  // The answer to a failure: a head and a short page.
  static std::string failure_page(const exchange::Failure& failure, bool is_head);

 private:
  bool counts() const { return length_ >= 0 && body_allowed_; }
  bool is_head_;
  bool head_taken_ = false;
  bool body_allowed_ = true;
  int64_t length_ = -1;
  int64_t sent_ = 0;
};

}  // namespace nwsgi::fastcgi
