// Runs one suite and counts its tests.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { layerViolations } from '../check-layers.mjs';
import { cache, root } from './paths.mjs';
import { filesBelow } from './stamps.mjs';

/** The include rules of the native layers. */
export function checkLayers() {
  const found = layerViolations();
  for (const line of found) console.log(`  ${line}`);
  if (found.length === 0) console.log('  no layer includes what it must not know');
  return { passed: found.length === 0 ? 1 : 0, failed: found.length, skipped: 0 };
}

/** Types of the tests and of the example application, which sees the package as an application author does. */
export async function checkTypes() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, output } = await execute(process.execPath, [tsc, '-p', join(root, 'test'), '--pretty', 'false'], {});
  process.stdout.write(status === 0 ? '  the tests and the example application are well-typed\n' : output.replace(/^(?=.)/gm, '  '));
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

/** The C++ unit tests. */
export async function runDoctest(program, environment = {}) {
  if (!existsSync(program)) {
    const expected = filesBelow(join(root, 'native', 'test'), /\.cc$/).length > 0;
    if (expected) console.log(`  ${program} was not built`);
    return { passed: 0, failed: expected ? 1 : 0, skipped: 0 };
  }
  const { status, output } = await execute(program, ['--no-colors=true'], environment);
  process.stdout.write(output.replace(/^/gm, '  ').trimEnd() + '\n');
  const counts = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(output);
  const [passed, failed, skipped] = counts ? counts.slice(1).map(Number) : [0, 0, 0];
  // A crash ends the program without its summary.
  return { passed, failed: failed === 0 && status !== 0 ? 1 : failed, skipped };
}

function execute(program, args, environment) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ status: 127, output: `${error.message}\n` }));
    child.on('close', (code, signal) => resolve({ status: signal ? 128 : code, output: signal ? `${output}ended by ${signal}\n` : output }));
  });
}

/** A project of vitest.config.ts. `rest`: file filters and other arguments of vitest. */
export async function runVitest(project, rest = [], environment = {}) {
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
    `--reporter=${join(root, 'scripts', 'lib', 'second-attempts.mjs')}`,
    ...rest,
  ];
  const attempts = join(cache, `vitest-${project}-attempts.json`);
  rmSync(attempts, { force: true });
  const status = await new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...environment, NWSGI_TEST_ATTEMPTS: attempts },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
  return { ...countVitest(report, status), ...attemptsOf(attempts, project) };
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

/** What failed, and what passed at the second attempt only. */
function attemptsOf(file, project) {
  if (!existsSync(file)) return {};
  const named = (list) => list.map(({ name, reason }) => `${project}: ${name}${reason ? `: ${reason}` : ''}`);
  const { failed, retried } = JSON.parse(readFileSync(file, 'utf8'));
  return { failures: named(failed), retried: named(retried) };
}

function list(title, lines) {
  if (lines.length > 0) console.log(`\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** Prints the sum of several results as the last line, and returns the exit status that goes with it. */
export function summarise(results) {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const [passed, failed, skipped] = [sum('passed'), sum('failed'), sum('skipped')];
  const collected = (key) => results.flatMap((result) => result[key] ?? []);
  list('Passed at the second attempt only:', collected('retried'));
  list('Failed:', collected('failures'));
  console.log(passed + failed === 0 ? '\nNo test ran.' : '');
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
