// Conversions between JavaScript values and what the host and the exchange take. A value of the wrong kind yields an empty
// result, never a crash.
#pragma once

#include "python_addon/node_api.h"

#include <string>
#include <vector>

#include "exchange/exchange.h"
#include "python/host.h"

namespace nwsgi::python_addon {

double to_number(const Napi::Value& value);
// A handle or a token travels as a double; anything else becomes 0, which names nothing.
uint64_t to_handle(const Napi::Value& value);
// Each code unit becomes one byte.
std::string to_latin1(const Napi::Value& value);
std::string to_utf8(const Napi::Value& value);
// A Uint8Array is copied, a string becomes its UTF-8 bytes, anything else an empty chunk. The caller owns its data.
exchange::Chunk to_chunk(const Napi::Value& value);

python::HostOptions to_host_options(const Napi::Object& object);
python::ScriptOptions to_script_options(const Napi::Object& object);

Napi::Value from_utf8(Napi::Env env, const std::string& text);
Napi::Value from_fault(Napi::Env env, const python::Fault& fault);

}  // namespace nwsgi::python_addon
