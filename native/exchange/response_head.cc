#include "exchange/response_head.h"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace nwsgi::exchange {
namespace {

// Which fields end at the next hop, besides those that Connection names.
bool belongs_to_connection(const char* name) {
  static constexpr const char* kNames[] = {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding",
                                           "TE",         "Trailer",    "Upgrade"};
  return std::strchr("ckptuCKPTU", name[0]) != nullptr &&
         std::any_of(std::begin(kNames), std::end(kNames),
                     [name](const char* known) { return strcasecmp(name, known) == 0; });
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Splits off the next line that is not empty; null at the end.
char* next_line(char** rest, char* end) {
  while (*rest < end) {
    char* const line = *rest;
    char* stop = static_cast<char*>(std::memchr(line, '\n', static_cast<size_t>(end - line)));
    if (stop == nullptr) stop = end;
    *rest = stop + 1;
    if (stop > line && stop[-1] == '\r') --stop;
    *stop = '\0';
    if (stop > line) return line;
  }
  return nullptr;
}

bool parse_field(char* line, HeaderField* field) {
  char* const colon = std::strchr(line, ':');
  if (colon == nullptr || colon == line) return false;
  *colon = '\0';
  char* value = colon + 1;
  while (is_blank(*value)) ++value;
  char* stop = value + std::strlen(value);
  while (stop > value && is_blank(stop[-1])) --stop;
  *stop = '\0';
  *field = {line, value};
  return true;
}

char* skip_version(char* line) {
  if (std::strncmp(line, "HTTP/", 5) != 0) return line;
  char* const blank = std::strchr(line, ' ');
  return blank == nullptr ? line : blank + 1;
}

bool is_status_line(const char* line) {
  for (int i = 0; i < 3; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(line[i]))) return false;
  }
  return line[3] == ' ' || line[3] == '\0';
}

std::string_view next_token(std::string_view* list) {
  const size_t start = std::min(list->find_first_not_of(" \t,"), list->size());
  const size_t stop = std::min(list->find_first_of(" \t,", start), list->size());
  const std::string_view token = list->substr(start, stop - start);
  list->remove_prefix(stop);
  return token;
}

bool equal(std::string_view token, const char* name) {
  return token.size() == std::strlen(name) && strncasecmp(token.data(), name, token.size()) == 0;
}

}  // namespace

bool parse_fields(char* text, size_t size, std::vector<HeaderField>* fields) {
  char* rest = text;
  char* const end = text + size;
  HeaderField field{};
  while (char* line = next_line(&rest, end)) {
    if (!parse_field(line, &field)) return false;
    fields->push_back(field);
  }
  return true;
}

bool ResponseHead::parse(char* text, size_t size) {
  char* rest = text;
  char* const end = text + size;
  char* const first = next_line(&rest, end);
  if (first == nullptr) return false;
  char* const line = skip_version(first);
  if (!is_status_line(line)) return false;
  is_http_text = line != first;
  status = std::atoi(line);
  status_line = line;
  fields.reserve(16);
  if (rest < end && !parse_fields(rest, static_cast<size_t>(end - rest), &fields)) return false;
  std::vector<std::string_view> named;  // by Connection
  for (const HeaderField& field : fields) {
    if (strcasecmp(field.name, "Upgrade") == 0) upgrade = field.value;
    if (strcasecmp(field.name, "Connection") != 0) continue;
    std::string_view list = field.value;
    for (std::string_view token = next_token(&list); !token.empty(); token = next_token(&list)) named.push_back(token);
  }
  const auto has = [&named](const char* name) {
    return std::any_of(named.begin(), named.end(), [name](std::string_view token) { return equal(token, name); });
  };
  closes = has("close");
  fields.erase(std::remove_if(fields.begin(), fields.end(),
                              [&has](const HeaderField& field) {
                                return belongs_to_connection(field.name) || has(field.name);
                              }),
               fields.end());
  return true;
}

}  // namespace nwsgi::exchange
