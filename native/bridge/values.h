// Conversions between JavaScript values and the exchange's types. Arguments are validated in src/native.ts and its
// callers; here a value of the wrong kind yields an empty result, never a crash.
#pragma once

#include <napi.h>

#include <string>

#include "exchange/exchange.h"

namespace nwsgi::bridge {

// A handle travels as a double; anything that is no handle becomes 0, which names no exchange.
uint64_t to_handle(const Napi::Value& value);
// Each code unit becomes one byte.
std::string to_latin1(const Napi::Value& value);
std::string to_utf8(const Napi::Value& value);
// A Uint8Array is copied, a string becomes its UTF-8 bytes, undefined an empty chunk. False for anything else or when
// memory ran out. The caller owns chunk->data.
bool to_chunk(const Napi::Value& value, exchange::Chunk* chunk);

}  // namespace nwsgi::bridge
