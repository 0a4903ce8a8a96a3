/** What keeps one response from holding up all others. */
import { performance } from 'node:perf_hooks';

/** Something that never waits gives way to other requests after so many blocks or milliseconds. */
const BLOCKS_PER_TURN = 64;
const MILLISECONDS_PER_TURN = 5;

/** How much of the current turn of the event loop one producer of blocks has used. */
export class TurnShare {
  #blocks = 0;
  #since = performance.now();

  /** Counts one block; true when it is time to give way (see {@link nextTurn}). */
  usedUp(): boolean {
    return ++this.#blocks >= BLOCKS_PER_TURN || performance.now() - this.#since > MILLISECONDS_PER_TURN;
  }

  /** A new turn has begun. */
  renew(): void {
    this.#blocks = 0;
    this.#since = performance.now();
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
