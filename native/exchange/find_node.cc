#include "exchange/find_node.h"

#include <unistd.h>

#include <cstdlib>

namespace nwsgi::exchange {

std::string find_node() {
  std::string candidates = "/usr/bin:/usr/local/bin";
  if (const char* path = std::getenv("PATH")) candidates = std::string(path) + ":" + candidates;
  for (size_t start = 0; start <= candidates.size();) {
    size_t end = candidates.find(':', start);
    if (end == std::string::npos) end = candidates.size();
    const std::string file = candidates.substr(start, end - start) + "/node";
    if (file[0] == '/' && ::access(file.c_str(), X_OK) == 0) return file;
    start = end + 1;
  }
  return {};
}

}  // namespace nwsgi::exchange
