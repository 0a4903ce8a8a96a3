#include "module/daemon_values.h"

#include <apr_strings.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "module/application_env.h"
#include "module/node_options.h"
#include "module/python_values.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

constexpr int64_t kLargestId = 0xfffffffeLL;

// "#1000"; false when the text is no number.
bool read_number_sign(const char* text, int64_t* id) {
  return text[0] == '#' && parse_number(text + 1, 0, kLargestId, id);
}

const char* read_user(const cmd_parms* cmd, ValueKind kind, const char* text, int64_t* id, const char** user_name) {
  const passwd* entry;
  if (read_number_sign(text, id)) {
    entry = ::getpwuid(static_cast<uid_t>(*id));
  } else {
    entry = text[0] != '#' ? ::getpwnam(text) : nullptr;
    if (entry == nullptr) return "there is no such user; write the name of one, or #1000 for its number";
    *id = entry->pw_uid;
  }
  if (user_name != nullptr) *user_name = entry != nullptr ? apr_pstrdup(cmd->pool, entry->pw_name) : nullptr;
  if (kind == ValueKind::kUser && *id == 0) {
    return "applications do not run as root, and nothing of theirs belongs to root: name a user without privileges";
  }
  return nullptr;
}

const char* read_group(const char* text, int64_t* id) {
  if (read_number_sign(text, id)) return nullptr;
  const group* entry = text[0] != '#' ? ::getgrnam(text) : nullptr;
  if (entry == nullptr) return "there is no such group; write the name of one, or #1000 for its number";
  *id = entry->gr_gid;
  return nullptr;
}

const char* read_mode(const char* text, int64_t* mode) {
  const std::string_view digits(text);
  *mode = 0;
  for (const char c : digits) {
    if (c < '0' || c > '7') return "write an octal number, as in 0027";
    *mode = *mode * 8 + (c - '0');
  }
  if (digits.empty() || digits.size() > 4 || *mode > 0777) return "write an octal number from 0 to 0777, as in 0027";
  return nullptr;
}

const char* read_groups(const cmd_parms* cmd, const char* text, apr_array_header_t* groups) {
  char* last = nullptr;
  char* rest = apr_pstrdup(cmd->pool, text);
  while (const char* name = apr_strtok(rest, ",", &last)) {
    rest = nullptr;
    int64_t id;
    if (read_group(name, &id) != nullptr) {
      return apr_psprintf(cmd->pool, "there is no group \"%s\"; write names or #numbers with commas between them",
                          name);
    }
    *static_cast<gid_t*>(apr_array_push(groups)) = static_cast<gid_t>(id);
  }
  return nullptr;
}

const char* read_node_options(const cmd_parms* cmd, const char* text, apr_array_header_t* options) {
  while (*text != '\0') {
    const char* word = ap_getword_conf(cmd->pool, &text);
    if (word[0] == '\0') continue;
    if (const char* wrong = check_node_option(cmd->pool, word)) return wrong;
    *static_cast<const char**>(apr_array_push(options)) = word;
  }
  return nullptr;
}

const char* read_variable(const cmd_parms* cmd, const char* text, apr_array_header_t* variables) {
  const std::string_view assignment(text);
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || !is_variable_name(assignment.substr(0, equals))) {
    return "write env=NAME=value; a name has letters, digits and underscores, and does not begin with a digit";
  }
  const std::string_view name = assignment.substr(0, equals);
  if (name == "NODE_OPTIONS") return "options of node are written node-options=\"--first --second\"";
  if (name == "NODE_CHANNEL_FD" || name == "NODE_CHANNEL_SERIALIZATION_MODE" || name == "NODE_UNIQUE_ID") {
    return "this variable is Node's own, for its child processes; take it out";
  }
  *static_cast<const char**>(apr_array_push(variables)) = apr_pstrdup(cmd->pool, text);
  return nullptr;
}

bool has_control_characters(const char* text) {
  for (; *text != '\0'; ++text) {
    if (std::iscntrl(static_cast<unsigned char>(*text))) return true;
  }
  return false;
}

const char* check_program(const cmd_parms* cmd, const char* path) {
  struct stat info {};
  if (::stat(path, &info) != 0) {
    return apr_psprintf(cmd->pool, "%s; write the absolute path of a node executable", std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) return "this is no file; write the absolute path of a node executable";
  if (::access(path, X_OK) != 0) return "this file is not executable; write the absolute path of a node executable";
  return nullptr;
}

}  // namespace

const char* read_id(const cmd_parms* cmd, ValueKind kind, const char* text, int64_t* id, const char** user_name) {
  if (kind == ValueKind::kMode) return read_mode(text, id);
  return kind == ValueKind::kGroup ? read_group(text, id) : read_user(cmd, kind, text, id, user_name);
}

const char* read_text(const cmd_parms* cmd, ValueKind kind, const char* text, bool chrooted, const char** value) {
  if (text[0] == '\0') return "a value is needed; leave the option out where there is none";
  if (has_control_characters(text)) return "control characters are not allowed";
  *value = apr_pstrdup(cmd->pool, text);
  if (kind == ValueKind::kText) return nullptr;
  if (text[0] != '/') return "write an absolute path";
  if (chrooted) return nullptr;
  if (kind == ValueKind::kProgram) return check_program(cmd, text);
  if (kind == ValueKind::kPythonHome) return check_python_home(cmd->pool, text);
  struct stat info {};
  if (::stat(text, &info) != 0) {
    return apr_psprintf(cmd->pool, "%s; write the absolute path of a folder", std::strerror(errno));
  }
  return S_ISDIR(info.st_mode) ? nullptr : "this is no folder";
}

const char* read_list(const cmd_parms* cmd, ValueKind kind, const char* text, const apr_array_header_t** list) {
  const int element = kind == ValueKind::kGroups ? sizeof(gid_t) : sizeof(const char*);
  auto* values = *list != nullptr ? apr_array_copy(cmd->pool, *list) : apr_array_make(cmd->pool, 4, element);
  *list = values;
  if (kind == ValueKind::kGroups) return read_groups(cmd, text, values);
  if (kind == ValueKind::kPythonPath) return read_python_path(cmd->pool, text, values);
  return kind == ValueKind::kNodeOptions ? read_node_options(cmd, text, values) : read_variable(cmd, text, values);
}

bool same_list(ValueKind kind, const apr_array_header_t* a, const apr_array_header_t* b) {
  if (a == nullptr || b == nullptr) return a == b;
  if (a->nelts != b->nelts) return false;
  for (int i = 0; i < a->nelts; ++i) {
    const bool same = kind == ValueKind::kGroups
                          ? APR_ARRAY_IDX(a, i, gid_t) == APR_ARRAY_IDX(b, i, gid_t)
                          : std::strcmp(APR_ARRAY_IDX(a, i, const char*), APR_ARRAY_IDX(b, i, const char*)) == 0;
    if (!same) return false;
  }
  return true;
}

const char* size_text(apr_pool_t* pool, int64_t bytes) {
  const char* unit = "";
  for (const char* next : {"K", "M", "G", "T"}) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = next;
  }
  return apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", bytes, unit);
}

}  // namespace nwsgi::httpd_side
