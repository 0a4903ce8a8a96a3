/** Files as NativeBridge.sendFile gets them: an open descriptor, and what of it is meant. */
import { fstatSync, openSync, readFileSync } from 'node:fs';

export interface FilePart {
  readonly offset: number;
  readonly length: number;
}

/** -1 for `offset`: where the next read() would begin; for `length`: to the end of the file. */
export function partOf(fd: number, offset: number, length: number): FilePart {
  const { size } = fstatSync(fd);
  const from = offset < 0 ? positionOf(fd) : offset;
  const rest = Math.max(size - from, 0);
  return { offset: from, length: length < 0 ? rest : Math.min(length, rest) };
}

/** A descriptor of our own: the application may close its one at once. */
export function openAgain(fd: number): number {
  return openSync(`/proc/self/fd/${fd}`, 'r');
}

function positionOf(fd: number): number {
  return Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? 0);
}
