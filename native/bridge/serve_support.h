// What `nwsgi serve` and its supervisor need of the system and Node does not have: listening sockets that nobody accepts
// from in this process, datagrams to systemd, output that can be pointed at another file. All functions return a
// negative errno instead of throwing; src/cli validates the arguments. Called on the main thread, at start or seldom.
#pragma once

#include <napi.h>

namespace nwsgi::bridge {

// Adds to `exports`:
//   openUnixListener(path, mode, backlog): fd       a new socket at `path`, with these permissions from its first moment
//   openTcpListener(address, port, backlog): fd     numeric address; port 0: any
//   describeSocket(fd): {family: "unix"|"ipv4"|"ipv6"|"other", address, port, stream, listening} or errno
//   setSocketBuffers(fd, send, receive): 0          0 leaves the system's size
//   sendDatagram(address, text): 0                  to a unix datagram socket; '@' first: an abstract address
//   duplicate(fd): fd
//   redirectOutput(file): 0                         descriptors 1 and 2 append to the file, which is created (0640)
//   becomeUser(uid, gid, groups): 0                 all ids of the process
//   replaceProcess(file, arguments, environment, kept)  execve(): this process runs the file from now on, which has the
//                                                   descriptors below `kept`; returns an errno only
// Descriptors are close-on-exec and non-blocking.
void add_serve_functions(Napi::Object exports);

}  // namespace nwsgi::bridge
