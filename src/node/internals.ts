/**
 * What Node keeps under symbols of its own and a server in front of its classes has to know. Found by description once;
 * all of them exist in Node 18 to 24, and what a version lacks has no effect there.
 */
import { http } from '../http-module.js';

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
/** On a server of HTTP/1: the classes that its options asked for. */
const kIncomingMessage = symbolOf(probeServer, 'IncomingMessage');
const kServerResponse = symbolOf(probeServer, 'ServerResponse');
/** On a server and its responses: header names that are never repeated. */
export const kUniqueHeaders = symbolOf(probeServer, 'kUniqueHeaders');
/** On an event emitter: promises that listeners return are looked at. */
export const kCapture = symbolOf(probeServer, 'kCapture');
/** On a request, a method: `req.signal` shall not be aborted by the end of the connection any more (Node 24). */
export const kDetachAbortSignal = symbolOf(http.IncomingMessage.prototype, 'kDetachAbortSignal');

interface Http2Options {
  allowHTTP1?: boolean;
  Http1IncomingMessage?: unknown;
  Http1ServerResponse?: unknown;
}

/** The options of a server of node:http2; undefined for one of node:http. */
export function http2Options(server: object): Http2Options | undefined {
  const kOptions = Object.getOwnPropertySymbols(server).find((symbol) => symbol.description === 'options');
  return kOptions === undefined ? undefined : (server as Record<symbol, Http2Options | undefined>)[kOptions];
}

/** The class that the options of a server asked for. */
export function requestClass(server: object): unknown {
  return (server as Record<symbol, unknown>)[kIncomingMessage] ?? http2Options(server)?.Http1IncomingMessage ?? http.IncomingMessage;
}

export function responseClass(server: object): unknown {
  return (server as Record<symbol, unknown>)[kServerResponse] ?? http2Options(server)?.Http1ServerResponse ?? http.ServerResponse;
}
