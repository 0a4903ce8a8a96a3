/** What a fetch handler gets besides its request. */
import type { FetchExchange } from './exchange.js';

/** The second argument of a fetch handler. */
export class FetchEnvironment {
  readonly #exchange: FetchExchange;

  constructor(exchange: FetchExchange) {
    this.#exchange = exchange;
  }

  /** The variables of the request as a WSGI application sees them: CGI names, latin-1 strings. Made when it is first asked for. */
  get environ(): Record<string, unknown> {
    return this.#exchange.variables();
  }

  /** The path where the application is mounted; '' at the root of a site. It is no part of `request.url`; links and redirects need it. */
  get mount(): string {
    return Buffer.from(this.#exchange.head.scriptName, 'latin1').toString();
  }

  /** Address of the client. */
  get remoteAddress(): string {
    return this.#exchange.head.remoteAddress;
  }

  get remotePort(): number {
    return Number(this.#exchange.head.remotePort);
  }
}

/** The third argument of a fetch handler. */
export class FetchContext {
  readonly #exchange: FetchExchange;

  constructor(exchange: FetchExchange) {
    this.#exchange = exchange;
  }

  /** An orderly end of the environment waits for the promise; its rejection is logged. The response does not wait. */
  waitUntil(promise: unknown): void {
    this.#exchange.keepAliveFor(promise);
  }

  /** There is no other origin to pass a request to: errors are answered as always. For handlers that call it. */
  passThroughOnException(): void {}

  /** See {@link FetchEnvironment.environ}. */
  get environ(): Record<string, unknown> {
    return this.#exchange.variables();
  }

  /** Aborted when the client leaves, the request takes too long, or the server stops; that of the request. */
  get signal(): AbortSignal {
    return this.#exchange.signal;
  }
}
