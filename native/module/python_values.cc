#include "module/python_values.h"

#include <apr_strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <fstream>

#include "module/values.h"

namespace nwsgi::httpd_side {
namespace {

constexpr int64_t kLongestInterval = 10'000'000;

bool exists(const std::string& path) {
  struct stat info {};
  // Whoever runs `configtest` may see less than the server.
  return ::stat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool ends_with_part(std::string_view path, std::string_view part) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path.ends_with(part);
}

// "3.11" of "3.11.2" and "3.11.2.final.0".
std::string major_and_minor(std::string_view version) {
  size_t digits = 0;
  while (digits < version.size() && (std::isdigit(static_cast<unsigned char>(version[digits])) || version[digits] == '.')) ++digits;
  version = version.substr(0, digits);
  const size_t first = version.find('.');
  if (first == 0 || first == std::string_view::npos || first + 1 == version.size()) return {};
  return std::string(version.substr(0, version.find('.', first + 1)));
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  size_t blanks = 0;
  while (blanks < text.size() && std::isspace(static_cast<unsigned char>(text[blanks]))) ++blanks;
  return text.substr(blanks);
}

// The executable is a link to python3.11, in one step or several.
std::string version_of_executable(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return {};
  const std::string_view file(resolved);
  const size_t at = file.rfind("/python");
  return at == std::string_view::npos ? std::string() : major_and_minor(file.substr(at + 7));
}

}  // namespace

const char* check_python_home(apr_pool_t* pool, const char* path) {
  constexpr const char* kWrite = "write the folder of a virtual environment (that which holds pyvenv.cfg), or the prefix of a Python installation (/usr)";
  if (path[0] != '/') return apr_psprintf(pool, "it has to be an absolute path: %s", kWrite);
  struct stat info {};
  if (::stat(path, &info) != 0) {
    if (errno == EACCES) return nullptr;
    return apr_psprintf(pool, "%s; make it (python3 -m venv %s), or %s", std::strerror(errno), path, kWrite);
  }
  if (!S_ISDIR(info.st_mode)) return apr_psprintf(pool, "this is no folder: %s", kWrite);
  const std::string home(path);
  if (exists(home + "/bin/python3") || exists(home + "/bin/python")) return nullptr;
  if (exists(home + "/pyvenv.cfg")) {
    return apr_psprintf(pool, "its bin/python3 is missing, or leads to a Python that is gone; make the virtual environment anew "
                              "(python3 -m venv --clear %s)", path);
  }
  if (ends_with_part(path, "/bin")) return apr_psprintf(pool, "this is the folder of the programs; write the one above it: %s", kWrite);
  if (ends_with_part(path, "/site-packages") || ends_with_part(path, "/dist-packages")) {
    return apr_psprintf(pool, "folders of modules belong into the Python path (python-path=, WSGIPythonPath); as the home, %s", kWrite);
  }
  return apr_psprintf(pool, "there is no bin/python3 in it: %s", kWrite);
}

const char* read_python_path(apr_pool_t* pool, const char* text, apr_array_header_t* folders) {
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (folder.empty()) continue;
    if (folder.front() != '/') return "write absolute paths of folders, with colons between them";
    for (const char c : folder) {
      if (std::iscntrl(static_cast<unsigned char>(c))) return "control characters are not allowed";
    }
    *static_cast<const char**>(apr_array_push(folders)) = apr_pstrmemdup(pool, folder.data(), folder.size());
  }
  return folders->nelts != 0 ? nullptr : "write absolute paths of folders, with colons between them";
}

const char* read_switch_interval(std::string_view text, int64_t* microseconds) {
  constexpr const char* kWrite = "write seconds (0.005) or a duration (5ms), at most 10 seconds";
  double seconds = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
  if (end.ec == std::errc() && end.ptr == text.data() + text.size()) {
    if (!(seconds > 0 && seconds * 1'000'000 <= kLongestInterval)) return kWrite;
    *microseconds = std::max<int64_t>(static_cast<int64_t>(seconds * 1'000'000 + 0.5), 1);
    return nullptr;
  }
  int64_t milliseconds;
  if (!parse_duration(text, &milliseconds) || milliseconds == 0 || milliseconds * 1000 > kLongestInterval) return kWrite;
  *microseconds = milliseconds * 1000;
  return nullptr;
}

const char* check_python_warning(apr_pool_t* pool, const char* text) {
  const std::string_view action = std::string_view(text).substr(0, std::string_view(text).find(':'));
  // Python takes abbreviations; the whole argument is what python -W takes.
  for (const std::string_view known : {"default", "error", "always", "all", "module", "once", "ignore"}) {
    if (!action.empty() && known.starts_with(action)) return nullptr;
  }
  return apr_psprintf(pool, "\"%s\" is no filter of warnings: write what python -W takes, action:message:category:module:line, where the "
                            "action is default, error, always, module, once or ignore (ignore::DeprecationWarning)", text);
}

const char* read_hash_seed(const char* text, const char** seed) {
  *seed = nullptr;
  if (strcasecmp(text, "random") == 0) return nullptr;
  int64_t number;
  if (!parse_number(text, 0, 0xffffffffLL, &number)) return "write random, or a whole number from 0 to 4294967295";
  *seed = text;
  return nullptr;
}

std::string python_version_of(const char* home) {
  std::ifstream configuration(std::string(home) + "/pyvenv.cfg");
  for (std::string line; std::getline(configuration, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = trimmed(line.substr(0, equals));
    if (name != "version" && name != "version_info") continue;
    if (std::string version = major_and_minor(trimmed(line.substr(equals + 1))); !version.empty()) return version;
  }
  const std::string version = version_of_executable(std::string(home) + "/bin/python3");
  return !version.empty() ? version : version_of_executable(std::string(home) + "/bin/python");
}

const char* missing_folders(apr_pool_t* pool, const apr_array_header_t* folders) {
  const char* missing = nullptr;
  for (int i = 0; folders != nullptr && i < folders->nelts; ++i) {
    const char* folder = APR_ARRAY_IDX(folders, i, const char*);
    if (!exists(folder)) missing = missing == nullptr ? folder : apr_pstrcat(pool, missing, ", ", folder, nullptr);
  }
  return missing;
}

}  // namespace nwsgi::httpd_side
