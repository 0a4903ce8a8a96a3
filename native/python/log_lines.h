// Text on its way to the log, in pieces of whole lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nwsgi::python {

class Request;

// Adds `text` to `partial`, the unfinished line before it, and passes on all lines that end in it. `request` null: the text belongs
// to no request. In a forked child everything goes to descriptor 2 at once. Any thread.
void pass_lines(Request* request, uint8_t level, std::string* partial, std::string_view text);
// Passes on the unfinished line.
void pass_rest(Request* request, uint8_t level, std::string* partial);

// The calling thread's unfinished line of the stream with this number, which has that level.
std::string* partial_of_thread(uint64_t stream, uint8_t level);
// Passes on all unfinished lines of the calling thread.
void pass_rest_of_thread(Request* request);

}  // namespace nwsgi::python
