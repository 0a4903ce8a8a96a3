// npm run test:suites [-- SUITE…] [--file TEXT] [--reference] [--fresh] [--again] [--batch N] [--keep] [--report]
//
// --again: only files that did not pass last time. --fresh: reference runs too.
//
// Runs test suites of frameworks and of Node itself inside httpd and compares with a plain Node of the same version. Their
// sources are fetched into .cache/suites. docs/compatibility.md explains the figures.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, printComparison } from '../test/suites/lib/compare.mjs';
import { inside, reference } from '../test/suites/lib/run.mjs';
import { writeReport } from '../test/suites/lib/report.mjs';
import { filesOf, provideNode, provideSuite, suitesCache } from '../test/suites/lib/sources.mjs';
import { suites } from '../test/suites/manifest.mjs';
import { root } from './lib/paths.mjs';
import { withRunnableTree } from './lib/server-root.mjs';
import { setUp, testPackages } from './lib/setup.mjs';
import { bold, main, step, UserError } from './lib/steps.mjs';
import { summarise } from './lib/suites.mjs';

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      file: { type: 'string', multiple: true },
      reference: { type: 'boolean' },
      fresh: { type: 'boolean' },
      again: { type: 'boolean' },
      batch: { type: 'string', default: '4' },
      keep: { type: 'boolean' },
      report: { type: 'boolean' },
    },
  });
  const unknown = positionals.find((name) => suites[name] === undefined);
  if (unknown) throw new UserError(`There is no suite ${unknown}. Known: ${Object.keys(suites).join(', ')}`);
  return { ...values, names: positionals.length > 0 ? positionals : Object.keys(suites), batch: Number(values.batch) };
}

const readList = (name) => JSON.parse(readFileSync(join(root, 'test', 'suites', name), 'utf8'));
/** Files that are not run, by reason. */
const exclusions = readList('exclusions.json');
/** Failures with an explanation, by that. */
const differences = readList('differences.json');

/** Files of the suite, without those that are excluded for a reason. */
function chooseFiles(name, suite, folder, wanted) {
  const excluded = new Set(Object.values(exclusions[name] ?? {}).flat());
  const all = filesOf(suite, folder);
  const gone = [...excluded].find((file) => !all.includes(file));
  if (gone) throw new UserError(`test/suites/exclusions.json names ${gone}, which ${suite.title} ${suite.version} does not have.`);
  return all.filter((file) => (wanted ? wanted.some((text) => file.includes(text)) : !excluded.has(file)));
}

async function runSuite(name, options, { home, node }) {
  const suite = suites[name];
  console.log(`\n${bold(`${suite.title} ${suite.version}`)}`);
  let folder;
  await step('sources', async () => {
    folder = await provideSuite(name, suite);
  });
  const files = chooseFiles(name, suite, folder, options.file);
  let expected;
  await step('in a process of its own', async (note) => {
    expected = await reference(name, suite, folder, files, { node, fresh: options.fresh, note });
    const failed = files.filter((file) => !expected[file].passed);
    return `${files.length - failed.length} of ${files.length} files pass`;
  });
  if (options.reference) return { passed: files.length, failed: 0, skipped: 0 };
  const file = join(suitesCache, `inside-${name}.json`);
  const last = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const chosen = options.again ? files.filter((path) => !last[path]?.passed) : files;
  const kept = options.again || options.file ? last : {};
  // A run that is interrupted has still written what it found.
  const save = (results) => writeFileSync(file, JSON.stringify({ ...kept, ...results }, null, 1));
  let found;
  await step('inside httpd', async (note) => {
    found = { ...kept, ...(await inside(suite, folder, chosen, { home, batch: options.batch, keep: options.keep, note, save })) };
  });
  return printComparison(compare(files, expected, found), differences[name] ?? {});
}

await main(async () => {
  const options = readOptions();
  if (options.report) {
    writeReport(suites, { exclusions, differences });
    return 0;
  }
  const { libnode } = await setUp({ packages: testPackages });
  mkdirSync(suitesCache, { recursive: true });
  const node = await provideNode(libnode.version);
  if (!existsSync(node)) throw new UserError(`npm has no Node ${libnode.version} for this machine.`);
  return withRunnableTree(async (home) => {
    const results = [];
    for (const name of options.names) results.push(await runSuite(name, options, { home, node }));
    return summarise(results);
  });
});
