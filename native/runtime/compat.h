// Differences between the embedder APIs of Node 18, 20 and 24 that the runtime has to know.
#pragma once

#include <node.h>

#include <string>
#include <vector>

namespace nwsgi::runtime::compat {

// The result is a unique_ptr in 18 and 20, a shared_ptr from 22 on: callers use auto.
//
// The server process belongs to httpd, so Node is kept from everything that is process-wide: signal dispositions,
// stdio, resource limits, the OpenSSL configuration, NODE_OPTIONS of the server's environment.
inline auto initialize_once_per_process(const std::vector<std::string>& args) {
  namespace flags = node::ProcessInitializationFlags;
  return node::InitializeOncePerProcess(
      args, {flags::kNoInitializeV8, flags::kNoInitializeNodeV8Platform, flags::kNoStdioInitialization,
             flags::kNoDefaultSignalHandling, flags::kNoAdjustResourceLimits, flags::kNoInitOpenSSL,
             flags::kDisableNodeOptionsEnv, flags::kNoUseLargePages, flags::kNoPrintHelpOrVersionOutput});
}

// Neither kOwnsProcessState (chdir, umask, setuid… would change the server) nor kOwnsInspector (its SIGUSR1 handler is
// httpd's graceful restart). Descriptors that the application forgot are closed with its environment.
constexpr auto kEnvironmentFlags = static_cast<node::EnvironmentFlags::Flags>(node::EnvironmentFlags::kTrackUnmanagedFds);

}  // namespace nwsgi::runtime::compat
