/**
 * Workers of a supervisor that is gone: they finish their requests and end by themselves. Until then their slots stay theirs,
 * so that what they write there touches no successor.
 */
import { isAlive } from './process-usage.js';
import { WorkerState } from './scoreboard.js';
import type { Scoreboard } from './scoreboard.js';

export class Orphans {
  readonly #scoreboard: Scoreboard;
  readonly #slots = new Map<number, number>();

  /** Of the table as it was found. */
  constructor(scoreboard: Scoreboard) {
    this.#scoreboard = scoreboard;
    for (let index = 0; index < scoreboard.usedPools; index++) scoreboard.setServing(index, 0);
    for (let slot = 0; slot < scoreboard.usedSlots; slot++) {
      const state = scoreboard.state(slot);
      if (state === WorkerState.free || state === WorkerState.ended) continue;
      scoreboard.setState(slot, WorkerState.draining);
      this.#slots.set(slot, scoreboard.pid(slot));
    }
    this.look();
  }

  /** To be called about once a second. */
  look(): void {
    for (const [slot, pid] of this.#slots) {
      if (pid > 0 && isAlive(pid)) continue;
      this.#slots.delete(slot);
      this.#scoreboard.end(slot, undefined);
    }
  }
}
