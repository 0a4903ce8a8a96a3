/** A worker as its pool sees it. */
import { Ladder } from './ladder.js';
import { WorkerLimits } from './limits.js';
import type { SupervisorConfig } from './config.js';
import type { WorkerProcess } from './worker-process.js';

export class Member {
  readonly worker: WorkerProcess;
  /** Number of the reload that it came with. */
  readonly epoch: number;
  readonly ladder: Ladder;
  readonly limits: WorkerLimits;
  /** Why a fresh one is to take its place; a word that the application is told, too. */
  stale: string | undefined;
  /** It said that a script did not load, before it was ready. */
  loadFailed = false;
  startTimer: NodeJS.Timeout | undefined;

  constructor(worker: WorkerProcess, epoch: number, config: SupervisorConfig) {
    this.worker = worker;
    this.epoch = epoch;
    this.ladder = new Ladder(config, performance.now());
    this.limits = new WorkerLimits(config);
  }

  get starting(): boolean {
    return this.worker.state === 'starting';
  }

  get serving(): boolean {
    return this.worker.state === 'serving';
  }

  /** Neither on its way out nor gone. */
  get live(): boolean {
    return this.starting || this.serving;
  }
}
