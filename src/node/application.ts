/** Node applications: servers that were taken over at listen(), and handlers (req, res). */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Server } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Application, Incoming } from '../application.js';
import type { Exchange } from '../exchange.js';
import { NwsgiError, Problem } from '../errors.js';
import { http } from '../http-module.js';
import { RequestHead } from '../request-head.js';
import { NodeExchange } from './exchange.js';
import { Http2Gateway, isForHttp1 } from './http2.js';
import type { Listener } from './listening.js';
import { serve } from './serve.js';
import { upgrade, wantsUpgrade } from './upgrade.js';

/** Where requests go; see Listeners in listening.ts. */
export interface ListenerTable {
  /** The server that listens on the port at which a request arrived, else the first one. */
  find(localPort: string): Pick<Listener, 'server' | 'protocol'> | undefined;
  /** Counts a connection of the server until the socket's 'close'; false when the server takes no more. */
  connect(server: Server, socket: Duplex): boolean;
}

export class NodeKind implements Application {
  readonly kind = 'node';
  readonly #listeners: ListenerTable;
  readonly #gateways = new WeakMap<Server, Http2Gateway>();

  constructor(listeners: ListenerTable) {
    this.#listeners = listeners;
  }

  begin(incoming: Incoming): Exchange | undefined {
    const exchange = new NodeExchange(incoming);
    exchange.request = RequestHead.decode(incoming.bytes, incoming.start, incoming.end, exchange);
    const listener = this.#listeners.find(exchange.localPort);
    if (listener === undefined) {
      exchange.fail(new NwsgiError(Problem.notListening, 'no server of the application listens'), undefined, 503);
      exchange.release();
      return undefined;
    }
    const server = listener.server as HttpServer;
    const connect = (socket: Duplex): boolean => this.#listeners.connect(server, socket);
    if (listener.protocol === 'http2' && !isForHttp1(server, exchange.request.protocol)) this.#gatewayOf(server).begin(exchange);
    else if (wantsUpgrade(exchange, server)) upgrade(exchange, server, connect);
    else serve(exchange, server, connect);
    return exchange.over ? undefined : exchange;
  }

  #gatewayOf(server: Server): Http2Gateway {
    let gateway = this.#gateways.get(server);
    if (gateway === undefined) {
      gateway = new Http2Gateway(server as Http2Server, this.#listeners);
      this.#gateways.set(server, gateway);
    }
    return gateway;
  }
}

/** A server for a handler that the script exports: it never listens, and is given to {@link NodeKind} as a Listener. */
export function serverFor(handler: (req: IncomingMessage, res: ServerResponse) => unknown): HttpServer {
  return http.createServer((req, res) => handler(req, res));
}
