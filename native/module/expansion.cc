#include "module/expansion.h"

#include <apr_strings.h>
#include <http_core.h>

#include <cctype>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace nwsgi::httpd_side {
namespace {

constexpr std::string_view kEnvironmentPrefix = "%{ENV:";

bool is_environment_reference(std::string_view value) {
  return value.size() > kEnvironmentPrefix.size() + 1 && value.starts_with(kEnvironmentPrefix) && value.back() == '}';
}

// The port of the listening socket, left out when it is the scheme's own. Deliberately not ap_get_server_port(): that
// one believes the port in the client's Host header, and whoever can choose the name of an application group can make
// the server start as many environments as he likes.
const char* with_port(request_rec* r, const char* host) {
  const apr_port_t port = r->server->port != 0 ? r->server->port : r->connection->local_addr->port;
  if (port == 0 || port == 80 || port == 443) return host;
  char digits[8];
  *std::to_chars(digits, digits + sizeof digits, static_cast<unsigned>(port)).ptr = '\0';
  return apr_pstrcat(r->pool, host, ":", digits, nullptr);
}

const char* server_name(request_rec* r) {
  return with_port(r, r->server->server_hostname != nullptr ? r->server->server_hostname : "");
}

const char* environment_value(request_rec* r, const char* name) {
  const char* value = apr_table_get(r->notes, name);
  if (value == nullptr) value = apr_table_get(r->subprocess_env, name);
  if (value == nullptr) value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

bool is_export_name(const char* name) {
  const auto* at = reinterpret_cast<const unsigned char*>(name);
  const auto may_start = [](unsigned char c) { return std::isalpha(c) || c == '_' || c == '$' || c >= 0x80; };
  if (!may_start(*at)) return false;
  for (++at; *at != '\0'; ++at) {
    if (!may_start(*at) && !std::isdigit(*at)) return false;
  }
  return true;
}

const char* check_name(apr_pool_t* pool, const char* value, NameKind kind) {
  if (value[0] != '%') {
    if (kind == NameKind::kCallable) {
      if (is_export_name(value)) return nullptr;
      return apr_psprintf(pool,
                          "\"%s\" is not the name of an export: write the identifier that the script exports, for "
                          "example application or default", value);
    }
    for (const char* at = value; *at != '\0'; ++at) {
      if (std::iscntrl(static_cast<unsigned char>(*at))) return "a group's name must not hold control characters";
    }
    return nullptr;
  }
  if (is_environment_reference(value)) return nullptr;
  if (kind == NameKind::kCallable) {
    return apr_psprintf(pool, "\"%s\" is no known expansion for a callable: write the export's name or %%{ENV:variable}",
                        value);
  }
  for (const char* known : {"%{GLOBAL}", "%{SERVER}", "%{HOST}", "%{RESOURCE}"}) {
    if (std::strcmp(value, known) == 0) return nullptr;
  }
  return apr_psprintf(pool,
                      "\"%s\" is no known expansion: use %%{GLOBAL}, %%{SERVER}, %%{HOST}, %%{RESOURCE}, "
                      "%%{ENV:variable} or a plain name", value);
}

bool is_literal(const char* value) { return value[0] != '%' || std::strcmp(value, "%{GLOBAL}") == 0; }

const char* literal_value(const char* value) { return value[0] == '%' ? "" : value; }

const char* expand_name(request_rec* r, const char* value, std::string_view script_name) {
  for (int round = 0; round < 2 && value[0] == '%'; ++round) {
    if (std::strcmp(value, "%{GLOBAL}") == 0) return "";
    if (std::strcmp(value, "%{SERVER}") == 0) return server_name(r);
    if (std::strcmp(value, "%{RESOURCE}") == 0) {
      return apr_pstrcat(r->pool, server_name(r), "|", apr_pstrmemdup(r->pool, script_name.data(), script_name.size()),
                         nullptr);
    }
    if (std::strcmp(value, "%{HOST}") == 0) {
      char* host = apr_pstrdup(r->pool, r->hostname != nullptr ? r->hostname : "");
      ap_str_tolower(host);
      return with_port(r, host);
    }
    const std::string_view reference(value);
    if (!is_environment_reference(reference)) return value;
    const std::string_view name =
        reference.substr(kEnvironmentPrefix.size(), reference.size() - kEnvironmentPrefix.size() - 1);
    value = environment_value(r, apr_pstrmemdup(r->pool, name.data(), name.size()));
  }
  return value;
}

}  // namespace nwsgi::httpd_side
