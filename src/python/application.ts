/** Applications that are Python's: their requests go to threads of Python, the sooner the better. */
import type { Application, Incoming } from '../application.js';
import { isOfSecondSource } from '../live-exchanges.js';
import type { PythonAddon } from './addon.js';
import { PumpedExchange } from './pumped-exchange.js';
import type { PumpTable } from './pumped-exchange.js';

export class PythonKind implements Application {
  readonly kind = 'python';
  readonly #addon: PythonAddon;
  readonly #id: number;
  readonly #pumped: PumpTable;

  constructor(addon: PythonAddon, id: number, pumped: PumpTable) {
    this.#addon = addon;
    this.#id = id;
    this.#pumped = pumped;
  }

  /** Requests for the target `key` do not come here any more: Python's threads have them before the loop hears of them. */
  onAdopted(key: string): void {
    this.#addon.route(key, this.#id);
  }

  /** Whatever becomes of it is told by PythonEvents. */
  begin(incoming: Incoming): PumpedExchange | undefined {
    const { handle } = incoming;
    // No mailbox has the requests of a server that is written in JavaScript.
    if (isOfSecondSource(handle)) return new PumpedExchange(incoming, this.#addon.pumps, this.#id, this.#pumped);
    this.#addon.begin(this.#id, handle);
    return undefined;
  }
}
