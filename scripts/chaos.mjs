// npm run test:chaos [-- [--seconds N] [--seed S] [--mode embedded|daemon] [--park Auto|Off|0]]: random clients against a real httpd
// (test/integration/soak/schedules.test.ts) for N seconds in each mode with each setting of WSGIParkAfter. A failure prints its
// seed; with that the same clients ask for the same things again, though not at the same times.
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { main, UserError } from './lib/steps.mjs';
import { runVitest, summarise } from './lib/suites.mjs';

const variables = { seconds: 'NWSGI_CHAOS_SECONDS', seed: 'NWSGI_CHAOS_SEED', mode: 'NWSGI_CHAOS_MODE', park: 'NWSGI_CHAOS_PARK' };

function settings(args) {
  const environment = { NWSGI_CHAOS_SECONDS: '60' };
  for (let i = 0; i < args.length; i += 2) {
    const variable = variables[args[i].replace(/^--/, '')];
    if (variable === undefined || args[i + 1] === undefined) throw new UserError(`"${args[i]}": give --seconds, --seed, --mode or --park with a value`);
    environment[variable] = args[i + 1];
  }
  return environment;
}

await main(async () => {
  const environment = settings(process.argv.slice(2).filter((argument) => argument !== '--'));
  await setUp({ packages: testPackages });
  return withRunnableTree(async (home) => summarise([await runVitest('soak', ['schedules'], { ...environment, NWSGI_TEST_HOME: home })]));
});
