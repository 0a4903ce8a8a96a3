/** Tells the supervisor, through the scoreboard, that the event loop runs, how busy it is and what it holds. */
import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { Header, HEADER_SIZE, POOL_SIZE, Worker, WORKER_SIZE } from '../supervisor/scoreboard.js';

const BEAT_MILLISECONDS = 500;
/** Load and memory are looked at with every second beat. */
const MEBIBYTE = 1024 * 1024;

/** 0 in a chroot without /proc. */
function residentBytes(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}

/** Of the worker in this slot of the scoreboard. Nothing is said while what serves its requests stands still, the loop or another. */
export function startBeat(scoreboard: ArrayBuffer, slot: number, standsStill: () => boolean): void {
  const pools = new Uint32Array(scoreboard)[Header.poolSlots >> 2] as number;
  const entry = new Uint32Array(scoreboard, HEADER_SIZE + pools * POOL_SIZE + slot * WORKER_SIZE, WORKER_SIZE >> 2);
  let before = performance.eventLoopUtilization();
  let beats = 0;
  const set = (offset: number, value: number): void => void Atomics.store(entry, offset >> 2, value);
  const beat = (): void => {
    if (standsStill()) return;
    Atomics.add(entry, Worker.loopBeat >> 2, 1);
    if (beats++ % 2 !== 0) return;
    const now = performance.eventLoopUtilization();
    set(Worker.elu, Math.round(performance.eventLoopUtilization(now, before).utilization * 1000));
    before = now;
    set(Worker.heapMib, Math.round(getHeapStatistics().used_heap_size / MEBIBYTE));
    set(Worker.rssMib, Math.round(residentBytes() / MEBIBYTE));
  };
  beat();
  setInterval(beat, BEAT_MILLISECONDS).unref();
}
