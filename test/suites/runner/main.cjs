'use strict';
// Runs one file of a suite in this Node, be it a process of its own (the reference) or an environment inside httpd, and
// writes what came of it to `job.result`.
//
// job: {file, folder, framework, result, limit, env, mocha, ports?: {plain: number[], tls: number[]}}

const fs = require('node:fs');
const path = require('node:path');
const { Module } = require('node:module');
const { Outcome } = require('./outcome.cjs');

/** Inside httpd; in the environment that replaces an ended one, too, where nothing is left to do. Resolves when a server listens. */
exports.runOnce = function runOnce(job) {
  try {
    fs.writeFileSync(job.result, '{}', { flag: 'wx' });
  } catch {
    return undefined;
  }
  return new Promise((listens) => setImmediate(run, job, listens));
};

function run(job, listens) {
  Object.assign(process.env, job.env);
  const outcome = new Outcome(job);
  // What the environment itself keeps alive is not the test's.
  const servers = job.ports === undefined ? undefined : require('./ports.cjs').useFrom(job.ports, listens);
  if (servers !== undefined) require('./idle.cjs').watch(servers, outcome, job);
  // Node's tests set it first of all; inside httpd it is the server's.
  process.umask = () => 0o022;
  const file = path.join(job.folder, job.file);
  process.argv = [process.argv[0], file];
  process.chdir(job.folder);
  // Tests of which others would suffer.
  const skipped = job.ports === undefined ? [] : job.skip;
  if (job.framework === 'mocha') require('./mocha.cjs').run(job, file, outcome, skipped);
  else {
    if (job.ports !== undefined) require('./host.cjs').addWhereMissing();
    require('./node-test.cjs').complete(skipped);
    Module._load(file, null, true);
  }
}

// The reference runs: node main.cjs JOB
if (require.main === module) run(JSON.parse(fs.readFileSync(process.argv[2], 'utf8')));
