/** Applications that are Web-standard handlers: an object with a function `fetch`. */
import { AsyncResource } from 'node:async_hooks';
import type { Application, Incoming } from '../application.js';
import type { Exchange } from '../exchange.js';
import { RequestHead } from '../request-head.js';
import { run } from './deliver.js';
import { FetchExchange } from './exchange.js';
import { prepareRequests } from './globals.js';
import type { FetchHandler } from './types.js';

export type { FetchHandler } from './types.js';

const SCOPE = { requireManualDestroy: true };

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

  begin({ bridge, handle, hasBody, target, bytes, start, end, done }: Incoming): Exchange | undefined {
    const exchange = new FetchExchange(bridge, handle, hasBody, target, this.#version);
    exchange.head = RequestHead.decode(bytes, start, end, exchange);
    // What a handler enters into an AsyncLocalStorage must not reach the next request of the same turn.
    const scope = new AsyncResource('NWSGI_REQUEST', SCOPE);
    return scope.runInAsyncScope(run, undefined, exchange, this.#handler, done) ? undefined : exchange;
  }
}
