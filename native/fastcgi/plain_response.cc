#include "fastcgi/plain_response.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "exchange/response_head.h"

namespace nwsgi::fastcgi {

namespace {

const char* reason_of(int status) {
  switch (status) {
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 413: return "Content Too Large";
    case 404: return "Not Found";
    case 400: return "Bad Request";
    default: return "Error";
  }
}

bool parse_length(const char* text, int64_t* length) {
  const char* const end = text + std::strlen(text);
  const auto [stop, problem] = std::from_chars(text, end, *length);
  return problem == std::errc() && stop == end && *length >= 0;
}

}  // namespace

bool PlainResponse::take_head(std::string packed, std::string* text) {
  if (head_taken_) return false;
  exchange::ResponseHead head;
  if (!head.parse(packed.data(), packed.size()) || head.status < 200 || head.status > 999) return false;
  text->assign("Status: ").append(head.status_line).append("\r\n");
  for (const exchange::HeaderField& field : head.fields) {
    if (strcasecmp(field.name, "Status") == 0) continue;  // the server would take it for the line above
    if (strcasecmp(field.name, "Content-Length") == 0 && (length_ >= 0 || !parse_length(field.value, &length_))) return false;
    text->append(field.name).append(": ").append(field.value).append("\r\n");
  }
  text->append("\r\n");
  body_allowed_ = !is_head_ && head.status != 204 && head.status != 304;
  head_taken_ = true;
  return true;
}

uint64_t PlainResponse::clip(uint64_t size) {
  if (!body_allowed_) return 0;
  if (length_ >= 0) size = std::min(size, static_cast<uint64_t>(length_ - sent_));
  sent_ += static_cast<int64_t>(size);
  return size;
}

std::string PlainResponse::failure_page(const exchange::Failure& failure, bool is_head) {
  const int status = failure.status >= 400 && failure.status <= 599 ? failure.status : 500;
  const std::string line = std::to_string(status) + " " + reason_of(status);
  const std::string page = "<!doctype html>\n<title>" + line + "</title>\n<h1>" + line + "</h1>\n";
  std::string text = "Status: " + line + "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " +
                     std::to_string(page.size()) + "\r\nCache-Control: no-store\r\n";
  if (failure.retry_after > 0) text += "Retry-After: " + std::to_string(failure.retry_after) + "\r\n";
  text += "\r\n";
  return is_head ? text : text + page;
}

}  // namespace nwsgi::fastcgi
