// Output that never blocks, although it is flushed.
//
// httpd's last output filter writes a FLUSH bucket's brigade to its end, however long the client takes. Without one, other
// filters (mod_deflate, mod_ssl) would keep what they have. So a filter right before the last one lets them see the bucket
// and takes it out, as long as the connection is marked; whoever has marked it writes what is pending when the socket
// takes it (pending_output.h).
#pragma once

#include <httpd.h>

namespace nwsgi::httpd_side {

class ParkedConnection;

// What the module keeps of a client's connection, in its pool. Touched by the thread that serves the connection.
struct ConnectionNote {
  ParkedConnection* parked = nullptr;  // the connection is the module's (parked_connection.h)
  bool flushes_softly = false;
  bool has_filter = false;
};

// Null when there is none yet.
ConnectionNote* connection_note(const conn_rec* c);
ConnectionNote* make_connection_note(conn_rec* c);

void register_soft_flush();
// Marks the connection of the request that is being served.
void flush_softly(request_rec* r);
void flush_hard(const conn_rec* c);

}  // namespace nwsgi::httpd_side
