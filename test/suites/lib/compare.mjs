// Compares results inside httpd with those of plain Node. A test counts when it passes in plain Node; a file whose tests
// cannot be told apart is one test.
const key = (file, title) => `${file}\n${title}`;

/** @returns {{files: object, tests: object, failures: {file: string, title?: string, why: string}[], uncounted: string[]}} */
export function compare(files, expected, found) {
  const failures = [];
  const uncounted = [];
  const sums = { files: { run: 0, passed: 0 }, tests: { run: 0, passed: 0 } };
  for (const file of files) {
    const before = units(file, expected[file]);
    const now = units(file, found[file]);
    const counted = [...before].filter(([, test]) => test.state === 'passed');
    if (counted.length === 0) {
      uncounted.push(file);
      continue;
    }
    const failed = counted.filter(([name]) => now.get(name)?.state !== 'passed');
    // A file may fail as a whole, although all of its tests passed.
    const broken = failed.length === 0 && expected[file].passed && !found[file].passed;
    sums.files.run += 1;
    sums.files.passed += failed.length === 0 && !broken ? 1 : 0;
    sums.tests.run += counted.length;
    sums.tests.passed += counted.length - failed.length;
    for (const [name, test] of failed) failures.push({ file, title: test.title, why: now.get(name)?.error ?? found[file].why ?? 'not run' });
    if (broken) failures.push({ file, why: found[file].why ?? 'the file failed' });
  }
  return { ...sums, failures, uncounted };
}

/** The tests of a file by a name that is unique in it; the file itself when it has none. */
function units(file, result) {
  const tests = result.tests.length > 0 ? result.tests : [{ title: undefined, state: result.passed ? 'passed' : 'failed', error: result.why }];
  const seen = new Map();
  for (const test of tests) {
    let name = key(file, test.title);
    while (seen.has(name)) name += "'";
    seen.set(name, test);
  }
  return seen;
}

/** How differences.json names a failure. */
export const nameOf = ({ file, title }) => (title === undefined ? file : `${file} › ${title}`);

/** Prints what failed and is not explained in differences.json, and the sums. @param {Record<string, string[]>} explained names by reason */
export function printComparison({ files, tests, failures, uncounted }, explained) {
  const known = new Set(Object.values(explained).flat());
  const surprising = failures.filter((failure) => !known.has(failure.file) && !known.has(nameOf(failure)));
  for (const failure of surprising) console.log(`  ✗ ${nameOf(failure)}\n      ${failure.why.split('\n').slice(0, 3).join('\n      ')}`);
  if (uncounted.length > 0) console.log(`  not counted, because they fail in plain Node too: ${uncounted.join(', ')}`);
  const explainedCount = failures.length - surprising.length;
  console.log(`  files: ${files.passed} of ${files.run} pass; tests: ${tests.passed} of ${tests.run}; ${explainedCount} failures are explained, ${surprising.length} are not`);
  return { passed: tests.passed, failed: surprising.length, skipped: explainedCount };
}
