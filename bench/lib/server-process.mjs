// Server processes: on their CPUs, with a log, and ended whatever happens to the benchmark (server-process.c).
import { execFileSync, spawn } from 'node:child_process';
import { openSync, closeSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { benchFolder } from './paths.mjs';
import { familyOf } from './processes.mjs';

export function buildHelper(folder) {
  const target = join(folder, 'server-process');
  execFileSync('cc', ['-O1', join(benchFolder, 'lib', 'server-process.c'), '-o', target]);
  return target;
}

const running = new Set();
let count = 0;

/** Processes of this benchmark that run now: for a benchmark that is interrupted. */
export const stopAll = () => Promise.all([...running].map((started) => started.stop()));

const excerpt = (file) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-12).join('\n') : '');

/** `stop`: the signal that ends the server; `log`: a file of the server's own, besides what it prints. */
export function startProcess(machine, command, args, { env = {}, cwd, stop = 'SIGTERM', log } = {}) {
  const printed = join(machine.folder, `process-${(count += 1)}.log`);
  const out = openSync(printed, 'w');
  const child = spawn(machine.helper, [machine.cpus, command, ...args], { stdio: ['ignore', out, out], cwd, env: { ...process.env, ...machine.env, ...env } });
  closeSync(out);
  const started = {
    pid: child.pid,
    began: performance.now(),
    ended: () => child.exitCode !== null || child.signalCode !== null,
    said: () => [excerpt(printed), log === undefined ? '' : excerpt(log)].filter(Boolean).join('\n'),
    signal: (name) => child.kill(name),
    async stop() {
      running.delete(started);
      if (started.ended()) return;
      const family = familyOf([child.pid]);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill(stop);
      const late = AbortSignal.timeout(10_000);
      await Promise.race([ended, new Promise((resolve) => late.addEventListener('abort', resolve))]);
      await endRest(family);
    },
  };
  child.on('error', () => {});
  running.add(started);
  return started;
}

/** What a server left behind, a second later. */
async function endRest(family) {
  let left = stillThere(family);
  for (let attempt = 0; attempt < 20 && left.length > 0; attempt += 1) {
    await sleep(50);
    left = stillThere(family);
  }
  for (const pid of left) process.kill(pid, 'SIGKILL');
}

/** Those that run: a number that a new process has by now is not one of them. */
function stillThere(family) {
  const now = familyOf([...family.keys()]);
  return [...family].filter(([pid, { began }]) => now.get(pid)?.began === began).map(([pid]) => pid);
}
