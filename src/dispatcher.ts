/** Takes the turns of the bridge: starts requests, passes on events, knows what is in flight. */
import { AsyncResource } from 'node:async_hooks';
import type { Application, Incoming } from './application.js';
import type { LoadOutcome, LoadWishes } from './app-loader.js';
import { logText, Problem, problemOf } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { Exchange } from './exchange.js';
import { LiveExchanges } from './live-exchanges.js';
import { ENVELOPE_STRIDE, Event, LogLevel } from './native.js';
import type { NativeBridge } from './native.js';
import { patiently } from './patience.js';
import { PendingExchange } from './pending.js';
import { parseTarget, targetOf } from './record.js';
import type { Target } from './record.js';

/** Nobody is told when it is destroyed: V8 would have to watch each one. */
const MANUAL = { requireManualDestroy: true } as const;

/** Room for the records and envelopes of one turn (see NativeBridge.attach). */
const RECORD_BYTES = 256 * 1024;
const ENVELOPES = 64;

/** Milliseconds between looks at requests elsewhere. */
const LOOK = 20;

/** How many requests one log line names. */
const MOST_DESCRIBED = 3;

/** What finds the application for a target; AppLoader. */
export interface Loader {
  load(target: Target, wishes: LoadWishes): Promise<LoadOutcome>;
}

/** One of the applications that requests of this environment are for. */
interface Destination {
  readonly target: Target;
  readonly application: Application;
}

/** Requests that are not the dispatcher's any more, but still this environment's. */
export interface RequestsElsewhere {
  readonly inFlight: number;
}

export class Dispatcher {
  readonly #bridge: NativeBridge;
  readonly #loader: Loader;
  readonly #records = Buffer.alloc(RECORD_BYTES);
  readonly #envelopes = new Float64Array(ENVELOPES * ENVELOPE_STRIDE);
  readonly #destinations = new Map<string, Destination>();
  readonly #live = new LiveExchanges();
  #elsewhere: RequestsElsewhere | undefined;
  #idle: (() => void) | undefined;
  readonly #checkIdle = (): void => {
    if (this.#idle !== undefined && this.inFlight === 0) this.#idle();
  };
  readonly #done = (exchange: Exchange): void => {
    this.#live.delete(exchange.handle);
    this.#checkIdle();
  };

  constructor(bridge: NativeBridge, loader: Loader) {
    this.#bridge = bridge;
    this.#loader = loader;
  }

  attach(): void {
    this.#bridge.attach(this.#records, this.#envelopes, (count) => this.#turn(count));
  }

  /** Requests whose answer is awaited; connections that were upgraded do not count. */
  get inFlight(): number {
    let count = this.#live.size + (this.#elsewhere?.inFlight ?? 0);
    for (const exchange of this.#live.values()) if (exchange.upgraded) count -= 1;
    return count;
  }

  /** Resolves when nothing is in flight. */
  idle(): Promise<void> {
    if (this.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      // Nobody tells of requests elsewhere whose client has gone.
      const look = this.#elsewhere === undefined ? undefined : setInterval(this.#checkIdle, LOOK);
      this.#idle = () => {
        clearInterval(look);
        resolve();
      };
    });
  }

  /** `others` count as well; what is returned is to be called when they may have come to none. */
  include(others: RequestsElsewhere): () => void {
    this.#elsewhere = others;
    return this.#checkIdle;
  }

  /** The requests in progress, for log lines of what may belong to one of them. */
  describe(): string {
    const awaited = [...this.#live.values()].filter(({ upgraded }) => !upgraded);
    const places = awaited.slice(0, MOST_DESCRIBED).map((exchange) => exchange.where());
    if (awaited.length === 0) return 'outside of any request';
    const more = awaited.length > MOST_DESCRIBED ? ` and ${awaited.length - MOST_DESCRIBED} more` : '';
    return `in progress: ${places.join('; ')}${more}`;
  }

  /** `error` ends the environment: developers see it in the browser. */
  showError(problem: CatalogueEntry, error: unknown): void {
    for (const exchange of this.#live.values()) exchange.showError(problem, error);
  }

  /** From now on `application` gets the requests whose record begins with the target `key`. */
  adopt(key: string, application: Application): void {
    this.#destinations.set(key, { target: parseTarget(key), application });
    application.onAdopted?.(key);
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
        // A fault of the gateway: what applications throw is caught where they are called. The other requests go on.
        this.#bridge.log(0, LogLevel.critical, logText(Problem.gatewayFault, 'gateway', error));
        this.#bridge.fail(handle, 500, Problem.gatewayFault.code, Problem.gatewayFault.title);
        this.#bridge.release(handle);
        this.#live.delete(handle);
      }
    }
  }

  #start(handle: number, events: number, offset: number, length: number): void {
    if ((events & Event.Aborted) !== 0) {
      this.#bridge.release(handle);
      return;
    }
    let bytes = this.#records;
    let start = offset;
    if (offset < 0) {
      bytes = Buffer.from(this.#bridge.record(handle), 'latin1');
      start = 0;
    }
    const hasBody = (events & Event.HasBody) !== 0;
    try {
      const key = targetOf(bytes, start, start + length);
      const known = this.#destinations.get(key);
      const target = known?.target ?? parseTarget(key);
      const incoming: Incoming = { bridge: this.#bridge, handle, hasBody, target, bytes, start, end: start + length, scope: new AsyncResource('NWSGIREQUEST', MANUAL), done: this.#done };
      if (known !== undefined) this.#begin(known.application, incoming);
      else this.#wait(key, incoming);
    } catch (error) {
      if (problemOf(error) !== Problem.badRecord) throw error;
      const exchange = new Exchange(this.#bridge, handle, hasBody, { type: 'auto', callable: '', script: '' });
      exchange.fail(error, Problem.badRecord);
      exchange.release();
    }
  }

  #begin(application: Application, incoming: Incoming): void {
    const exchange = incoming.scope.runInAsyncScope(application.begin, application, incoming);
    if (exchange === undefined) {
      if (this.#live.delete(incoming.handle)) this.#checkIdle();
      return;
    }
    exchange.onUpgraded = this.#checkIdle;
    this.#live.set(exchange);
    if (exchange.upgraded) this.#checkIdle();
  }

  #wait(key: string, incoming: Incoming): void {
    const exchange = new PendingExchange(incoming);
    this.#live.set(exchange);
    void this.#load(key, exchange, incoming);
  }

  async #load(key: string, exchange: PendingExchange, incoming: Incoming): Promise<void> {
    try {
      const outcome = await patiently(exchange, this.#loader.load(incoming.target, exchange));
      if (outcome?.failure !== undefined) {
        exchange.fail(outcome.failure.error, outcome.failure.problem, outcome.failure.status);
      } else if (outcome !== undefined) {
        this.adopt(key, outcome.application);
        if (!exchange.aborted) {
          this.#begin(outcome.application, exchange.arriveAgain(incoming));
          return;
        }
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
