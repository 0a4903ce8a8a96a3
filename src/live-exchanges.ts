/**
 * The requests in progress by their handles. A table by slot number (the handle's low bits), not a Map: V8 keeps what was
 * deleted from a Map alive until the table is made anew, which lets dead requests survive their collections.
 */
import type { Exchange } from './exchange.js';

/** As Mailbox::kSlotBits in native/exchange/mailbox.h: the slots of requests in progress are as low as possible. */
const SLOTS = 2 ** 20;

export class LiveExchanges {
  readonly #slots: (Exchange | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(handle: number): Exchange | undefined {
    const exchange = this.#slots[handle % SLOTS];
    return exchange?.handle === handle ? exchange : undefined;
  }

  /** Takes the place of another one with the same handle. */
  set(exchange: Exchange): void {
    const slot = exchange.handle % SLOTS;
    if (this.#slots[slot] === undefined) this.#size += 1;
    this.#slots[slot] = exchange;
  }

  /** True when there was one. */
  delete(handle: number): boolean {
    if (this.get(handle) === undefined) return false;
    this.#slots[handle % SLOTS] = undefined;
    this.#size -= 1;
    return true;
  }

  *values(): Generator<Exchange, void, undefined> {
    for (const exchange of this.#slots) if (exchange !== undefined) yield exchange;
  }
}
