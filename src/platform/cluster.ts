/**
 * `cluster` for applications in Apache: there is nothing to fork, because Apache has the processes. Programs and libraries
 * that ask are told that they are the primary; the workers they start stay silent.
 */
import { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { Worker } from 'node:cluster';
import { syncBuiltinESMExports } from 'node:module';
import { logText, Problem } from '../errors.js';
import { LogLevel } from '../native.js';
import type { NativeBridge } from '../native.js';

let forked = false;

/** Whether an application has tried to start workers. */
export function hasForked(): boolean {
  return forked;
}

export function explainCluster(bridge: NativeBridge): void {
  const own = cluster as unknown as { fork(env?: unknown): Worker; Worker: new (options: object) => Worker };
  let id = 0;
  own.fork = () => {
    if (!forked) {
      forked = true;
      bridge.log(0, LogLevel.warning, logText(Problem.clusterFork, 'cluster.fork()'));
    }
    cluster.setupPrimary();
    id += 1;
    const worker = new own.Worker({ id, state: 'none', process: silentProcess() });
    (cluster.workers as Record<string, Worker>)[id] = worker;
    return worker;
  };
  syncBuiltinESMExports();
}

/** A child process that was never started: not connected, not dead, deaf. */
function silentProcess(): ChildProcess {
  const child = new (ChildProcess as unknown as new () => ChildProcess)();
  return Object.assign(child, { connected: false, send: () => false, disconnect: () => undefined });
}
