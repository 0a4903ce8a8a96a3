/**
 * Keeps the memory of large transfers low.
 *
 * V8 counts the memory of Buffers, but lets some 32 MiB of dead ones pile up before it looks for them: objects that small
 * cause no collection of their own, however much memory hangs on them. A stream makes and drops thousands of blocks, so
 * after a few mebibytes of them a minor collection (well below a millisecond) gives their memory back.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Streamed bytes, of all requests of the environment, between two collections. */
const COLLECT_AFTER = 4 * 1024 * 1024;

type Collect = (options: { type: 'minor' }) => void;

let streamed = 0;
let collect: Collect | undefined;

/** V8 hands out its collector only to contexts that are made while the flag is set; applications do not see it. */
function findCollector(): Collect {
  setFlagsFromString('--expose-gc');
  try {
    const found: unknown = runInNewContext('typeof gc === "function" ? gc : undefined');
    return typeof found === 'function' ? (found as Collect) : () => undefined;
  } finally {
    if (!process.execArgv.includes('--expose-gc')) setFlagsFromString('--no-expose-gc');
  }
}

/** To be told of each block that is streamed, in either direction. */
export function countStreamed(bytes: number): void {
  streamed += bytes;
  if (streamed < COLLECT_AFTER) return;
  streamed = 0;
  collect ??= findCollector();
  collect({ type: 'minor' });
}
