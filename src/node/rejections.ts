/**
 * Listeners of 'request' may be asynchronous: `http.createServer(async (req, res) => …)`. When the promise of one is rejected,
 * Node ends the process; here the request fails, as after an exception of a synchronous one. Node's own means for this is used
 * (the option captureRejections of event emitters), so that the server's emit() stays what applications see and wrap.
 */
import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { NodeExchange } from './exchange.js';
import { kCapture } from './internals.js';

type Capturing = Record<symbol, unknown>;

/** Once for each server; one whose application has asked for the option keeps its own way. */
export function captureRejections(server: Server): void {
  const capturing = server as unknown as Capturing;
  if (capturing[kCapture] === true) return;
  capturing[kCapture] = true;
  Object.defineProperty(server, EventEmitter.captureRejectionSymbol, { configurable: true, value: onRejection });
}

function onRejection(error: unknown, event: string | symbol, first: unknown): void {
  const exchange = event === 'request' ? NodeExchange.of(first as IncomingMessage) : undefined;
  if (exchange !== undefined && process.listenerCount('unhandledRejection') === 0) exchange.handlerFailed(error);
  // As if nobody had looked at the promise.
  else void Promise.reject(error as Error);
}
