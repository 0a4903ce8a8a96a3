/** Applications that are Web-standard handlers: an object with a function `fetch`. */
import type { Application, Incoming } from '../application.js';
import type { Exchange } from '../exchange.js';
import { RequestHead } from '../request-head.js';
import { run } from './deliver.js';
import { FetchExchange } from './exchange.js';
import { prepareRequests } from './globals.js';
import type { FetchHandler } from './types.js';

export type { FetchHandler } from './types.js';

export class FetchKind implements Application {
  readonly kind = 'fetch';
  readonly #handler: FetchHandler;
  readonly #version: string;

  /** `version` of nwsgi, as handlers see it in their environ. */
  constructor(handler: FetchHandler, version: string) {
    this.#handler = handler;
    this.#version = version;
    prepareRequests();
  }

  begin(incoming: Incoming): Exchange | undefined {
    const exchange = new FetchExchange(incoming, this.#version);
    exchange.head = RequestHead.decode(incoming.bytes, incoming.start, incoming.end, exchange);
    return run(exchange, this.#handler, incoming.done) ? undefined : exchange;
  }
}
