/** Words for the person who typed the command, also when the standard streams lead to a log file by then. */
import { closeSync, writeSync } from 'node:fs';
import type { Support } from './support.js';

class Terminal {
  #fd = 2;

  /** From now on the standard streams lead to this file, the words of {@link write} still to where they led. Negative: an errno. */
  redirect(support: Pick<Support, 'duplicate' | 'redirectOutput'>, file: string): number {
    const kept = support.duplicate(2);
    const result = support.redirectOutput(file);
    if (kept >= 0 && result >= 0) this.#fd = kept;
    else if (kept >= 0) closeSync(kept);
    return result;
  }

  /** The streams were redirected: what happens from now on is for the log, too. */
  get redirected(): boolean {
    return this.#fd !== 2;
  }

  write(text: string): void {
    try {
      writeSync(this.#fd, text);
    } catch {
      // Nobody reads it any more.
    }
  }
}

export const terminal = new Terminal();
