// npm test [-- SUITE…] [-- VITEST ARGUMENTS]: sets up, runs the suites and prints the sum as the last line.
//
// Suites: layers (include rules), types, native (C++ unit tests), unit (gateway), integration (real httpd, every MPM). `soak` runs only when
// it is named. With NWSGI_TEST_MPM=event (or a list with commas) the integration tests use these MPMs only.
import { join } from 'node:path';
import { nativeOutput } from './lib/paths.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, main } from './lib/steps.mjs';
import { checkLayers, checkTypes, runDoctest, runVitest, summarise } from './lib/suites.mjs';

const defaultSuites = ['layers', 'types', 'native', 'unit', 'integration'];
const knownSuites = [...defaultSuites, 'soak'];

function runSuite(suite, rest, home) {
  if (suite === 'layers') return checkLayers();
  if (suite === 'types') return checkTypes();
  if (suite === 'native') return runDoctest(join(nativeOutput, 'nwsgi_native_test'));
  return runVitest(suite, rest, { NWSGI_TEST_HOME: home });
}

await main(async () => {
  const given = process.argv.slice(2);
  const suites = given.filter((argument) => knownSuites.includes(argument));
  const rest = given.filter((argument) => !knownSuites.includes(argument) && argument !== '--');
  await setUp({ packages: testPackages });
  const results = await withRunnableTree(async (home) => {
    const finished = [];
    for (const suite of suites.length > 0 ? suites : defaultSuites) {
      console.log(`\n${bold(suite)}`);
      finished.push(await runSuite(suite, rest, home));
    }
    return finished;
  });
  return summarise(results);
});
