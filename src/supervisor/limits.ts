/** When a worker has had its time. Pure: told the time and what the worker used. */
import { seconds } from './exit.js';

export interface Limits {
  maximumRequests: number;
  /** Percent. */
  maximumRequestsJitter: number;
  restartInterval: number;
  cpuTimeLimit: number;
  memorySoftLimit: number;
  memoryLimit: number;
}

export interface Consumption {
  /** Requests begun. */
  requests: number;
  /** Milliseconds since its start. */
  age: number;
  /** Milliseconds of processor time. */
  processor: number;
  /** Bytes. */
  resident: number;
}

export type Verdict =
  | { action: 'none' }
  /** A fresh worker takes its place before it goes. */
  | { action: 'replace'; reason: string; why: string }
  | { action: 'kill'; why: string };

const NONE: Verdict = { action: 'none' };

/** The limits of one worker. Those that workers started together would reach together differ by the jitter. */
export class WorkerLimits {
  readonly #limits: Limits;
  readonly requests: number;
  readonly age: number;
  readonly processor: number;

  /** `random`: from 0 to 1. */
  constructor(limits: Limits, random: () => number = Math.random) {
    this.#limits = limits;
    const spread = (limit: number): number => withJitter(limit, limits.maximumRequestsJitter, random());
    this.requests = Math.max(limits.maximumRequests === 0 ? 0 : 1, Math.round(spread(limits.maximumRequests)));
    this.age = spread(limits.restartInterval);
    this.processor = spread(limits.cpuTimeLimit);
  }

  check({ requests, age, processor, resident }: Consumption): Verdict {
    const { memoryLimit, memorySoftLimit } = this.#limits;
    if (memoryLimit > 0 && resident > memoryLimit) return { action: 'kill', why: `(${mebibytes(resident)} of ${mebibytes(memoryLimit)})` };
    if (memorySoftLimit > 0 && resident > memorySoftLimit) {
      return { action: 'replace', reason: 'memory_soft_limit', why: `memory-soft-limit: it uses ${mebibytes(resident)}, more than ${mebibytes(memorySoftLimit)}` };
    }
    if (this.requests > 0 && requests >= this.requests) {
      return { action: 'replace', reason: 'maximum_requests', why: `maximum-requests: it has begun ${requests} requests` };
    }
    if (this.age > 0 && age >= this.age) return { action: 'replace', reason: 'restart_interval', why: `restart-interval: it runs since ${seconds(age)}` };
    if (this.processor > 0 && processor >= this.processor) {
      return { action: 'replace', reason: 'cpu_time_limit', why: `cpu-time-limit: it has used ${seconds(processor)} of processor time` };
    }
    return NONE;
  }

  /** The system has to be asked about the process. */
  get needUsage(): boolean {
    return this.processor > 0 || this.#limits.memoryLimit > 0 || this.#limits.memorySoftLimit > 0;
  }
}

/** `limit`, less by up to `percent`; 0 stays 0. Never more: a limit is a limit. */
export function withJitter(limit: number, percent: number, random: number): number {
  return limit * (1 - (percent / 100) * random);
}

export function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
