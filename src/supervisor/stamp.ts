/** What distinguishes one version of a script file from another; workers and supervisor compare such texts. */
import { statSync } from 'node:fs';

/** `"mtimeNs:size:inode"`; '' for a file that is not there or cannot be looked at. Any change counts, also to an older file. */
export function stampOf(path: string): string {
  try {
    const status = statSync(path, { bigint: true, throwIfNoEntry: false });
    return status === undefined ? '' : `${status.mtimeNs}:${status.size}:${status.ino}`;
  } catch {
    return '';
  }
}

/** Milliseconds between the modification that a stamp tells and `now` (since 1970). */
export function ageOf(stamp: string, now: number): number {
  return now - Number(BigInt(stamp.slice(0, stamp.indexOf(':'))) / 1_000_000n);
}
