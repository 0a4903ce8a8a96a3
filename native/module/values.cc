#include "module/values.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <httpd.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <vector>

namespace nwsgi::httpd_side {
namespace {

constexpr int64_t kDay = 24LL * 3600 * 1000;
constexpr int64_t kLongestDuration = 366 * kDay;
constexpr int64_t kLargestSize = int64_t{1} << 50;

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// A decimal number without sign in front of *text, in thousandths; removes it from *text.
bool take_decimal(std::string_view* text, int64_t* thousandths) {
  int64_t whole = 0;
  const auto end = std::from_chars(text->data(), text->data() + text->size(), whole);
  if (end.ec != std::errc() || (*text)[0] == '-' || whole > INT64_MAX / 1000 - 1) return false;
  text->remove_prefix(static_cast<size_t>(end.ptr - text->data()));
  int64_t fraction = 0;
  if (!text->empty() && text->front() == '.') {
    text->remove_prefix(1);
    int scale = 100;
    if (text->empty() || !std::isdigit(static_cast<unsigned char>(text->front()))) return false;
    while (!text->empty() && std::isdigit(static_cast<unsigned char>(text->front()))) {
      fraction += (text->front() - '0') * scale;
      scale /= 10;
      text->remove_prefix(1);
    }
  }
  *thousandths = whole * 1000 + fraction;
  return true;
}

// thousandths × unit, when that is no more than `most` and not rounded down to "off".
bool scale(int64_t thousandths, int64_t unit, int64_t most, int64_t* result) {
  if (thousandths / 1000 > most / unit) return false;
  *result = thousandths / 1000 * unit + thousandths % 1000 * unit / 1000;
  return *result <= most && (*result != 0 || thousandths == 0);
}

}  // namespace

bool parse_duration(std::string_view text, int64_t* milliseconds) {
  if (same(text, "off")) {
    *milliseconds = 0;
    return true;
  }
  int64_t thousandths;
  if (!take_decimal(&text, &thousandths)) return false;
  int64_t unit;
  if (text.empty() || text == "s") unit = 1000;
  else if (text == "ms") unit = 1;
  else if (text == "m" || text == "min") unit = 60 * 1000;
  else if (text == "h") unit = 3600 * 1000;
  else if (text == "d") unit = kDay;
  else return false;
  return scale(thousandths, unit, kLongestDuration, milliseconds);
}

bool parse_size(std::string_view text, int64_t* bytes) {
  if (same(text, "off")) {
    *bytes = 0;
    return true;
  }
  int64_t thousandths;
  if (!take_decimal(&text, &thousandths)) return false;
  int64_t unit = 1;
  if (!text.empty()) {
    constexpr std::string_view kUnits = "KMGT";
    const size_t power = kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text.front()))));
    if (power != std::string_view::npos) {
      unit = int64_t{1} << (10 * (power + 1));
      text.remove_prefix(1);
      if (!same(text, "") && !same(text, "B") && !same(text, "iB")) return false;
    } else if (!same(text, "B")) {
      return false;
    }
  }
  if (unit == 1 && thousandths % 1000 != 0) return false;
  return scale(thousandths, unit, kLargestSize, bytes);
}

bool parse_number(std::string_view text, int64_t least, int64_t most, int64_t* number) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto end = std::from_chars(text.data(), text.data() + text.size(), *number);
  return end.ec == std::errc() && end.ptr == text.data() + text.size() && *number >= least && *number <= most;
}

const char* next_word(apr_pool_t* pool, const char** rest) {
  const auto is_quote = [](char c) { return c == '"' || c == '\''; };
  while (apr_isspace(**rest)) ++*rest;
  const char* begin = *rest;
  if (*begin == '\0') return nullptr;
  if (is_quote(*begin)) return ap_getword_conf(pool, rest);
  const char* at = begin;
  while (*at != '\0' && !apr_isspace(*at) && !(is_quote(*at) && at != begin && at[-1] == '=')) ++at;
  *rest = at;
  const char* word = apr_pstrmemdup(pool, begin, static_cast<apr_size_t>(at - begin));
  return is_quote(*at) ? apr_pstrcat(pool, word, ap_getword_conf(pool, rest), nullptr) : word;
}

unsigned edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the table: the last ones for replacing and for swapping.
  std::array<std::vector<unsigned>, 3> rows;
  for (auto& row : rows) row.resize(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) rows[0][j] = static_cast<unsigned>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& last = rows[(i - 1) % 3];
    const auto& before = rows[(i + 1) % 3];
    row[0] = static_cast<unsigned>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace nwsgi::httpd_side
