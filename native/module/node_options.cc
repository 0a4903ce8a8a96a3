#include "module/node_options.h"

#include <apr_strings.h>

#include <string_view>

namespace nwsgi::httpd_side {
namespace {

// Options that make node do something else than run a script, or wait for a terminal or debugger: inside a server they
// would hang or end its processes.
constexpr std::string_view kUnusable[] = {
    "-", "--", "-v", "--version", "-h", "--help", "-e", "--eval", "-p", "-pe", "--print", "-i", "--interactive",
    "-c", "--check", "-s", "--v8-options", "--completion-bash", "--test", "--test-only", "--watch", "--watch-path",
    "--watch-preserve-output", "--run", "--build-snapshot", "--build-snapshot-config", "--build-sea", "--prof-process",
    "--inspect-brk", "--inspect-brk-node", "--inspect-wait", "--debug-brk", "--input-type",
    "--experimental-default-type", "--abort-on-uncaught-exception"};

bool is_unusable(std::string_view name) {
  for (const std::string_view unusable : kUnusable) {
    if (name == unusable) return true;
  }
  return false;
}

}  // namespace

const char* check_node_option(apr_pool_t* pool, const char* option) {
  if (option[0] != '-') {
    return apr_psprintf(pool, "\"%s\" does not start with '-'; an option with a value is written in one word, as in "
                              "--max-old-space-size=512", option);
  }
  const std::string_view text(option);
  if (!is_unusable(text.substr(0, text.find('=')))) return nullptr;
  return apr_psprintf(pool, "%s cannot work inside the server: it would not serve requests; leave it out", option);
}

}  // namespace nwsgi::httpd_side
