// npm test [-- SUITE…] [-- VITEST ARGUMENTS]: sets up, runs the suites and prints the sum as the last line.
//
// Suites: layers (include rules), types, native (C++ unit tests), unit (gateway), integration (real httpd, every MPM), daemon
// (the same files, with applications in process groups), quick and quick-daemon (applications of a few frameworks). `soak`
// and `frameworks` (all frameworks, those of `quick` too) run only when they are named. With NWSGI_TEST_MPM=event (or a list
// with commas) the integration tests use these MPMs only; with NWSGI_TEST_WORKER_NODE=/path/to/node the workers run that Node.
import { join } from 'node:path';
import { provideApacheModules } from './lib/apache-modules.mjs';
import { provideFrontServers } from './lib/front-servers.mjs';
import { provideFrameworks, readableFrameworks } from './lib/frameworks.mjs';
import { provideNodes, readableNodes } from './lib/nodes.mjs';
import { nativeOutput } from './lib/paths.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, main, step } from './lib/steps.mjs';
import { checkLayers, checkTypes, runDoctest, runVitest, summarise } from './lib/suites.mjs';

const defaultSuites = ['layers', 'types', 'native', 'unit', 'integration', 'daemon', 'quick', 'quick-daemon'];
const knownSuites = [...defaultSuites, 'soak', 'frameworks'];

function runSuite(suite, rest, environment) {
  if (suite === 'layers') return checkLayers();
  if (suite === 'types') return checkTypes();
  if (suite === 'native') return runDoctest(join(nativeOutput, 'nwsgi_native_test'));
  return runVitest(suite, rest, environment);
}

/** The Node binaries that the soak tests of process groups run. */
const nodesFor = (suites, rest) => (suites.includes('soak') && (rest.length === 0 || rest.some((argument) => argument.includes('nodes'))) ? provideNodes() : {});

/** Prepares the applications that the suites run, and returns the environment that tells about them. */
function frameworksFor(suites, libnode) {
  if (suites.includes('frameworks')) return provideFrameworks({ libnode });
  return suites.some((suite) => suite.startsWith('quick')) ? provideFrameworks({ libnode, quick: true }) : {};
}

await main(async () => {
  const given = process.argv.slice(2);
  const suites = given.filter((argument) => knownSuites.includes(argument));
  const rest = given.filter((argument) => !knownSuites.includes(argument) && argument !== '--');
  if (suites.length === 0) suites.push(...defaultSuites);
  const usesBrowser = suites.includes('frameworks') && (rest.length === 0 || rest.some((argument) => argument.includes('browser')));
  const browser = usesBrowser ? ['chromium'] : [];
  const { libnode } = await setUp({ packages: [...testPackages, ...browser] });
  if (suites.includes('integration')) await step('NGINX and Caddy', provideFrontServers);
  if (suites.some((suite) => ['integration', 'daemon'].includes(suite))) await step('modules of httpd', provideApacheModules);
  const frameworks = await frameworksFor(suites, libnode);
  const nodes = await nodesFor(suites, rest);
  const results = await withRunnableTree(async (home, folder) => {
    const environment = { NWSGI_TEST_HOME: home, ...readableFrameworks(frameworks, folder), ...readableNodes(nodes, folder) };
    const finished = [];
    for (const suite of suites) {
      console.log(`\n${bold(suite)}`);
      finished.push(await runSuite(suite, rest, environment));
    }
    return finished;
  });
  return summarise(results);
});
