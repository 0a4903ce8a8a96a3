// Kinds of values that options of WSGIDaemonProcess take, apart from plain quantities (values.h).
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <apr_tables.h>

#include <cstdint>

namespace nwsgi::httpd_side {

enum class ValueKind : uint8_t {
  kNumber,
  kPercent,
  kDuration,
  kInterval,     // microseconds
  kSize,
  kMode,         // octal
  kUser,         // name or #id, not root
  kOwner,        // name or #id
  kGroup,        // name or #id
  kGroups,       // list: names or #ids with commas between them
  kText,
  kDirectory,    // absolute path
  kProgram,      // absolute path of an executable file
  kNodeOptions,  // list: words, given once or several times
  kVariable,     // list: NAME=value, given once or several times
  kPythonHome,   // absolute path of a virtual environment or installation
  kPythonPath,   // list: folders with colons between them, given once or several times
};

constexpr bool is_quantity(ValueKind kind) { return kind <= ValueKind::kSize; }
constexpr bool holds_list(ValueKind kind) {
  return kind == ValueKind::kGroups || kind == ValueKind::kNodeOptions || kind == ValueKind::kVariable ||
         kind == ValueKind::kPythonPath;
}
constexpr bool holds_text(ValueKind kind) {
  return kind == ValueKind::kText || kind == ValueKind::kDirectory || kind == ValueKind::kProgram ||
         kind == ValueKind::kPythonHome;
}
constexpr bool is_identity(ValueKind kind) { return kind >= ValueKind::kUser && kind <= ValueKind::kGroups; }
constexpr bool adds_up(ValueKind kind) {
  return kind == ValueKind::kNodeOptions || kind == ValueKind::kVariable || kind == ValueKind::kPythonPath;
}

// Each returns null, or what is wrong with the text (without code and name of the option).
//
// A mode, user or group. *user_name, where wanted, gets the user's name, or stays null when the system has none for the
// id.
const char* read_id(const cmd_parms* cmd, ValueKind kind, const char* text, int64_t* id, const char** user_name);
// `chrooted`: the path is one inside of the group's chroot and cannot be looked at.
const char* read_text(const cmd_parms* cmd, ValueKind kind, const char* text, bool chrooted, const char** value);
// Adds to what *list holds; it is made when it is null.
const char* read_list(const cmd_parms* cmd, ValueKind kind, const char* text, const apr_array_header_t** list);

bool same_list(ValueKind kind, const apr_array_header_t* a, const apr_array_header_t* b);

// "512M", "1000"
const char* size_text(apr_pool_t* pool, int64_t bytes);

}  // namespace nwsgi::httpd_side
