/** How long a pool waits before it starts a worker again; the same numbers as native/runtime/group.cc. */

/** A worker that lived so long is no start that failed. */
export const STABLE = 10_000;
/** Requests wait for a start that is at most this far away. */
export const LONGEST_WAIT = 2_000;
export const LONGEST_BACK_OFF = 30_000;

/** 0, 0.5, 1, 2, 4 … 30 s after so many failures in a row. */
export function backOff(failures: number): number {
  if (failures <= 1) return 0;
  return Math.min(500 * 2 ** Math.min(failures - 2, 10), LONGEST_BACK_OFF);
}

/** The pause before the next start of one pool. */
export class StartPause {
  #failures = 0;
  #lastFailure = -Infinity;
  #until = -Infinity;

  /** In a row. */
  get failures(): number {
    return this.#failures;
  }

  /** Milliseconds until the next start; 0 or less: now. */
  get left(): number {
    return this.#until - performance.now();
  }

  /** A worker that was started then has failed after `lifetime` milliseconds. Workers that fail together have failed once. */
  count(startedAt: number, lifetime: number): void {
    const now = performance.now();
    if (startedAt > this.#lastFailure) this.#failures = lifetime < STABLE ? this.#failures + 1 : 1;
    this.#lastFailure = now;
    this.#until = now + backOff(this.#failures);
  }

  atLeast(milliseconds: number): void {
    this.#until = Math.max(this.#until, performance.now() + milliseconds);
  }

  /** Something has changed that may have been the reason. */
  forget(): void {
    this.#failures = 0;
    this.#until = -Infinity;
  }
}
