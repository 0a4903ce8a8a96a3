/** What the system says about a process. Linux only, as all of daemon mode. */
import { readFileSync } from 'node:fs';

/** Ticks in a second of /proc: 100 on every architecture that Node supports. */
const TICK_MILLISECONDS = 10;

export interface Usage {
  /** Bytes. */
  resident: number;
  /** Milliseconds of processor time, user and system, since its start. */
  processor: number;
}

/** Undefined when there is no such process. */
export function usageOf(pid: number): Usage | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name is in parentheses and may contain anything. Then comes field 3; utime is 14, stime 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const kilobytes = /^VmRSS:\s*(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return { processor: (Number(fields[11]) + Number(fields[12])) * TICK_MILLISECONDS, resident: Number(kilobytes ?? 0) * 1024 };
}

/** Processes that the kernel has killed for lack of memory, on this machine. */
export class MemoryKills {
  #last = kernelMemoryKills();
  #before = this.#last;

  /** To be called about once a second. */
  sample(): void {
    this.#before = this.#last;
    this.#last = kernelMemoryKills();
  }

  /** There was one within the last second or two. */
  recent(): boolean {
    return kernelMemoryKills() > this.#before;
  }
}

function kernelMemoryKills(): number {
  return Number(/^oom_kill (\d+)$/m.exec(read('/proc/vmstat') ?? '')?.[1] ?? 0);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
