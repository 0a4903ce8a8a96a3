// The functions of the add-on for requests that JavaScript serves: open, take, push, … of PythonAddon.pumps.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "python_addon/session.h"

namespace nwsgi::python_addon {

// What one environment has; `session` gives null until it was started.
void define_pumps(Napi::Object exports, std::function<std::shared_ptr<Session>(Napi::Env)> session);

}  // namespace nwsgi::python_addon
