// npm run bench [-- OPTIONS]: sets up, installs what is compared, measures (bench/), and writes bench/results. See docs/benchmarks.md.
import { join } from 'node:path';
import { provideContenders } from './lib/contenders.mjs';
import { provideFrameworks, readableFrameworks } from './lib/frameworks.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp } from './lib/setup.mjs';
import { main } from './lib/steps.mjs';

await main(async () => {
  const { libnode } = await setUp({ packages: ['wrk', 'curl'] });
  // These import npm packages, which are there now.
  const { parseOptions } = await import('../bench/lib/options.mjs');
  const { loadContenders, loadScenarios, makePlan } = await import('../bench/lib/plan.mjs');
  const { measureAll } = await import('../bench/run.mjs');
  const options = parseOptions(process.argv.slice(2));
  const contenders = await loadContenders();
  const scenarios = await loadScenarios();
  const plan = makePlan(scenarios, contenders, options);
  const frameworks = await provideFrameworks({ libnode, quick: true });
  const missing = await provideContenders(plan);
  return withRunnableTree(async (home, folder) => {
    const { NWSGI_TEST_FRAMEWORKS: prepared, NWSGI_TEST_NODE: node } = readableFrameworks(frameworks, folder);
    await measureAll({ plan, home, folder, packages: join(prepared, 'shared', 'node_modules'), node, missing, pin: options.pin });
    return 0;
  });
});
