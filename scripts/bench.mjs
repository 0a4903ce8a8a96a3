// npm run bench [-- OPTIONS]: sets up, installs what is compared, measures (bench/), and writes bench/results. See docs/benchmarks.md.
import { join } from 'node:path';
import { provideContenders } from './lib/contenders.mjs';
import { provideFrameworks, readableFrameworks } from './lib/frameworks.mjs';
import { root } from './lib/paths.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp } from './lib/setup.mjs';
import { bold, capture, green, main, red } from './lib/steps.mjs';

/** The commit that is measured; undefined outside of a checkout. */
function commit() {
  const { status, stdout } = capture('git', ['rev-parse', '--short', 'HEAD']);
  return status === 0 ? stdout.trim() : undefined;
}

/** Prints what was wanted and what was seen. */
function printChecks(checks) {
  if (checks.length > 0) console.log(`\n${bold('What it must show')}`);
  for (const { what, title, wanted, seen, held } of checks) {
    console.log(`  ${held ? green('✓') : red('✗')} ${what}: ${title}: wanted ${wanted}, seen ${seen}`);
  }
}

function printList(scenarios, contenders, presets) {
  const print = (title, names) => console.log(`${bold(title)}\n${names.map((name) => `  ${name}`).join('\n')}`);
  for (const { name, title, applications, cases } of scenarios) {
    const names = applications.map((application) => application.name ?? application);
    print(`scenario ${name}: ${title}`, [`applications: ${names.join(', ')}`, `cases: ${cases.map((one) => one.name).join(', ')}`]);
  }
  print('contenders', contenders.map(({ name, title }) => `${name}: ${title}`));
  print('selections', Object.entries(presets).map(([name, patterns]) => `${name}: ${patterns.join(' ')}`));
}

/** Runs `work` with what the servers need: the built tree, the packages of the frameworks, a node of the embedded version. */
async function withServers(libnode, options, work) {
  const frameworks = await provideFrameworks({ libnode, quick: true });
  return withRunnableTree((home, folder) => {
    const { NWSGI_TEST_FRAMEWORKS: prepared, NWSGI_TEST_NODE: node } = readableFrameworks(frameworks, folder);
    return work({ home, folder, packages: join(prepared, 'shared', 'node_modules'), node, pin: options.pin });
  });
}

async function measure(options, libnode) {
  const { loadContenders, loadScenarios, makePlan, unmatched } = await import('../bench/lib/plan.mjs');
  const { presets } = await import('../bench/lib/options.mjs');
  const { measureAll, profileAll, reportOn } = await import('../bench/run.mjs');
  const contenders = await loadContenders();
  const scenarios = await loadScenarios();
  if (options.list) return printList(scenarios, contenders, presets);
  if (options.profile !== undefined) return withServers(libnode, options, (place) => profileAll({ ...place, contenders, options }));
  const plan = makePlan(scenarios, contenders, options);
  unmatched(plan, options.only);
  const missing = await provideContenders(plan);
  for (const [name, reason] of missing) console.log(`  ${red('missing')} ${name}: ${reason.split('\n')[0]}`);
  const run = await withServers(libnode, options, (place) => measureAll({ ...place, plan, missing }));
  const { checks, files } = reportOn({ ...run, plan, scenarios, contenders, missing, options, commit: commit() });
  printChecks(checks);
  console.log(`\nWritten: ${files.join(', ')}`);
  return options.check && (checks.length === 0 || checks.some(({ held }) => !held)) ? 1 : 0;
}

await main(async () => {
  const { libnode } = await setUp({ packages: ['wrk', 'curl'] });
  // What follows imports npm packages, which are there now.
  const { parseOptions } = await import('../bench/lib/options.mjs');
  return measure(parseOptions(process.argv.slice(2)), libnode);
});
