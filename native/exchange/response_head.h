// The head of a response, taken apart.
//
// Applications hand heads over as "200 OK\nName:value\n…" or as the HTTP text that Node makes of a response. What belongs
// to the connection is the server's business, never the application's: such headers are left out here.
#pragma once

#include <cstddef>
#include <vector>

namespace nwsgi::exchange {

struct HeaderField {
  const char* name;
  const char* value;  // without surrounding blanks
};

struct ResponseHead {
  int status = 0;
  const char* status_line = nullptr;  // "200 OK"
  std::vector<HeaderField> fields;    // in the application's order
  const char* upgrade = nullptr;      // value of Upgrade
  bool is_http_text = false;          // a whole HTTP message's head: its author knows of ranges
  bool closes = false;                // the application asked for the end of the connection ("Connection: close")

  // Takes `text` apart in place; the head points into it. text[size] has to be writable. Accepts a leading "HTTP/x.y ",
  // '\r' before '\n' and empty lines. Leaves out Connection and the fields it names, Keep-Alive, Proxy-Connection,
  // Transfer-Encoding, TE, Trailer and Upgrade. False when the text is no head.
  bool parse(char* text, size_t size);
};

// Takes lines of "Name:value" apart, with everything that they name. False when a line is none.
bool parse_fields(char* text, size_t size, std::vector<HeaderField>* fields);

}  // namespace nwsgi::exchange
