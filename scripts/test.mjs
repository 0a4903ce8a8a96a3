// npm test [-- SUITE…] [-- VITEST ARGUMENTS]: sets up, runs the suites and prints the sum as the last line.
//
// Suites: layers, native (C++ unit tests), unit (gateway), integration (real httpd, every MPM). `soak` runs only when
// it is named. With NWSGI_TEST_MPM=event (or a list with commas) the integration tests use these MPMs only.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { layerViolations } from './check-layers.mjs';
import { cache, nativeOutput, root } from './lib/paths.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, main } from './lib/steps.mjs';
import { filesBelow } from './lib/stamps.mjs';

const defaultSuites = ['layers', 'native', 'unit', 'integration'];
const knownSuites = [...defaultSuites, 'soak'];

await main(async () => {
  const given = process.argv.slice(2);
  const suites = given.filter((argument) => knownSuites.includes(argument));
  const rest = given.filter((argument) => !knownSuites.includes(argument) && argument !== '--');
  await setUp({ packages: testPackages });
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of suites.length > 0 ? suites : defaultSuites) {
    console.log(`\n${bold(suite)}`);
    const result = await runSuite(suite, rest);
    for (const key of Object.keys(total)) total[key] += result[key];
  }
  console.log('');
  const ok = total.failed === 0 && total.passed > 0;
  if (total.passed + total.failed === 0) console.log('No test ran.');
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  return ok ? 0 : 1;
});

function runSuite(suite, rest) {
  if (suite === 'layers') return checkLayers();
  if (suite === 'native') return runDoctest(join(nativeOutput, 'nwsgi_native_test'));
  return runVitest(suite, rest);
}

function checkLayers() {
  const found = layerViolations();
  for (const line of found) console.log(`  ${line}`);
  if (found.length === 0) console.log('  no layer includes what it must not know');
  return { passed: found.length === 0 ? 1 : 0, failed: found.length, skipped: 0 };
}

async function runDoctest(program) {
  if (!existsSync(program)) {
    const expected = filesBelow(join(root, 'native', 'test'), /\.cc$/).length > 0;
    if (expected) console.log(`  ${program} was not built`);
    return { passed: 0, failed: expected ? 1 : 0, skipped: 0 };
  }
  const { status, output } = await execute(program, ['--no-colors=true']);
  process.stdout.write(output.replace(/^/gm, '  ').trimEnd() + '\n');
  const counts = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(output);
  const [passed, failed, skipped] = counts ? counts.slice(1).map(Number) : [0, 0, 0];
  // A crash ends the program without its summary.
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped };
}

function execute(program, args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ status: 127, output: `${error.message}\n` }));
    child.on('close', (code, signal) => resolve({ status: signal ? 128 : code, output: signal ? `${output}ended by ${signal}\n` : output }));
  });
}

async function runVitest(project, rest) {
  const report = join(cache, `vitest-${project}.json`);
  mkdirSync(cache, { recursive: true });
  rmSync(report, { force: true });
  const args = [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--project',
    project,
    '--passWithNoTests',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...rest,
  ];
  const status = await new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('close', (code) => resolve(code ?? 1));
  });
  return countVitest(report, status);
}

function countVitest(file, status) {
  if (!existsSync(file)) return { passed: 0, failed: status === 0 ? 0 : 1, skipped: 0 };
  const report = JSON.parse(readFileSync(file, 'utf8'));
  // A file that cannot be loaded has failed without any test of its own having failed.
  const broken = report.testResults.filter(
    (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  let failed = report.numFailedTests + broken;
  if (failed === 0 && status !== 0) failed = 1;
  return { passed: report.numPassedTests, failed, skipped: report.numPendingTests + report.numTodoTests };
}
