// npm run test:sanitize [-- VITEST ARGUMENTS]: builds the native parts with AddressSanitizer and UndefinedBehaviorSanitizer into
// build-sanitize/, runs the C++ unit tests and the integration tests with them, and fails when anything was reported.
// Only our own objects are instrumented; httpd, Node and V8 are as they are.
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideLibnode } from './lib/libnode.mjs';
import { withBuildLock } from './lib/lock.mjs';
import { buildNative } from './lib/native.mjs';
import { root } from './lib/paths.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, capture, main, step } from './lib/steps.mjs';
import { runDoctest, runVitest, summarise } from './lib/suites.mjs';

const folder = join(root, 'build-sanitize');

function environment(reports, { leaks }) {
  return {
    // What httpd's pools, libnode and V8 still hold at exit is no leak of ours, and their memory is not ours to judge.
    ASAN_OPTIONS: [
      `log_path=${join(reports, 'asan')}`,
      `detect_leaks=${leaks ? 1 : 0}`,
      'detect_odr_violation=0',
      'alloc_dealloc_mismatch=0',
      'allow_user_segv_handler=1',
      'abort_on_error=1',
      'disable_coredump=1',
    ].join(':'),
    UBSAN_OPTIONS: `log_path=${join(reports, 'ubsan')}:print_stacktrace=1`,
  };
}

const runtimeLibrary = (name) => capture('g++', [`-print-file-name=${name}`]).stdout.trim();

function readReports(reports) {
  return readdirSync(reports).map((name) => ({ name, text: readFileSync(join(reports, name), 'utf8').slice(0, 8000) }));
}

await main(async () => {
  const rest = process.argv.slice(2).filter((argument) => argument !== '--');
  await setUp({ packages: testPackages });
  const libnode = await provideLibnode();
  await withBuildLock(() => step('sanitized build', () => buildNative(libnode, { folder, sanitize: 'address,undefined' })));

  // Children of Apache run as another user: everybody may write reports here.
  const reports = mkdtempSync(join(tmpdir(), 'nwsgi-sanitize-'));
  chmodSync(reports, 0o1777);
  try {
    console.log(`\n${bold('native')}`);
    const native = await runDoctest(join(folder, 'Release', 'nwsgi_native_test'), environment(reports, { leaks: true }));
    console.log(`\n${bold('integration')}`);
    const integration = await withRunnableTree((home) =>
      runVitest('integration', rest, {
        ...environment(reports, { leaks: false }),
        NWSGI_TEST_HOME: home,
        NWSGI_TEST_OUTPUT: 'build-sanitize/Release',
        NWSGI_TEST_PRELOAD: ['libasan.so', 'libubsan.so'].map(runtimeLibrary).join(' '),
        NWSGI_TEST_MPM: process.env.NWSGI_TEST_MPM ?? 'event,prefork',
        NWSGI_TEST_SANITIZE: '1',
      }),
    );
    const found = readReports(reports);
    for (const { name, text } of found) console.log(`\n${bold(name)}\n${text}`);
    console.log(found.length === 0 ? '\nThe sanitizers reported nothing.' : `\n${found.length} sanitizer reports.`);
    return summarise([native, integration, { passed: found.length === 0 ? 1 : 0, failed: found.length, skipped: 0 }]);
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
});
