/** Applications that are WSGI callables. */
import type { Application, Incoming } from '../application.js';
import type { Exchange } from '../exchange.js';
import { run } from './deliver.js';
import { buildEnviron } from './environ.js';
import { WsgiExchange } from './exchange.js';
import type { WsgiApplication } from './types.js';

export class WsgiKind implements Application {
  readonly kind = 'wsgi';
  readonly #callable: WsgiApplication;
  readonly #version: string;

  /** `version` of nwsgi, as applications see it in their environ. */
  constructor(callable: WsgiApplication, version: string) {
    this.#callable = callable;
    this.#version = version;
  }

  begin({ bridge, handle, hasBody, target, bytes, start, end, done }: Incoming): Exchange | undefined {
    const exchange = new WsgiExchange(bridge, handle, hasBody, target);
    buildEnviron(exchange, bytes, start, end, this.#version);
    return run(exchange, this.#callable, done) ? undefined : exchange;
  }
}
