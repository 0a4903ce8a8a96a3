/** What the dispatcher knows of an application: that requests can be given to it. Its kind makes the rest of them. */
import type { AsyncResource } from 'node:async_hooks';
import type { Exchange } from './exchange.js';
import type { NativeBridge } from './native.js';
import type { Target } from './record.js';

/** A request that has just arrived. The record lies in a buffer that the next turn overwrites: decode it at once. */
export interface Incoming {
  readonly bridge: NativeBridge;
  readonly handle: number;
  readonly hasBody: boolean;
  readonly target: Target;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /**
   * Everything of the application that the request causes runs in here: begin() does, and so should what events cause
   * later. What an application enters with AsyncLocalStorage would else hold for the requests after it.
   */
  readonly scope: AsyncResource;
  /** To be called once, when a request that {@link Application.begin} returned is over. */
  readonly done: (exchange: Exchange) => void;
}

export interface Application {
  readonly kind: 'wsgi' | 'node' | 'fetch' | 'python';
  /**
   * Starts a request. Returns what is to hear of its events, or undefined when it is over and released already.
   *
   * @throws NwsgiError NWSGI2213 for a malformed record; nothing was done with the request then.
   */
  begin(incoming: Incoming): Exchange | undefined;
  /** From now on requests whose record begins with the target `key` are given to it. */
  onAdopted?(key: string): void;
}
