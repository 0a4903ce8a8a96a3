// npm run test:sanitize [-- [--thread] VITEST ARGUMENTS]: builds the native parts with AddressSanitizer and UndefinedBehaviorSanitizer
// into build-sanitize/, or with ThreadSanitizer into build-thread/, runs the C++ unit tests and tests with a real httpd with
// them, and fails when anything was reported. Only our own objects are instrumented; httpd, Node and V8 are as they are.
//
// Without arguments: the integration tests (with --thread those in which threads meet), what parks once more with everything parked,
// in both modes, and the random clients of npm run test:chaos. With arguments: those files of the integration tests.
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideLibnode } from './lib/libnode.mjs';
import { withBuildLock } from './lib/lock.mjs';
import { buildNative } from './lib/native.mjs';
import { root } from './lib/paths.mjs';
import { sanitizers } from './lib/sanitizers.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, main, step } from './lib/steps.mjs';
import { runDoctest, runVitest, summarise } from './lib/suites.mjs';

const fileNames = (...names) => names.map((name) => `test/integration/${name}`);
const parking = fileNames('parking', 'streaming.test', 'ends.test', 'input-transfer', 'upgrade.test', 'websocket.test', 'framing.test', 'lifecycle.test');
/** Where threads of the server, of environments and of Python meet. */
const threads = [
  ...parking,
  ...fileNames('smoke', 'faults', 'transmission', 'groups', 'reload', 'lifecycle-restarts', 'platform-workers', 'node-http.test'),
  ...fileNames('daemon/dispatch', 'python/streaming', 'python/timeouts', 'python/stopping', 'python/signals'),
];
const everythingParks = { NWSGI_TEST_MPM: 'event', NWSGI_TEST_PARK_AFTER: '0' };

/** What runs: a title, vitest's project, its arguments, more environment. */
function runs(kind, rest) {
  const wanted = kind === 'thread' ? { NWSGI_TEST_MPM: process.env.NWSGI_TEST_MPM ?? 'event' } : {};
  if (rest.length > 0) return [['integration', 'integration', rest, wanted]];
  return [
    ['integration', 'integration', kind === 'thread' ? threads : [], wanted],
    ['everything parked', 'integration', [...parking, ...fileNames('python/streaming')], everythingParks],
    ['everything parked, process groups', 'daemon', parking, everythingParks],
    ['random clients', 'soak', ['schedules'], { NWSGI_CHAOS_SECONDS: process.env.NWSGI_CHAOS_SECONDS ?? '30' }],
  ];
}

function readReports(reports) {
  const names = readdirSync(reports).filter((name) => name !== 'suppressions');
  return names.map((name) => ({ name, text: readFileSync(join(reports, name), 'utf8').slice(0, 12_000) }));
}

await main(async () => {
  const given = process.argv.slice(2).filter((argument) => argument !== '--');
  const kind = given.includes('--thread') ? 'thread' : 'address';
  const rest = given.filter((argument) => argument !== '--thread');
  const { flags, folder, environment, libraries, title } = sanitizers[kind];
  await setUp({ packages: testPackages });
  const libnode = await provideLibnode();
  await withBuildLock(() => step(`build with ${title}`, () => buildNative(libnode, { folder, sanitize: flags })));

  // Children of Apache run as another user: everybody may write reports here.
  const reports = mkdtempSync(join(tmpdir(), 'nwsgi-sanitize-'));
  chmodSync(reports, 0o1777);
  try {
    console.log(`\n${bold('native')}`);
    const results = [await runDoctest(join(folder, 'Release', 'nwsgi_native_test'), environment(reports, { leaks: true }))];
    await withRunnableTree(async (home) => {
      for (const [name, project, args, more] of runs(kind, rest)) {
        console.log(`\n${bold(name)}`);
        results.push(
          await runVitest(project, args, {
            ...environment(reports, { leaks: false }),
            NWSGI_TEST_HOME: home,
            NWSGI_TEST_OUTPUT: join(folder, 'Release').slice(root.length + 1),
            NWSGI_TEST_PRELOAD: libraries().join(' '),
            NWSGI_TEST_MPM: process.env.NWSGI_TEST_MPM ?? 'event,prefork',
            NWSGI_TEST_SANITIZE: '1',
            ...more,
          }),
        );
      }
    });
    const found = readReports(reports);
    for (const { name, text } of found) console.log(`\n${bold(name)}\n${text}`);
    console.log(found.length === 0 ? `\n${title} reported nothing.` : `\nReports of ${title}: ${found.length}.`);
    return summarise([...results, { passed: found.length === 0 ? 1 : 0, failed: found.length, skipped: 0 }]);
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
});
