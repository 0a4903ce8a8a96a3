/**
 * What Node keeps under symbols of its own and a server in front of its classes has to know. Found by description once;
 * all of them exist in Node 18 to 24, and what a version lacks has no effect there.
 */
import http from 'node:http';

function symbolOf(object: object, description: string): symbol {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertySymbols(at).find((symbol) => symbol.description === description);
    if (found !== undefined) return found;
  }
  return Symbol(description);
}

const probe = new http.ServerResponse(new http.IncomingMessage(undefined as never));
const probeServer = new http.Server();

/** On a response: write() has returned false and 'drain' is owed. */
export const kNeedDrain = symbolOf(probe, 'kNeedDrain');
/** On a server: the classes that its options asked for. */
export const kIncomingMessage = symbolOf(probeServer, 'IncomingMessage');
export const kServerResponse = symbolOf(probeServer, 'ServerResponse');
/** On a server and its responses: header names that are never repeated. */
export const kUniqueHeaders = symbolOf(probeServer, 'kUniqueHeaders');
/** On a request, a method: `req.signal` shall not be aborted by the end of the connection any more (Node 24). */
export const kDetachAbortSignal = symbolOf(http.IncomingMessage.prototype, 'kDetachAbortSignal');
