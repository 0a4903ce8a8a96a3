// Values that directives and options of process groups say about Python.
#pragma once

#include <httpd.h>
#include <http_config.h>

#include <apr_tables.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace nwsgi::httpd_side {

inline constexpr const char* kIntervalShape = "seconds (0.005) or a duration (5ms), at most 10 seconds";

// Each of these returns null, or what is wrong with the value and what to write (without code and name).
//
// The folder of a virtual environment, or the prefix of an installation. What may not be looked at counts as good.
const char* check_python_home(apr_pool_t* pool, const char* path);
// Folders with colons between them are added to `folders` (const char*).
const char* read_python_path(apr_pool_t* pool, const char* text, apr_array_header_t* folders);
// Seconds as a decimal number, or a duration with a unit.
const char* read_switch_interval(std::string_view text, int64_t* microseconds);
// An argument of python -W.
const char* check_python_warning(apr_pool_t* pool, const char* text);
// "random", or a number of 32 bits. *seed is null for the former.
const char* read_hash_seed(const char* text, const char** seed);

// "3.11": what a virtual environment, or an installation, says of itself. '' when it does not.
std::string python_version_of(const char* home);

// Names (in `pool`, with commas between them) of the folders that are not there; null when all are.
const char* missing_folders(apr_pool_t* pool, const apr_array_header_t* folders);

}  // namespace nwsgi::httpd_side
