/**
 * The requests in progress by their handles. A table by slot number (the handle's low bits), not a Map: V8 keeps what was
 * deleted from a Map alive until the table is made anew, which lets dead requests survive their collections.
 */
import type { Exchange } from './exchange.js';

/** As Mailbox::kSlotBits in native/exchange/mailbox.h: the slots of requests in progress are as low as possible. */
const SLOTS = 2 ** 20;
/** From here on handles are those of a second source of requests (worker/http/server.ts), with slots of its own. */
const SECOND_SOURCE = 2 ** 52;

/** The request is one of a server that is written in JavaScript. */
export function isOfSecondSource(handle: number): boolean {
  return handle >= SECOND_SOURCE;
}

export class LiveExchanges {
  readonly #first: (Exchange | undefined)[] = [];
  readonly #second: (Exchange | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(handle: number): Exchange | undefined {
    const exchange = this.#slotsFor(handle)[handle % SLOTS];
    return exchange?.handle === handle ? exchange : undefined;
  }

  /** Takes the place of another one with the same handle. */
  set(exchange: Exchange): void {
    const slot = exchange.handle % SLOTS;
    const slots = this.#slotsFor(exchange.handle);
    if (slots[slot] === undefined) this.#size += 1;
    slots[slot] = exchange;
  }

  /** True when there was one. */
  delete(handle: number): boolean {
    if (this.get(handle) === undefined) return false;
    this.#slotsFor(handle)[handle % SLOTS] = undefined;
    this.#size -= 1;
    return true;
  }

  *values(): Generator<Exchange, void, undefined> {
    for (const exchange of this.#first) if (exchange !== undefined) yield exchange;
    for (const exchange of this.#second) if (exchange !== undefined) yield exchange;
  }

  #slotsFor(handle: number): (Exchange | undefined)[] {
    return handle < SECOND_SOURCE ? this.#first : this.#second;
  }
}
