/** Applications that are Python's: their requests go to threads of Python, the sooner the better. */
import type { Application, Incoming } from '../application.js';
import type { PythonAddon } from './addon.js';

export class PythonKind implements Application {
  readonly kind = 'python';
  readonly #addon: PythonAddon;
  readonly #id: number;

  constructor(addon: PythonAddon, id: number) {
    this.#addon = addon;
    this.#id = id;
  }

  /** Requests for the target `key` do not come here any more: Python's threads have them before the loop hears of them. */
  onAdopted(key: string): void {
    this.#addon.route(key, this.#id);
  }

  /** Whatever becomes of it is told by PythonEvents. */
  begin({ handle }: Incoming): undefined {
    this.#addon.begin(this.#id, handle);
  }
}
