/**
 * Servers of node:http2. Each connection of a client has a real session inside this process: a pair of streams, the
 * application's server at one end of it and a client of node:http2 at the other, which sends the requests that arrive over
 * that connection and passes on what comes back. So 'stream' events, the compatibility API, settings, resets and trailers
 * are Node's own.
 */
import type { Http2Server } from 'node:http2';
import type { ListenerTable } from './application.js';
import type { NodeExchange } from './exchange.js';
import { Http2Connection } from './http2-connection.js';
import { Http2Request } from './http2-request.js';
import { http2Options } from './internals.js';

/** A real connection ends when its client leaves; here it is over some time after its last request. */
const IDLE_MILLISECONDS = 5000;
const SWEEP_MILLISECONDS = 250;
const MOST_CONNECTIONS = 256;

export class Http2Gateway {
  readonly #server: Http2Server;
  readonly #listeners: ListenerTable;
  /** By the address and port of the client; least recently used first. */
  readonly #connections = new Map<string, Http2Connection>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(server: Http2Server, listeners: ListenerTable) {
    this.#server = server;
    this.#listeners = listeners;
  }

  /** Gives a request to the server, as a stream of its client's connection. */
  begin(exchange: NodeExchange): void {
    try {
      new Http2Request(exchange).start(this.#connectionOf(exchange));
    } catch (error) {
      exchange.fail(error);
      exchange.finish();
    }
  }

  #connectionOf(exchange: NodeExchange): Http2Connection {
    const { remoteAddress, remotePort, secure } = exchange.request;
    const key = `${remoteAddress} ${remotePort} ${secure}`;
    let connection = this.#connections.get(key);
    if (connection !== undefined) this.#connections.delete(key);
    if (connection?.usable !== true) connection = this.#connect(exchange);
    this.#connections.set(key, connection);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MILLISECONDS).unref();
    return connection;
  }

  #connect(exchange: NodeExchange): Http2Connection {
    for (const [key, oldest] of this.#connections) {
      if (this.#connections.size < MOST_CONNECTIONS) break;
      this.#connections.delete(key);
      oldest.close();
    }
    return new Http2Connection(this.#server, exchange, this.#listeners);
  }

  /** A server that was closed waits for its connections: those without a request are not kept then. */
  #sweep(): void {
    const since = this.#server.listening ? Date.now() - IDLE_MILLISECONDS : Infinity;
    for (const [key, connection] of this.#connections) {
      if (connection.usable && !connection.idle(since)) continue;
      this.#connections.delete(key);
      connection.close();
    }
    if (this.#connections.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

/**
 * Whether a request is for the HTTP/1 side of a server: as in Node, that of a secure server with `allowHTTP1` answers the
 * clients that speak HTTP/1.
 */
export function isForHttp1(server: object, protocol: string): boolean {
  return protocol.startsWith('HTTP/1.') && http2Options(server)?.allowHTTP1 === true;
}
