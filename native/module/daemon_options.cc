#include "module/daemon_options.h"

#include <apr_strings.h>

#include <cstddef>
#include <cstring>
#include <iterator>
#include <string_view>

#include "module/daemon_values.h"
#include "module/foreign_directives.h"
#include "module/log.h"
#include "module/python_values.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

struct Option {
  std::string_view name;
  ValueKind kind;
  size_t offset;   // of its member in DaemonOptions
  int64_t initial;  // where it is not given; members that are pointers begin as null
  int64_t least;   // bounds of numbers; a duration or size may also be 0 (off) where `zero` says so
  int64_t most;
  bool zero;
};

constexpr int64_t kAny = INT64_MAX;
constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = kKiB * 1024;
constexpr int64_t kSecond = 1000;
constexpr int64_t kMost = 256;  // slots of the scoreboard

constexpr Option number(std::string_view name, size_t offset, int64_t initial, int64_t least, int64_t most) {
  return {name, ValueKind::kNumber, offset, initial, least, most, false};
}
constexpr Option duration(std::string_view name, size_t offset, int64_t initial, bool zero = true) {
  return {name, ValueKind::kDuration, offset, initial, 1, kAny, zero};
}
constexpr Option size(std::string_view name, size_t offset, int64_t initial, int64_t least, int64_t most = kAny) {
  return {name, ValueKind::kSize, offset, initial, least, most, initial == 0};
}
constexpr Option other(std::string_view name, ValueKind kind, size_t offset) {
  return {name, kind, offset, -1, 0, 0, false};
}

#define NWSGI_MEMBER(member) offsetof(DaemonOptions, member)

constexpr Option kOptions[] = {
    number("processes", NWSGI_MEMBER(processes), 0, 1, kMost),
    number("min-processes", NWSGI_MEMBER(min_processes), 0, 1, kMost),
    number("max-processes", NWSGI_MEMBER(max_processes), 0, 1, kMost),
    number("threads", NWSGI_MEMBER(threads), 0, 0, 100'000),
    other("user", ValueKind::kUser, NWSGI_MEMBER(uid)),
    other("group", ValueKind::kGroup, NWSGI_MEMBER(gid)),
    other("supplementary-groups", ValueKind::kGroups, NWSGI_MEMBER(supplementary_gids)),
    other("umask", ValueKind::kMode, NWSGI_MEMBER(umask)),
    other("home", ValueKind::kDirectory, NWSGI_MEMBER(home)),
    other("chroot", ValueKind::kDirectory, NWSGI_MEMBER(chroot)),
    other("lang", ValueKind::kText, NWSGI_MEMBER(lang)),
    other("locale", ValueKind::kText, NWSGI_MEMBER(locale)),
    other("display-name", ValueKind::kText, NWSGI_MEMBER(display_name)),
    number("maximum-requests", NWSGI_MEMBER(maximum_requests), 0, 0, kAny),
    {"maximum-requests-jitter", ValueKind::kPercent, NWSGI_MEMBER(maximum_requests_jitter), 10, 0, 100, false},
    duration("restart-interval", NWSGI_MEMBER(restart_interval), 0),
    duration("cpu-time-limit", NWSGI_MEMBER(cpu_time_limit), 0),
    duration("inactivity-timeout", NWSGI_MEMBER(inactivity_timeout), 0),
    duration("request-timeout", NWSGI_MEMBER(request_timeout), 0),
    duration("interrupt-timeout", NWSGI_MEMBER(interrupt_timeout), 2 * kSecond),
    duration("deadlock-timeout", NWSGI_MEMBER(deadlock_timeout), 300 * kSecond),
    duration("startup-timeout", NWSGI_MEMBER(startup_timeout), 60 * kSecond),
    duration("graceful-timeout", NWSGI_MEMBER(graceful_timeout), 15 * kSecond),
    duration("eviction-timeout", NWSGI_MEMBER(eviction_timeout), 0),
    duration("shutdown-timeout", NWSGI_MEMBER(shutdown_timeout), 5 * kSecond),
    duration("connect-timeout", NWSGI_MEMBER(connect_timeout), 15 * kSecond, false),
    duration("socket-timeout", NWSGI_MEMBER(socket_timeout), 0),
    duration("queue-timeout", NWSGI_MEMBER(queue_timeout), 0),
    number("queue-limit", NWSGI_MEMBER(queue_limit), 1000, 0, 1'000'000),
    number("listen-backlog", NWSGI_MEMBER(listen_backlog), 1024, 1, 65'535),
    other("socket-user", ValueKind::kUser, NWSGI_MEMBER(socket_uid)),
    other("script-user", ValueKind::kOwner, NWSGI_MEMBER(script_uid)),
    other("script-group", ValueKind::kGroup, NWSGI_MEMBER(script_gid)),
    number("cpu-priority", NWSGI_MEMBER(cpu_priority), 0, -20, 19),
    size("memory-soft-limit", NWSGI_MEMBER(memory_soft_limit), 0, 32 * kMiB),
    size("memory-limit", NWSGI_MEMBER(memory_limit), 0, 32 * kMiB),
    size("virtual-memory-limit", NWSGI_MEMBER(virtual_memory_limit), 0, 1024 * kMiB),
    size("heap-limit", NWSGI_MEMBER(heap_limit), 0, 8 * kMiB),
    size("send-buffer-size", NWSGI_MEMBER(send_buffer_size), 0, 512, 1024 * kMiB),
    size("receive-buffer-size", NWSGI_MEMBER(receive_buffer_size), 0, 512, 1024 * kMiB),
    size("header-buffer-size", NWSGI_MEMBER(header_buffer_size), 32 * kKiB, 8 * kKiB, 16 * kMiB),
    size("response-buffer-size", NWSGI_MEMBER(response_buffer_size), 0, 64 * kKiB, 1024 * kMiB),
    other("node", ValueKind::kProgram, NWSGI_MEMBER(node)),
    other("node-options", ValueKind::kNodeOptions, NWSGI_MEMBER(node_options)),
    other("env", ValueKind::kVariable, NWSGI_MEMBER(env)),
    other("python-home", ValueKind::kPythonHome, NWSGI_MEMBER(python_home)),
    other("python-path", ValueKind::kPythonPath, NWSGI_MEMBER(python_path)),
    other("python-eggs", ValueKind::kDirectory, NWSGI_MEMBER(python_eggs)),
    {"switch-interval", ValueKind::kInterval, NWSGI_MEMBER(switch_interval), 0, 0, 0, false},
};

#undef NWSGI_MEMBER

// Options of mod_wsgi that are accepted and have no effect here, and why.
struct Ignored {
  std::string_view name;
  const char* why;
};

constexpr Ignored kIgnored[] = {
    {"stack-size", "threads of Python have 8 MiB, which the system gives as it is used"},
    {"server-metrics", "there is no server_metrics()"},
    {"response-socket-timeout", "httpd's Timeout applies to clients"},
    {"response-flush-delay", "responses are flushed when the application has nothing more to say for now"},
};

bool holds_number(ValueKind kind) { return !holds_text(kind) && !holds_list(kind); }

template <typename Member>
Member& member(DaemonOptions* options, const Option& option) {
  return *reinterpret_cast<Member*>(reinterpret_cast<char*>(options) + option.offset);
}
template <typename Member>
const Member& member(const DaemonOptions& options, const Option& option) {
  return *reinterpret_cast<const Member*>(reinterpret_cast<const char*>(&options) + option.offset);
}

const char* bounds(apr_pool_t* pool, const Option& option) {
  const char* zero = option.zero ? "0 (off), or " : "";
  const char* least = size_text(pool, option.least);
  switch (option.kind) {
    case ValueKind::kDuration:
      return apr_pstrcat(pool, zero, kDurationShape, nullptr);
    case ValueKind::kSize:
      if (option.most == kAny) return apr_psprintf(pool, "%s%s, at least %s", zero, kSizeShape, least);
      return apr_psprintf(pool, "%s%s, from %s to %s", zero, kSizeShape, least, size_text(pool, option.most));
    case ValueKind::kInterval:
      return kIntervalShape;
    case ValueKind::kPercent:
      return "a number of per cent from 0 to 100, as in 10 or 10%";
    default:
      if (option.most == kAny) return apr_psprintf(pool, "a whole number, %" APR_INT64_T_FMT " or more", option.least);
      return apr_psprintf(pool, "a whole number from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT, option.least,
                          option.most);
  }
}

bool read_quantity(const Option& option, std::string_view text, int64_t* value) {
  switch (option.kind) {
    case ValueKind::kInterval:
      return read_switch_interval(text, value) == nullptr;
    case ValueKind::kDuration:
      if (!parse_duration(text, value)) return false;
      break;
    case ValueKind::kSize:
      if (!parse_size(text, value)) return false;
      break;
    default:
      if (option.kind == ValueKind::kPercent && text.ends_with('%')) text.remove_suffix(1);
      return parse_number(text, option.least, option.most, value);
  }
  return (option.zero && *value == 0) || (*value >= option.least && *value <= option.most);
}

const char* read_value(const cmd_parms* cmd, const Option& option, const char* group, const char* text,
                       DaemonOptions* options) {
  if (is_quantity(option.kind)) {
    if (read_quantity(option, text, &member<int64_t>(options, option))) return nullptr;
    return config_error(cmd, Code::kBadDaemonValue, "%s=%s of process group \"%s\": write %s", option.name.data(), text,
                        group, bounds(cmd->pool, option));
  }
  const char* wrong = nullptr;
  if (holds_list(option.kind)) {
    wrong = read_list(cmd, option.kind, text, &member<const apr_array_header_t*>(options, option));
  } else if (holds_number(option.kind)) {
    const char** user_name = option.name == "user" ? &options->user : nullptr;
    wrong = read_id(cmd, option.kind, text, &member<int64_t>(options, option), user_name);
  } else {
    wrong = read_text(cmd, option.kind, text, options->chroot != nullptr, &member<const char*>(options, option));
  }
  if (wrong == nullptr) return nullptr;
  const Code code = is_identity(option.kind) ? Code::kBadDaemonUser : Code::kBadDaemonValue;
  return config_error(cmd, code, "%s=%s of process group \"%s\": %s", option.name.data(), text, group, wrong);
}

// Whether mod_wsgi has the option, and it has no effect here; a notice says so.
bool is_ignored(const cmd_parms* cmd, std::string_view name, const char* group) {
  for (const Ignored& ignored : kIgnored) {
    if (ignored.name != name) continue;
    note_ignored(cmd, apr_psprintf(cmd->pool, "%s= of process group \"%s\"", ignored.name.data(), group), ignored.why);
    return true;
  }
  return false;
}

const char* unknown_option(const cmd_parms* cmd, std::string_view name, const char* group) {
  const char* text = apr_pstrmemdup(cmd->pool, name.data(), name.size());
  const std::string_view meant = nearest_name(name, kOptions);
  if (!meant.empty()) {
    return config_error(cmd, Code::kUnknownDaemonOption, "%s= of process group \"%s\" is unknown; did you mean %s=?",
                        text, group, meant.data());
  }
  return config_error(cmd, Code::kUnknownDaemonOption,
                      "%s= of process group \"%s\" is unknown; docs/directives.md lists the options under "
                      "WSGIDaemonProcess", text, group);
}

// What can only be judged when all options are known; also completes those that depend on each other.
const char* check_together(const cmd_parms* cmd, const char* group, DaemonOptions* options) {
  int64_t& processes = options->processes;
  int64_t& least = options->min_processes;
  int64_t& most = options->max_processes;
  if (processes == 0) processes = least != 0 ? least : 1;
  if (least == 0) least = processes;
  if (most == 0) most = processes;
  if (least > processes || processes > most) {
    return config_error(cmd, Code::kDaemonOptionsClash,
                        "min-processes=%" APR_INT64_T_FMT " processes=%" APR_INT64_T_FMT
                        " max-processes=%" APR_INT64_T_FMT
                        " of process group \"%s\" have to be in ascending order", least, processes, most, group);
  }
  if (options->memory_limit != 0 && options->memory_soft_limit > options->memory_limit) {
    return config_error(cmd, Code::kDaemonOptionsClash,
                        "memory-soft-limit= of process group \"%s\" is above its memory-limit=, and would never be "
                        "reached; make it smaller", group);
  }
  if (options->script_uid >= 0 && options->script_gid >= 0) {
    return config_error(cmd, Code::kDaemonOptionsClash,
                        "script-user= and script-group= of process group \"%s\" exclude each other: take one of them",
                        group);
  }
  return nullptr;
}

}  // namespace

const char* read_daemon_options(const cmd_parms* cmd, const char* group, const char* arguments,
                                DaemonOptions* options) {
  *options = DaemonOptions{};
  for (const Option& option : kOptions) {
    if (holds_number(option.kind)) member<int64_t>(options, option) = option.initial;
  }
  bool given[std::size(kOptions)] = {};
  // chroot first: it decides which files can be looked for.
  for (const bool chroot_pass : {true, false}) {
    const char* rest = arguments;
    while (const char* argument = next_word(cmd->pool, &rest)) {
      const char* separator = std::strchr(argument, '=');
      if (separator == nullptr || separator == argument) {
        return config_error(cmd, Code::kUnknownDaemonOption,
                            "\"%s\" of process group \"%s\" is no option: options are written name=value, a value with "
                            "blanks in quotes", argument, group);
      }
      const std::string_view name(argument, static_cast<size_t>(separator - argument));
      if ((name == "chroot") != chroot_pass) continue;
      size_t at = 0;
      while (at < std::size(kOptions) && kOptions[at].name != name) ++at;
      if (at == std::size(kOptions)) {
        if (is_ignored(cmd, name, group)) continue;
        return unknown_option(cmd, name, group);
      }
      const Option& option = kOptions[at];
      if (given[at] && !adds_up(option.kind)) {
        return config_error(cmd, Code::kBadDaemonValue, "%s= of process group \"%s\" is given twice",
                            option.name.data(), group);
      }
      given[at] = true;
      if (const char* error = read_value(cmd, option, group, separator + 1, options)) return error;
    }
  }
  return check_together(cmd, group, options);
}

const char* first_difference(const DaemonOptions& options, const DaemonOptions& others) {
  for (const Option& option : kOptions) {
    bool same;
    if (holds_list(option.kind)) {
      same = same_list(option.kind, member<const apr_array_header_t*>(options, option),
                       member<const apr_array_header_t*>(others, option));
    } else if (holds_number(option.kind)) {
      same = member<int64_t>(options, option) == member<int64_t>(others, option);
    } else {
      const char* a = member<const char*>(options, option);
      const char* b = member<const char*>(others, option);
      same = a == b || (a != nullptr && b != nullptr && std::strcmp(a, b) == 0);
    }
    if (!same) return option.name.data();
  }
  return nullptr;
}

}  // namespace nwsgi::httpd_side
