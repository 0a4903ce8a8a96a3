/**
 * A reload of one pool: which workers are of the old version is known by the number of the reload that they came with. The old
 * ones go only when new ones are ready; as long as no new one was, a failure ends the reload and the old ones stay.
 */

export interface ReloadOutcome {
  ok: boolean;
  message: string;
}

/** How long a new version may have been loading when the script changes again: then it is given up for the newer one. */
const PATIENCE = 2_000;

export class Rolling {
  epoch = 1;
  /** A worker of this epoch has been ready. */
  proven = false;
  #active = false;
  #stuck = false;
  #since = 0;
  #waiting: ((outcome: ReloadOutcome) => void)[] = [];
  #again: { begin: () => void; waiting: ((outcome: ReloadOutcome) => void)[] } | undefined;

  get active(): boolean {
    return this.#active;
  }

  /** Begins; the result comes with {@link finish}. Only when not active. */
  begin(): Promise<ReloadOutcome> {
    this.#active = true;
    this.#since = performance.now();
    this.epoch += 1;
    this.proven = this.#stuck = false;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Asked for while one is going on: code may have changed since it began, so one more follows. One, however often this is called. */
  repeat(begin: () => void): Promise<ReloadOutcome> {
    const again = (this.#again ??= { begin, waiting: [] });
    return new Promise((resolve) => again.waiting.push(resolve));
  }

  /** Workers of the new version fail although one was ready. */
  stick(): void {
    this.#stuck = true;
  }

  /** It does not get on, so that a newer version had better be tried. */
  get overtaken(): boolean {
    return this.#active && (!this.proven || this.#stuck) && performance.now() - this.#since > PATIENCE;
  }

  /** Returns how to begin another one that was asked for meanwhile; those who wait for that one wait on. */
  finish(outcome: ReloadOutcome): (() => void) | undefined {
    this.#active = false;
    for (const resolve of this.#waiting.splice(0)) resolve(outcome);
    const again = this.#again;
    this.#again = undefined;
    if (again !== undefined) this.#waiting = again.waiting;
    return again?.begin;
  }
}
