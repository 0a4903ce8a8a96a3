// Conversions between JavaScript values and what the host takes, beyond those of the bridge. A value of the wrong kind yields an
// empty result, never a crash.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "bridge/values.h"
#include "python/host.h"

namespace nwsgi::python_addon {

using bridge::to_handle;  // of tokens, too
using bridge::to_latin1;
using bridge::to_utf8;

double to_number(const Napi::Value& value);

python::HostOptions to_host_options(const Napi::Object& object);
python::ScriptOptions to_script_options(const Napi::Object& object);

Napi::Value from_utf8(Napi::Env env, const std::string& text);
Napi::Value from_fault(Napi::Env env, const python::Fault& fault);

}  // namespace nwsgi::python_addon
