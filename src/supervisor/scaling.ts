/**
 * How many workers a pool should have, between min-processes and max-processes. Pure: told once a second what the
 * scoreboard shows. More at once when requests wait or loops are busy, fewer only after a quiet while, one at a time.
 */

export interface Load {
  /** Mean event loop utilisation of the serving workers, 0 to 1. */
  utilisation: number;
  /** Requests that wait for a free worker now. */
  waiting: number;
  /** Mean milliseconds that requests of the last second had waited. */
  queueWait: number;
  serving: number;
  starting: number;
}

/** Loops that are busy for this part of the time delay requests. */
const BUSY = 0.7;
/** What the others would have after one worker has left. Far from BUSY, so that one step is not undone by the next. */
const QUIET = 0.45;
const LONG_WAIT = 50;
const BUSY_SECONDS = 3;
const WAITING_SECONDS = 2;
const QUIET_SECONDS = 30;

export class Scaling {
  readonly #min: number;
  readonly #max: number;
  #busy = 0;
  #waiting = 0;
  #quiet = 0;

  constructor(min: number, max: number) {
    this.#min = min;
    this.#max = max;
  }

  /** To be called once a second: the number of workers that the pool should have; `target` is what it should have had so far. */
  decide(target: number, load: Load): number {
    const { serving, starting } = load;
    // Those that start will change the picture.
    if (starting > 0 || serving === 0) {
      this.#busy = this.#waiting = this.#quiet = 0;
      return target;
    }
    this.#waiting = load.waiting > 0 || load.queueWait >= LONG_WAIT ? this.#waiting + 1 : 0;
    this.#busy = load.utilisation >= BUSY ? this.#busy + 1 : 0;
    const wouldBe = serving > 1 ? (load.utilisation * serving) / (serving - 1) : 1;
    this.#quiet = this.#waiting === 0 && wouldBe < QUIET ? this.#quiet + 1 : 0;
    if (target < this.#max && (this.#waiting >= WAITING_SECONDS || this.#busy >= BUSY_SECONDS)) {
      this.#busy = this.#waiting = 0;
      return target + 1;
    }
    if (target > this.#min && this.#quiet >= QUIET_SECONDS) {
      this.#quiet = 0;
      return target - 1;
    }
    return target;
  }
}
