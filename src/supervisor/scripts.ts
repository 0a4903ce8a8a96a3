/** The scripts of one pool: which ones new workers load before they are ready, and which ones have changed. */
import type { PreloadedScript } from './messages.js';
import { ageOf, stampOf } from './stamp.js';

/** More than any application has; what comes in is the application's word. */
const MOST = 1_000;
/** A file this young may still be being written. */
const SETTLED = 100;

interface Watched extends PreloadedScript {
  /** Of the version that the pool runs. */
  stamp: string;
  /** The stamp that was seen last, when it differs: what counts was seen twice. */
  seen: string;
}

export class Scripts {
  readonly #scripts = new Map<string, Watched>();
  readonly #reloading: boolean;

  /** Without `reloading` nothing is watched. */
  constructor(reloading: boolean) {
    this.#reloading = reloading;
  }

  get size(): number {
    return this.#scripts.size;
  }

  /** `stamp` was taken before the file was read. Nothing happens when the script is known. */
  add(script: PreloadedScript, stamp: string): void {
    if (!this.#scripts.has(script.script) && this.#scripts.size < MOST) this.#scripts.set(script.script, { ...script, stamp, seen: '' });
  }

  preloads(): PreloadedScript[] {
    return [...this.#scripts.values()].map(({ script, callable, type, reloading, environment }) => ({ script, callable, type, reloading, environment }));
  }

  /** Before a worker reads the files: a change from now on is a change. */
  takeStamps(): void {
    for (const script of this.#scripts.values()) {
      script.stamp = stampOf(script.script);
      script.seen = '';
    }
  }

  /** The path of a script that has changed and is complete; to be called a few times a second. `now`: milliseconds since 1970. */
  changed(now: number): string | undefined {
    if (!this.#reloading) return undefined;
    for (const script of this.#scripts.values()) {
      if (!script.reloading) continue;
      const stamp = stampOf(script.script);
      // Removed, or being replaced: what is loaded goes on serving.
      if (stamp === script.stamp || stamp === '') continue;
      const age = ageOf(stamp, now);
      if (age >= 0 && age < SETTLED) continue;
      // A file that is being written may have its new size before its new time.
      if (stamp === script.seen) return script.script;
      script.seen = stamp;
    }
    return undefined;
  }
}
