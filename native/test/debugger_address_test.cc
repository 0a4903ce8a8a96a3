#include "runtime/debugger_address.h"

#include <doctest/doctest.h>

using nwsgi::runtime::DebuggerAddress;
using nwsgi::runtime::take_debugger_address;

namespace {

std::string address_of(const char* option) {
  std::vector<std::string> args{"nwsgi", option};
  const std::optional<DebuggerAddress> address = take_debugger_address(&args);
  return address ? address->host + " " + address->port : "none";
}

}  // namespace

TEST_CASE("--inspect is read as node reads it") {
  CHECK(address_of("--inspect") == "127.0.0.1 9229");
  CHECK(address_of("--inspect=") == "127.0.0.1 9229");
  CHECK(address_of("--inspect=0") == "127.0.0.1 0");
  CHECK(address_of("--inspect=localhost") == "localhost 9229");
  CHECK(address_of("--inspect=0.0.0.0:9300") == "0.0.0.0 9300");
  CHECK(address_of("--inspect=:9300") == "127.0.0.1 9300");
  CHECK(address_of("--inspect=[::1]:9300") == "::1 9300");
  CHECK(address_of("--inspect=[::1]") == "::1 9229");
  CHECK(address_of("--inspect-port=9300") == "none");
  CHECK(address_of("--no-warnings") == "none");
}

TEST_CASE("--inspect is taken out of the arguments, the others stay") {
  std::vector<std::string> args{"nwsgi", "--no-warnings", "--inspect=1", "--stack-trace-limit=3", "--inspect=2"};
  CHECK(take_debugger_address(&args)->port == "2");
  CHECK(args == std::vector<std::string>{"nwsgi", "--no-warnings", "--stack-trace-limit=3", "--inspect-publish-uid=http"});
  args = {"nwsgi", "--inspect-publish-uid=stderr", "--inspect"};
  CHECK(take_debugger_address(&args).has_value());
  CHECK(args == std::vector<std::string>{"nwsgi", "--inspect-publish-uid=stderr"});
}
