// The benchmark itself; scripts/bench.mjs sets up and calls it.
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { Load } from './lib/load.mjs';
import { availableCpus, describeMachine, shareCpus } from './lib/machine.mjs';
import { benchFolder } from './lib/paths.mjs';
import { Progress } from './lib/progress.mjs';
import { Runner } from './lib/runner.mjs';
import { buildHelper, stopAll } from './lib/server-process.mjs';

/**
 * @param {{plan: object[], home: string, folder: string, packages?: string, node: string, missing: Map<string, string>, pin: boolean}} options
 *   `home`: the built tree; `folder`: for what the servers need, readable for them; `packages`: a node_modules with the frameworks;
 *   `missing`: contenders and packages that are not there, and why
 */
export async function measureAll({ plan, home, folder, packages, node, missing, pin }) {
  const apps = join(folder, 'apps');
  mkdirSync(apps, { recursive: true });
  cpSync(join(benchFolder, 'apps'), apps, { recursive: true });
  if (packages !== undefined && existsSync(packages)) symlinkSync(packages, join(apps, 'node_modules'));
  const { servers, load: loadCpus } = shareCpus(availableCpus(), pin);
  // This process and its connections belong to the load.
  if (loadCpus !== null) spawnSync('taskset', ['-a', '-p', '-c', loadCpus, String(process.pid)]);
  const machine = { home, folder, apps, node, cpus: servers, helper: buildHelper(folder) };
  const load = new Load(loadCpus);
  const interruption = new AbortController();
  const interrupt = () => {
    interruption.abort(new Error('interrupted'));
    load.stop();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, interrupt);
  try {
    const runner = new Runner({ machine, load, progress: new Progress(), signal: interruption.signal, missing });
    const results = await runner.run(plan);
    return { machine: { ...describeMachine(node), pinned: loadCpus !== null, servers, load: loadCpus }, results };
  } finally {
    await stopAll();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(signal, interrupt);
  }
}
