#include "runtime/debugger_address.h"

#include <string_view>

namespace nwsgi::runtime {
namespace {

constexpr std::string_view kOption = "--inspect";
constexpr std::string_view kPublishOption = "--inspect-publish-uid";

// "9230", "localhost", "0.0.0.0:9230", "[::1]:9230"
DebuggerAddress read_address(std::string_view text) {
  DebuggerAddress address;
  const size_t colon = text.rfind(':');
  const bool number = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (number && !text.empty()) {
    address.port = text;
  } else if (colon == std::string_view::npos || text.back() == ']') {
    if (!text.empty()) address.host = text;
  } else {
    if (colon != 0) address.host = text.substr(0, colon);
    address.port = text.substr(colon + 1);
  }
  if (address.host.front() == '[' && address.host.back() == ']') address.host = address.host.substr(1, address.host.size() - 2);
  return address;
}

}  // namespace

std::optional<DebuggerAddress> take_debugger_address(std::vector<std::string>* args) {
  std::optional<DebuggerAddress> address;
  bool publish_given = false;
  std::erase_if(*args, [&](const std::string& arg) {
    const std::string_view text(arg);
    publish_given = publish_given || text.starts_with(kPublishOption);
    if (text != kOption && !text.starts_with(std::string(kOption) + "=")) return false;
    address = read_address(text.size() > kOption.size() ? text.substr(kOption.size() + 1) : "");
    return true;
  });
  // Our own line in the log says whose address it is; node's on stderr would not.
  if (address && !publish_given) args->push_back(std::string(kPublishOption) + "=http");
  return address;
}

}  // namespace nwsgi::runtime
