// Node-API. An environment may be stopped at any time: what is asked of JavaScript then fails, and is no fault of ours.
#pragma once

#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#include <napi.h>
