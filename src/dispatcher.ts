/** Takes the turns of the bridge: starts requests, passes on events, knows what is in flight. */
import type { AppLoader } from './app-loader.js';
import { patiently, run } from './wsgi/deliver.js';
import { buildEnviron } from './wsgi/environ.js';
import { logText, Problem } from './errors.js';
import { Exchange } from './exchange.js';
import { ENVELOPE_STRIDE, Event, LogLevel } from './native.js';
import type { NativeBridge } from './native.js';
import type { WsgiApplication } from './wsgi/types.js';

/** Room for the records and envelopes of one turn (see NativeBridge.attach). */
const RECORD_BYTES = 256 * 1024;
const ENVELOPES = 64;

export class Dispatcher {
  readonly #bridge: NativeBridge;
  readonly #loader: AppLoader;
  readonly #version: string;
  readonly #records = Buffer.alloc(RECORD_BYTES);
  readonly #envelopes = new Float64Array(ENVELOPES * ENVELOPE_STRIDE);
  readonly #live = new Map<number, Exchange>();
  #idle: (() => void) | undefined;
  readonly #done = (exchange: Exchange): void => {
    this.#live.delete(exchange.handle);
    if (this.#live.size === 0) this.#idle?.();
  };

  constructor(bridge: NativeBridge, loader: AppLoader, version: string) {
    this.#bridge = bridge;
    this.#loader = loader;
    this.#version = version;
  }

  attach(): void {
    this.#bridge.attach(this.#records, this.#envelopes, (count) => this.#turn(count));
  }

  get inFlight(): number {
    return this.#live.size;
  }

  /** Resolves when nothing is in flight. */
  idle(): Promise<void> {
    if (this.#live.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle = resolve;
    });
  }

  #turn(count: number): void {
    const envelopes = this.#envelopes;
    for (let i = 0, at = 0; i < count; i++, at += ENVELOPE_STRIDE) {
      const handle = envelopes[at] as number;
      const events = envelopes[at + 1] as number;
      try {
        if ((events & Event.Request) !== 0) {
          this.#start(handle, events, envelopes[at + 2] as number, envelopes[at + 3] as number);
        } else {
          const exchange = this.#live.get(handle);
          if (exchange !== undefined) notify(exchange, events);
        }
      } catch (error) {
        // A fault of the gateway: run() catches what applications throw. The other requests of the turn go on.
        this.#bridge.log(0, LogLevel.critical, logText(Problem.gatewayFault, 'gateway', error));
        this.#bridge.fail(handle, 500, Problem.gatewayFault.code, Problem.gatewayFault.title);
        this.#bridge.release(handle);
        this.#live.delete(handle);
      }
    }
  }

  #start(handle: number, events: number, offset: number, length: number): void {
    const exchange = new Exchange(this.#bridge, handle, (events & Event.HasBody) !== 0);
    try {
      if (offset >= 0) {
        buildEnviron(exchange, this.#records, offset, offset + length, this.#version);
      } else {
        const record = Buffer.from(this.#bridge.record(handle), 'latin1');
        buildEnviron(exchange, record, 0, record.length, this.#version);
      }
    } catch (error) {
      exchange.fail(error, Problem.badRecord);
      exchange.release();
      return;
    }
    if ((events & Event.Aborted) !== 0) {
      exchange.release();
      return;
    }
    const application = this.#loader.ready(exchange.script, exchange.callable);
    if (application === undefined) {
      this.#live.set(handle, exchange);
      void this.#load(exchange);
    } else {
      this.#run(exchange, application);
    }
  }

  #run(exchange: Exchange, application: WsgiApplication): void {
    if (run(exchange, application, this.#done)) this.#live.delete(exchange.handle);
    else this.#live.set(exchange.handle, exchange);
  }

  async #load(exchange: Exchange): Promise<void> {
    try {
      const outcome = await patiently(exchange, this.#loader.load(exchange.script, exchange.callable, exchange.reloading));
      if (outcome?.failure !== undefined) {
        exchange.fail(outcome.failure.error, outcome.failure.problem, outcome.failure.status);
      } else if (outcome !== undefined && !exchange.aborted) {
        if (run(exchange, outcome.application, this.#done)) this.#done(exchange);
        return;
      }
    } catch (error) {
      exchange.fail(error, Problem.gatewayFault);
    }
    exchange.release();
    this.#done(exchange);
  }
}

function notify(exchange: Exchange, events: number): void {
  if ((events & Event.Body) !== 0) exchange.onBody?.();
  if ((events & Event.Writable) !== 0) exchange.writableAgain();
  if ((events & Event.Aborted) !== 0) exchange.abort();
}
