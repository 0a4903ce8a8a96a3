// Values of directives and options that have a unit. The command line (src/cli) reads them the same way.
#pragma once

#include <apr_pools.h>

#include <cstdint>
#include <string_view>

namespace nwsgi::httpd_side {

inline constexpr const char* kDurationShape =
    "a duration such as 30, 30s, 500ms, 1.5m, 2h or 1d (a plain number counts seconds)";
inline constexpr const char* kSizeShape = "a size such as 64K, 512M or 1.5G (a plain number counts bytes)";

// "30", "30s", "500ms", "2m", "2min", "1.5h", "1d", "off". False when it is none of these, or longer than a year.
bool parse_duration(std::string_view text, int64_t* milliseconds);

// "4096", "64K", "512M", "512MB", "512MiB", "1.5G", "1T", "off"; K is 1024. False when it is none of these or too
// large.
bool parse_size(std::string_view text, int64_t* bytes);

// Digits, with a sign where `least` is negative. False when there is anything else, or the number is out of bounds.
bool parse_number(std::string_view text, int64_t least, int64_t most, int64_t* number);

// The next argument of a directive that takes its line as it is: a word, "a word in quotes", or a word with quotes
// behind a '=' (name="a value", env=NAME='a value'). Moves *rest behind it; null at the end of the line.
const char* next_word(apr_pool_t* pool, const char** rest);

// Number of single-character edits (insert, delete, replace, swap neighbours) between two short words.
unsigned edit_distance(std::string_view a, std::string_view b);

// The `name` of the candidate that was probably meant; empty when none is near.
template <typename Names>
std::string_view nearest_name(std::string_view name, const Names& candidates) {
  std::string_view nearest;
  unsigned least = 1 + static_cast<unsigned>(name.size()) / 4;  // one edit for every four letters, and one more
  for (const auto& candidate : candidates) {
    const unsigned distance = edit_distance(name, candidate.name);
    if (distance <= least && (nearest.empty() || distance < least)) {
      nearest = candidate.name;
      least = distance;
    }
  }
  return nearest;
}

}  // namespace nwsgi::httpd_side
