#include "python/log_lines.h"

#include <unistd.h>

#include <utility>
#include <vector>

#include "python/fork_guard.h"
#include "python/run_request.h"

namespace nwsgi::python {
namespace {

// More text is passed on in several pieces: nothing is collected without bounds.
constexpr size_t kLongestPiece = 64 * 1024;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Where a text that is too long is cut: behind a line, else not within a character.
size_t piece_end(std::string_view text) {
  if (text.size() <= kLongestPiece) return text.size();
  const size_t newline = text.rfind('\n', kLongestPiece);
  if (newline != std::string_view::npos && newline != 0) return newline + 1;
  size_t end = kLongestPiece;
  while (end > kLongestPiece - 4 && continues_character(text[end])) --end;
  return end;
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void pass(Request* request, uint8_t level, std::string_view text) {
  while (!text.empty()) {
    const size_t end = piece_end(text);
    std::string_view piece = text.substr(0, end);
    text.remove_prefix(end);
    if (piece.back() == '\n') piece.remove_suffix(1);
    if (piece.find_first_not_of("\r\n") != std::string_view::npos) log_for(request, level, std::string(piece));
  }
}

// An unfinished line of a thread. Whatever the thread leaves is passed on when it ends.
struct Partial {
  uint64_t stream;
  uint8_t level;
  std::string text;
};

struct Partials {
  std::vector<Partial> lines;
  ~Partials() {
    for (Partial& line : lines) pass_rest(nullptr, line.level, &line.text);
  }
};

thread_local Partials partials;

}  // namespace

void pass_lines(Request* request, uint8_t level, std::string* partial, std::string_view text) {
  if (in_forked_child()) return write_all(text);
  const size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) {
    const std::string_view lines = text.substr(0, newline + 1);
    if (partial->empty()) {
      pass(request, level, lines);
    } else {
      pass(request, level, std::exchange(*partial, {}).append(lines));
    }
    text.remove_prefix(newline + 1);
  }
  partial->append(text);
  while (partial->size() > kLongestPiece) {
    const size_t end = piece_end(*partial);
    pass(request, level, std::string_view(*partial).substr(0, end));
    partial->erase(0, end);
  }
}

void pass_rest(Request* request, uint8_t level, std::string* partial) {
  if (partial->empty()) return;
  // What a forked child inherits is the server's to pass on.
  const std::string rest = std::exchange(*partial, {});
  if (!in_forked_child()) pass(request, level, rest);
}

std::string* partial_of_thread(uint64_t stream, uint8_t level) {
  for (Partial& line : partials.lines) {
    if (line.stream == stream) return &line.text;
  }
  partials.lines.push_back({stream, level, {}});
  return &partials.lines.back().text;
}

void pass_rest_of_thread(Request* request) {
  for (Partial& line : partials.lines) pass_rest(request, line.level, &line.text);
}

}  // namespace nwsgi::python
