// From httpd's request_rec to the record that crosses into the application (exchange/record.h).
#pragma once

#include <httpd.h>

#include <string>
#include <string_view>

#include "module/config.h"

namespace nwsgi::httpd_side {

// What is settled about a request before it is handed over. Texts live as long as the request.
struct RequestPlan {
  const DirConfig* settings;
  const Mount* mount;             // null for SetHandler and AddHandler
  std::string_view script_name;
  std::string_view path_info;
  const char* process_group;
  const char* application_group;
  const char* callable;
  const char* type;               // one of kApplicationTypes
  Flag pass_authorization;        // kUnset: as is usual for the kind of application
  bool head_as_get;
  const char* chroot;             // the process group's, in which files have other names; null for none
};

// Groups, callable and options for this request. Does not check them.
RequestPlan make_plan(request_rec* r);

std::string build_record(request_rec* r, const RequestPlan& plan, bool multiprocess);

// A Cookie header whose lines httpd has folded with ", ", with "; " in place of the commas between cookies
// (RFC 6265, section 4.2.1; RFC 9113, section 8.2.3). Returns false when `value` can be used as it is. `key` and `value`
// are those of the request's headers_in, `longest_line` is its LimitRequestFieldSize.
bool unfold_cookies(const char* key, const char* value, size_t longest_line, std::string* unfolded);

}  // namespace nwsgi::httpd_side
