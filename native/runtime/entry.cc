// The one symbol that the Apache module looks up in nwsgi_runtime.so.
#include <string>

#include "exchange/application_host.h"
#include "runtime/host.h"

extern "C" __attribute__((visibility("default"))) nwsgi::exchange::ApplicationHost* nwsgi_runtime_start(
    const nwsgi::exchange::HostOptions* options, const nwsgi::exchange::ServerServices* services,
    nwsgi::exchange::Failure* error) {
  if (options->abi != nwsgi::exchange::kHostAbi) {
    error->code = "NWSGI3000";
    error->message = "nwsgi_runtime.so and mod_nwsgi.so come from different builds (interface " +
                     std::to_string(nwsgi::exchange::kHostAbi) + " and " + std::to_string(options->abi) +
                     "). Install both from one build and restart Apache";
    return nullptr;
  }
  return nwsgi::runtime::Host::start(*options, *services, error);
}
