// What another add-on of the same process needs of the bridge. JavaScript hands it over as an external value.
#pragma once

#include "exchange/mailbox.h"

namespace nwsgi::exchange {

struct BridgeSeam {
  uint32_t abi;      // kSeamAbi of the bridge
  Mailbox* mailbox;  // lives as long as the environment
};

// Both sides have their own copy of the code of these objects: files of two builds refuse each other.
constexpr uint32_t kSeamInterface = 1;
constexpr uint32_t kSeamAbi = kSeamInterface << 24 | (sizeof(Exchange) + 3 * sizeof(Mailbox) + 5 * sizeof(OutputItem) +
                                                     7 * sizeof(Chunk) + 11 * sizeof(Failure));

}  // namespace nwsgi::exchange
