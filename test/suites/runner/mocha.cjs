'use strict';
// Runs a file with the mocha that is installed beside the suite.
const { createRequire } = require('node:module');
const path = require('node:path');

exports.run = function run(job, file, outcome, skipped) {
  const ofSuite = createRequire(path.join(job.folder, 'package.json'));
  const Mocha = ofSuite('mocha');
  if (job.mocha.throwDeprecation) process.throwDeprecation = true;
  for (const name of job.mocha.require ?? []) require(path.join(job.folder, name));
  const mocha = new Mocha({ checkLeaks: job.mocha.checkLeaks === true, timeout: 5000, reporter: reporterFor(outcome) });
  mocha.addFile(file);
  mocha.loadFiles();
  mocha.files = [];
  mocha.suite.eachTest((test) => {
    if (skipped.includes(test.fullTitle())) test.pending = true;
  });
  mocha.run((failures) => process.exit(failures > 0 ? 1 : 0));
};

function reporterFor(outcome) {
  return function Reporter(runner) {
    runner.on('pass', (test) => outcome.test(test.fullTitle(), 'passed'));
    runner.on('fail', (test, error) => outcome.test(test.fullTitle(), 'failed', error));
    runner.on('pending', (test) => outcome.test(test.fullTitle(), 'skipped'));
  };
}
