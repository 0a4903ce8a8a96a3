// What distinguishes one version of a script file from another.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace nwsgi::runtime {

struct FileStamp {
  int64_t modified_ns = -1;  // -1: the file cannot be read
  int64_t size = 0;
  uint64_t inode = 0;
  bool operator==(const FileStamp&) const = default;
};

// Any change counts, also to an older file (a deployment that went back), or from missing to present.
inline FileStamp stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {static_cast<int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec,
          static_cast<int64_t>(status.st_size), status.st_ino};
}

}  // namespace nwsgi::runtime
