// Runs the files of a suite: in a Node process of their own (the reference) and inside httpd.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../../scripts/lib/paths.mjs';
import { runInHttpd } from './httpd.mjs';
import { suitesCache } from './sources.mjs';
import { testsOf } from './tap.mjs';

const runner = join(root, 'test', 'suites', 'runner', 'main.cjs');
const LIMIT = 15_000;

/** The options of Node that a file asks for in a comment at its top. */
export function flagsOf(folder, file) {
  const match = /^\/\/ Flags:(.*)$/m.exec(readFileSync(join(folder, file), 'utf8'));
  return match ? match[1].trim().split(/\s+/) : [];
}

const jobFor = (suite, folder, file) => ({
  file,
  folder,
  framework: suite.framework,
  mocha: suite.mocha,
  skip: suite.skip ?? [],
  limit: LIMIT,
  env: { NODE_ENV: 'test', NODE_SKIP_FLAG_CHECK: '1' },
});

/** Results of the files in plain Node; kept, because only the tests that pass there count. */
export async function reference(name, suite, folder, files, { node, fresh, note }) {
  const file = join(suitesCache, `reference-${name}.json`);
  const known = !fresh && existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const missing = files.filter((path) => known[path] === undefined);
  let done = 0;
  await inParallel(2, missing, async (path) => {
    note(`${++done} of ${missing.length}`);
    known[path] = await runInNode(node, jobFor(suite, folder, path));
  });
  writeFileSync(file, JSON.stringify(known, null, 1));
  return known;
}

async function runInNode(node, job) {
  const scratch = mkdtempSync(join(tmpdir(), 'nwsgi-reference-'));
  try {
    const result = join(scratch, 'result.json');
    const test = join(scratch, 'files');
    mkdirSync(test);
    const whole = { ...job, result, env: { ...job.env, NODE_TEST_DIR: test, TMPDIR: test } };
    const description = join(scratch, 'job.json');
    writeFileSync(description, JSON.stringify(whole));
    const child = spawn(node, [...flagsOf(job.folder, job.file), runner, description], { cwd: job.folder, stdio: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), job.limit);
    await new Promise((done) => child.on('exit', done));
    clearTimeout(timer);
    return conclude(job, existsSync(result) ? JSON.parse(readFileSync(result, 'utf8')) : null);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Results of the files inside httpd, a few at a time; files that need the same options of Node share a server. */
export async function inside(suite, folder, files, { home, batch, keep, note, save }) {
  const results = {};
  const byFlags = new Map();
  for (const file of files) {
    const key = JSON.stringify(flagsOf(folder, file));
    byFlags.set(key, [...(byFlags.get(key) ?? []), file]);
  }
  const certificate = suite.certificate && { cert: join(folder, suite.certificate.cert), key: join(folder, suite.certificate.key) };
  let done = 0;
  for (const [key, group] of byFlags) {
    for (let start = 0; start < group.length; start += batch) {
      const some = group.slice(start, start + batch);
      note(`${(done += some.length)} of ${files.length}`);
      const jobs = some.map((file) => jobFor(suite, folder, file));
      const ends = await runInHttpd(jobs, { home, flags: JSON.parse(key), certificate, h2c: suite.h2c, cwd: folder, keep });
      ends.forEach(({ state, log }, index) => {
        results[some[index]] = { ...conclude(jobs[index], state), log: state?.ended && state.code === 0 ? undefined : log.slice(-6000) };
      });
      save(results);
    }
  }
  return results;
}

/** One form for all: did the file pass, and which tests are in it. */
function conclude(job, state) {
  if (!state?.tests) return { passed: false, why: 'ended without a result', tests: [] };
  const tests = job.framework === 'mocha' ? state.tests : testsOf(state.output);
  // Node's own tests say in TAP that they cannot run here.
  const passed = state.ended && state.code === 0 && !/^1\.\.0 # Skipped/m.test(state.output);
  const why = passed ? undefined : state.timeout ? `not finished in time: ${state.timeout.join(', ')}` : (state.error ?? `exit status ${state.code}`);
  return { passed, why, tests, output: passed ? undefined : state.output.slice(-4000) };
}

async function inParallel(width, items, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
