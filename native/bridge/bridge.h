// The native side of src/native.ts: what JavaScript may do with exchanges.
#pragma once

// Node-API's own opaque types, declared here so that the runtime, which includes node.h, does not meet node_api.h.
struct napi_env__;
struct napi_value__;

// Registered by the embedded host as the linked binding "nwsgi_bridge"; also the entry of nwsgi_bridge.node.
extern "C" napi_value__* nwsgi_bridge_init(napi_env__* env, napi_value__* exports);
