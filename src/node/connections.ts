/**
 * The connections that servers of the application have. A list in which each one knows its place, not a Set: V8 keeps what
 * was deleted from a Set alive until its table is made anew, and with a closed connection everything that its request had.
 */
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';

const kServer = Symbol('nwsgi.server');
const kPlace = Symbol('nwsgi.place');
type Connection = Duplex & { [kServer]?: Server; [kPlace]?: number };

const connections: Connection[] = [];
let whenNone: (() => void) | undefined;

export function addConnection(socket: Duplex, server: Server): void {
  const connection: Connection = socket;
  connection[kServer] = server;
  connection[kPlace] = connections.length;
  connections.push(connection);
}

/** Returns the server that it belonged to. */
export function removeConnection(socket: Duplex): Server {
  const connection: Connection = socket;
  const place = connection[kPlace] as number;
  const last = connections.pop() as Connection;
  if (last !== connection) {
    connections[place] = last;
    last[kPlace] = place;
  }
  if (connections.length === 0) whenNone?.();
  return connection[kServer] as Server;
}

/** Resolves when there are none. */
export function noConnections(): Promise<void> {
  if (connections.length === 0) return Promise.resolve();
  return new Promise((resolve) => {
    whenNone = resolve;
  });
}

/** Destroys the connections of `server`, or of all. */
export function destroyConnections(server?: Server): void {
  for (const connection of [...connections]) {
    if (server === undefined || connection[kServer] === server) connection.destroy();
  }
}
