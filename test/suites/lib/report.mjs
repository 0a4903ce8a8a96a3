// Writes the figures of the last runs, and the reasons of failures, into docs/compatibility.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../../scripts/lib/paths.mjs';
import { compare, nameOf } from './compare.mjs';
import { suitesCache } from './sources.mjs';

const page = join(root, 'docs', 'compatibility.md');

/** @param {Record<string, object>} suites of the manifest */
export function writeReport(suites, { exclusions, differences }) {
  const results = Object.entries(suites).flatMap(([name, suite]) => resultOf(name, suite, Object.values(exclusions[name] ?? {}).flat()));
  const text = readFileSync(page, 'utf8');
  const sections = { results: table(results), failures: failures(results, differences), exclusions: excluded(exclusions) };
  const filled = Object.entries(sections).reduce((page, [name, lines]) => replaceSection(page, name, lines), text);
  writeFileSync(page, filled);
}

function resultOf(name, suite, excluded) {
  const [reference, inside] = ['reference', 'inside'].map((kind) => join(suitesCache, `${kind}-${name}.json`));
  if (!existsSync(reference) || !existsSync(inside)) return [];
  const [expected, found] = [reference, inside].map((file) => JSON.parse(readFileSync(file, 'utf8')));
  const files = Object.keys(found).filter((file) => expected[file] !== undefined && !excluded.includes(file));
  return [{ name, suite, ...compare(files, expected, found) }];
}

function replaceSection(text, name, lines) {
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->\n`];
  const [before, rest] = text.split(start);
  const after = rest.split(end)[1];
  return `${before}${start}${lines.join('\n')}\n${end}${after}`;
}

const share = ({ run, passed }) => (run === 0 ? '' : `${((passed / run) * 100).toFixed(1)} %`);

function table(results) {
  const rows = results.map(
    ({ suite, files, tests }) => `| ${suite.title} | ${suite.version} | ${files.run} | ${tests.run} | ${tests.passed} | ${tests.run - tests.passed} | ${share(tests)} |`,
  );
  return ['| suite | version | files | tests | pass | fail | |', '|---|---|---:|---:|---:|---:|---:|', ...rows];
}

/** By reason: which tests of which suite. */
function failures(results, differences) {
  const lines = [];
  for (const { name, suite, failures } of results) {
    if (failures.length === 0) continue;
    lines.push(`**${suite.title}**`, '');
    const open = new Map(failures.map((failure) => [nameOf(failure), failure]));
    for (const [reason, names] of Object.entries(differences[name] ?? {})) {
      const met = names.flatMap((known) => [...open.keys()].filter((key) => key === known || open.get(key).file === known));
      for (const key of met) open.delete(key);
      if (met.length > 0) lines.push(`* ${reason} (${met.length}: ${listed(met)})`);
    }
    if (open.size > 0) lines.push(`* Not explained yet (${open.size}: ${listed([...open.keys()])})`);
    lines.push('');
  }
  return lines.slice(0, -1);
}

/** File names, with the number of tests where it is more than one. */
function listed(names) {
  const counts = new Map();
  for (const name of names) {
    const file = shortName(name.split(' › ')[0]);
    counts.set(file, (counts.get(file) ?? 0) + 1);
  }
  return [...counts].map(([file, count]) => `\`${file}\`${count > 1 ? ` ${count}×` : ''}`).join(', ');
}

const shortName = (file) => file.replace(/^test\/(parallel\/test-http-)?/, '').replace(/(\.test)?\.js$/, '');

function excluded(exclusions) {
  return Object.values(exclusions).flatMap((reasons) =>
    Object.entries(reasons).map(([reason, files]) => `* ${reason} (${files.length}: ${listed(files)})`),
  );
}
