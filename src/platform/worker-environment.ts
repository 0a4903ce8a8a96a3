/**
 * Worker threads see the `process.env` of the application that starts them. Node itself would hand them the environment of
 * the server process, and with SHARE_ENV let them change it.
 */
import { syncBuiltinESMExports } from 'node:module';
import workerThreads from 'node:worker_threads';
import type { WorkerOptions } from 'node:worker_threads';

export function shareEnvironmentWithWorkers(): void {
  const { SHARE_ENV } = workerThreads;
  workerThreads.Worker = class Worker extends workerThreads.Worker {
    constructor(script: string | URL, options: WorkerOptions = {}) {
      const { env } = options;
      const inherited = env === undefined || env === null || env === SHARE_ENV || env === process.env;
      super(script, inherited ? { ...options, env: { ...process.env } } : options);
    }
  };
  syncBuiltinESMExports();
}
