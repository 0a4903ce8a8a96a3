/**
 * What is done about a worker whose event loop stands still. Pure: told the time and two counters of the scoreboard.
 *
 * A request that ran into request-timeout was answered by the child that waited for it (504), and its application was told.
 * When the loop runs, that is all. Else: after interrupt-timeout the JavaScript is interrupted, which also logs its stack; the
 * worker is replaced; if its loop stands still for shutdown-timeout more, it is killed. Without such a request the loop may
 * stand still for deadlock-timeout: then its JavaScript is interrupted for the stack, and the worker is killed.
 */

export interface LadderTimes {
  interruptTimeout: number;
  deadlockTimeout: number;
  shutdownTimeout: number;
}

export type Rung =
  | 'none'
  /** Interrupt it, and replace it. */
  | 'interrupt'
  /** Interrupt it for the stack; nothing else yet. */
  | 'inspect'
  | 'killForRequest'
  | 'killForSilence';

/** That Python stands still is noticed later than that the loop does: beats go on for a moment (see worker.ts). */
const AFTERMATH = 2_500;
/** What a loop that stood still for deadlock-timeout gets to write its stack. */
const FOR_STACK = 1_000;
/** The supervisor itself did not run for longer than this: the machine slept, and nothing can be said about the workers. */
const OWN_PAUSE = 2_000;

export class Ladder {
  readonly #times: LadderTimes;
  #beat: number;
  #timedOut: number;
  #lastLook: number;
  /** When the beat was seen to change. */
  #movedAt: number;
  /** When a request was seen to have timed out; until the loop is known to run. */
  #timedOutAt: number | undefined;
  #interruptedAt: number | undefined;
  #inspectedAt: number | undefined;

  constructor(times: LadderTimes, now: number, beat = 0, timedOut = 0) {
    this.#times = times;
    this.#beat = beat;
    this.#timedOut = timedOut;
    this.#movedAt = this.#lastLook = now;
  }

  /** How long the loop has stood still. */
  silence(now: number): number {
    return now - this.#movedAt;
  }

  /** `overdue`: no child looks after its requests, and one is in progress for longer than request-timeout. */
  look(now: number, beat: number, timedOut: number, overdue = false): Rung {
    const slept = now - this.#lastLook > OWN_PAUSE;
    this.#lastLook = now;
    if (beat !== this.#beat || slept) {
      this.#beat = beat;
      this.#movedAt = now;
      this.#inspectedAt = undefined;
      if (slept || (this.#timedOutAt !== undefined && now - this.#timedOutAt > AFTERMATH)) this.#timedOutAt = undefined;
    }
    if (timedOut !== this.#timedOut) {
      this.#timedOut = timedOut;
      this.#timedOutAt ??= now;
    }
    if (overdue) this.#timedOutAt ??= now;
    return this.#rung(now);
  }

  #rung(now: number): Rung {
    const { interruptTimeout, deadlockTimeout, shutdownTimeout } = this.#times;
    const silence = this.silence(now);
    if (this.#interruptedAt !== undefined) {
      // It is being replaced. The loop may run again meanwhile; then the drain has its own limits.
      return silence >= shutdownTimeout && now - this.#interruptedAt >= shutdownTimeout ? 'killForRequest' : 'none';
    }
    if (this.#timedOutAt !== undefined && interruptTimeout > 0 && now - this.#timedOutAt >= interruptTimeout && silence >= interruptTimeout) {
      this.#interruptedAt = now;
      return 'interrupt';
    }
    if (deadlockTimeout === 0 || silence < deadlockTimeout) return 'none';
    if (this.#inspectedAt === undefined) {
      this.#inspectedAt = now;
      return 'inspect';
    }
    return now - this.#inspectedAt >= FOR_STACK ? 'killForSilence' : 'none';
  }
}
