#include "exchange/bridge_context.h"

namespace nwsgi::exchange {

namespace {
thread_local BridgeContext* current = nullptr;
}

BridgeContext* current_bridge_context() { return current; }
void set_current_bridge_context(BridgeContext* context) { current = context; }

}  // namespace nwsgi::exchange
