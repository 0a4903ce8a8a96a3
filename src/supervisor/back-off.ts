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
