// A supervisor outlives the error log that it was started with: httpd opens a new one at each restart and sends it
// along.
#pragma once

namespace nwsgi::bridge {

// Takes all descriptors that have arrived at the socket, and makes the last one standard output and standard error.
// False when there was none. Never blocks.
bool receive_output(int socket);

}  // namespace nwsgi::bridge
