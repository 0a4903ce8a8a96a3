/** Waits for scripts that are going to listen: at once, seconds later, or never. */
import type { Listeners } from './listening.js';

/** How long a script may take, whatever it does: a little less than the host allows for the start of an environment. */
const LONGEST = 58_000;
/** Between looks at what keeps the event loop alive. */
const PAUSE = 5;

export interface Patience {
  /** Give up when nothing has kept the event loop alive for so many milliseconds. */
  readonly quiet: number;
  /** Give up after so many milliseconds. */
  readonly most?: number;
}

/** Timers of this module, which are no activity of an application. */
let ownTimers = 0;

function resources(): string[] {
  return (process as unknown as { getActiveResourcesInfo(): string[] }).getActiveResourcesInfo();
}

/** Number of things of applications that keep the event loop alive. */
export function activity(): number {
  return resources().length - ownTimers;
}

/** The part of that number that lasts: requests, of files for instance, will be over soon. */
export function lastingActivity(): number {
  return resources().filter((name) => !name.includes('Req')).length - ownTimers;
}

function ignore(): void {}

export class Readiness {
  readonly #listeners: Listeners;
  readonly #waiting = new Map<string, () => void>();

  constructor(listeners: Listeners) {
    this.#listeners = listeners;
    listeners.onListen = ({ owner }) => this.#waiting.get(owner)?.();
  }

  /** Calls `told` once when a server of the script listens. */
  whenListening(script: string, told: () => void): void {
    if (this.#listeners.began(script)) {
      told();
      return;
    }
    const earlier = this.#waiting.get(script) ?? ignore;
    this.#waiting.set(script, () => {
      this.#waiting.delete(script);
      earlier();
      told();
    });
  }

  /**
   * True when a server of the script listens, false when that is not to be expected any more. `usual` is what
   * {@link lastingActivity} was before the script began.
   */
  wait(script: string, usual: number, { quiet, most = LONGEST }: Patience): Promise<boolean> {
    const began = Date.now();
    let busy = began;
    let timer: NodeJS.Timeout | undefined;
    const stopTimer = (): void => {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      ownTimers -= 1;
    };
    return new Promise((resolve) => {
      const look = (): void => {
        stopTimer();
        const now = Date.now();
        if (activity() > usual) busy = now;
        if (now - busy > quiet || now - began > most) {
          resolve(false);
          return;
        }
        ownTimers += 1;
        timer = setTimeout(look, PAUSE);
      };
      look();
      this.whenListening(script, () => {
        stopTimer();
        resolve(true);
      });
    });
  }
}
