// The benchmark itself; scripts/bench.mjs sets up and calls it.
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { spawnSync } from 'node:child_process';
import { UserError } from '../scripts/lib/steps.mjs';
import { Load } from './lib/load.mjs';
import { availableCpus, describeMachine, shareCpus } from './lib/machine.mjs';
import { benchFolder } from './lib/paths.mjs';
import { Progress } from './lib/progress.mjs';
import { updateReadme, writeResults } from './lib/report.mjs';
import { Runner } from './lib/runner.mjs';
import { buildHelper, stopAll } from './lib/server-process.mjs';
import { profile } from './profile.mjs';
import { checkThresholds } from './thresholds.mjs';

/**
 * Prepares the machine, runs `work` with it, and ends all servers, also when it is interrupted.
 * @param {{home: string, folder: string, packages?: string, node: string, pin: boolean}} options `home`: the built tree;
 *   `folder`: for what the servers need, readable for them; `packages`: a node_modules with the frameworks
 */
async function withMachine({ home, folder, packages, node, pin }, work) {
  const apps = join(folder, 'apps');
  mkdirSync(apps, { recursive: true });
  cpSync(join(benchFolder, 'apps'), apps, { recursive: true });
  if (packages !== undefined && existsSync(packages)) symlinkSync(packages, join(apps, 'node_modules'));
  const described = describeMachine(node);
  const { servers, load: loadCpus } = shareCpus(availableCpus(), pin);
  // This process and its connections belong to the load.
  if (loadCpus !== null) spawnSync('taskset', ['-a', '-p', '-c', loadCpus, String(process.pid)]);
  const machine = { home, folder, apps, node, cpus: servers, helper: buildHelper(folder) };
  const load = new Load(loadCpus);
  const interruption = new AbortController();
  const interrupt = () => {
    interruption.abort(new UserError('interrupted'));
    load.stop();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, interrupt);
  try {
    return await work({ machine, load, signal: interruption.signal, described: { ...described, pinned: loadCpus !== null, servers, load: loadCpus } });
  } finally {
    await stopAll();
    for (const signal of signals) process.removeListener(signal, interrupt);
  }
}

/** @param {{plan: object[], missing: Map<string, string>}} options `missing`: contenders and packages that are not there, and why */
export function measureAll({ plan, missing, ...place }) {
  return withMachine(place, async ({ machine, load, signal, described }) => {
    const results = await new Runner({ machine, load, progress: new Progress(), signal, missing }).run(plan);
    return { machine: described, results };
  });
}

/** @param {{contenders: object[], options: object}} what */
export function profileAll({ contenders, options, ...place }) {
  return withMachine(place, ({ machine, load }) => profile({ machine, load, contenders, options }));
}

/**
 * Writes the results: those of a complete run to bench/results, others to bench/results/partial, which git ignores.
 * @returns {{checks: object[], files: string[]}}
 */
export function reportOn({ results, machine, plan, scenarios, contenders, missing, options, commit }) {
  const present = contenders.filter(({ name }) => !missing.has(name) && results.some(({ contender }) => contender === name));
  const run = {
    date: new Date().toISOString(),
    commit,
    options,
    machine,
    scenarios,
    applications: new Map(plan.map(({ application }) => [application.name, application])),
    contenders: present.map(({ name, title, version }) => ({ name, title, version: version?.() })),
    missing: [...missing],
    results,
    checks: checkThresholds(results),
  };
  const complete = !options.quick && options.only.length === 0;
  const folder = join(benchFolder, 'results', ...(complete ? [] : ['partial']));
  const files = writeResults(folder, run).map((name) => relative(process.cwd(), join(folder, name)));
  if (options.updateReadme) {
    updateReadme(join(benchFolder, '..', 'README.md'), run);
    files.push('README.md');
  }
  return { checks: run.checks, files };
}
