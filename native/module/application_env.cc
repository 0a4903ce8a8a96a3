#include "module/application_env.h"

#include <apr_strings.h>
#include <apr_tables.h>

#include <cctype>
#include <cstring>
#include <string_view>

#include "module/config.h"
#include "module/log.h"
#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

// Null when the server has no mod_env.
const module* environment_module = nullptr;

void append(std::string* packed, const char* name, const char* value) {
  if (!packed->empty()) *packed += '\0';
  *packed += name;
  if (value != nullptr) (*packed += '=') += value;
}

}  // namespace

bool is_variable_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

const char* add_application_env(cmd_parms* cmd, void* dir_config, const char* arguments) {
  apr_array_header_t* env = apr_array_make(cmd->pool, 4, sizeof(const char*));
  const char* rest = arguments;
  while (const char* assignment = next_word(cmd->pool, &rest)) {
    const char* equals = std::strchr(assignment, '=');
    if (equals == nullptr) {
      return config_error(cmd, Code::kBadVariable, "\"%s\" is no assignment: write NAME=value, a value with blanks in quotes",
                          assignment);
    }
    if (!is_variable_name(std::string_view(assignment, static_cast<size_t>(equals - assignment)))) {
      return config_error(cmd, Code::kBadVariable,
                          "\"%s\" does not begin with the name of a variable: letters, digits and underscores, the first "
                          "one no digit", assignment);
    }
    *static_cast<const char**>(apr_array_push(env)) = assignment;
  }
  if (env->nelts == 0) {
    return config_error(cmd, Code::kBadVariable, "at least one variable is needed; write NAME=value");
  }
  auto* config = static_cast<DirConfig*>(dir_config);
  config->env = config->env != nullptr ? apr_array_append(cmd->pool, config->env, env) : env;
  return nullptr;
}

void find_environment_module() { environment_module = ap_find_linked_module("mod_env.c"); }

std::string application_env(const ap_conf_vector_t* per_dir_config) {
  std::string packed;
  if (environment_module != nullptr) {
    // mod_env keeps what SetEnv and PassEnv say in the table with which its configuration begins. The request's own
    // table (subprocess_env) holds more: what SetEnvIf, mod_ssl and others say of one request.
    const void* config = ap_get_module_config(per_dir_config, environment_module);
    const apr_table_t* variables = config != nullptr ? *static_cast<apr_table_t* const*>(config) : nullptr;
    if (variables != nullptr) {
      const apr_array_header_t* entries = apr_table_elts(variables);
      for (int i = 0; i < entries->nelts; ++i) {
        const auto& entry = APR_ARRAY_IDX(entries, i, apr_table_entry_t);
        if (entry.key != nullptr && entry.val != nullptr) append(&packed, entry.key, entry.val);
      }
    }
  }
  const auto* settings = static_cast<const DirConfig*>(ap_get_module_config(per_dir_config, &nwsgi_module));
  if (settings->env == nullptr) return packed;
  for (int i = 0; i < settings->env->nelts; ++i) append(&packed, APR_ARRAY_IDX(settings->env, i, const char*), nullptr);
  return packed;
}

}  // namespace nwsgi::httpd_side
