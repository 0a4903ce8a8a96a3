// A run as Markdown and JSON, and the README's part of it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable } from 'markdown-table';
import { figureOf, figures } from './figures.mjs';
import { drawRequests } from './plot.mjs';
import { ratios, spread } from './statistics.mjs';

/** Titles such as "<Location>" are text, not HTML. */
const table = (rows, options) => markdownTable(rows.map((row) => row.map((cell) => cell.replaceAll('<', '&lt;'))), options);

const subject = 'nwsgi-embedded';

/** Figures that are compared with ours, and what the ratio is called. */
const compared = { rate: 'throughput', cpu: 'CPU', seconds: 'time', cpuSeconds: 'CPU' };

const align = (count) => ['l', ...Array.from({ length: count }, () => 'r')];
const writeRatio = ({ median, least, most, rounds }) => `× ${median.toFixed(2)}${rounds > 1 ? ` (${least.toFixed(2)} … ${most.toFixed(2)})` : ''}`;

/** "45,210 (44,870 … 45,300)" */
function writeSpread(figure, numbers) {
  const seen = spread(numbers);
  if (seen === null) return '';
  return seen.rounds > 1 ? `${figure.write(seen.median)} (${figure.write(seen.least)} … ${figure.write(seen.most)})` : figure.write(seen.median);
}

const roundsOf = (result, name) => result.rounds.map((round) => round[name]);
const isGood = (result) => result !== undefined && result.invalid === undefined && result.rounds.length > 0;

/** Of ours to theirs: "throughput × 1.53 (…), CPU × 0.61 (…)". */
function compare(ours, theirs, names) {
  if (ours === theirs || !isGood(ours) || !isGood(theirs)) return '';
  return names
    .map((name) => [compared[name], ratios(roundsOf(ours, name), roundsOf(theirs, name))])
    .filter(([, ratio]) => ratio !== null)
    .map(([title, ratio]) => `${title} ${writeRatio(ratio)}`)
    .join(', ');
}

/** The contenders of one case as a table. */
function caseTable(scenario, results, contenders) {
  const ours = results.find(({ contender }) => contender === subject);
  const names = scenario.columns.filter((name) => name in compared);
  const comparing = ours !== undefined && names.length > 0 && results.length > 1;
  const heads = ['', ...scenario.columns.map((name) => figureOf(scenario, name).title), ...(comparing ? ['nwsgi, embedded, against it'] : [])];
  const rows = results.map((result) => {
    const title = contenders.get(result.contender)?.title ?? result.contender;
    if (!isGood(result)) return [title, `no valid figure: ${(result.invalid ?? '').split('\n')[0]}`, ...heads.slice(2).map(() => '')];
    const cells = scenario.columns.map((name) => writeSpread(figureOf(scenario, name), roundsOf(result, name)));
    return [title, ...cells, ...(comparing ? [compare(ours, result, names)] : [])];
  });
  return table([heads, ...rows], { align: align(heads.length - 1) });
}

export function machineLines({ machine, date, contenders, commit }) {
  const { processor, cpus, memory, system, kernel, httpd, node, python, wrk, pinned, servers, load } = machine;
  const versions = contenders.filter(({ version }) => version).map(({ title, version }) => `${title} ${version}`);
  return [
    `${processor}, ${cpus} CPUs, ${(memory / 2 ** 30).toFixed(0)} GiB; ${system}, Linux ${kernel}; ${pinned ? `servers on CPU ${servers}, load on CPU ${load}` : 'servers and load on the same CPUs'}.`,
    `httpd ${httpd} (event, one child of 64 threads), Node ${node} everywhere, Python ${python}, wrk ${wrk}${versions.length > 0 ? `; ${[...new Set(versions)].join(', ')}` : ''}.`,
    `${date.slice(0, 10)}${commit ? `, commit ${commit}` : ''}. Medians of interleaved rounds, in parentheses their least and most.`,
  ];
}

/** @param {{what: string, title: string, wanted: string, seen: string, held: boolean}[]} checks */
export function checkTable(checks) {
  const rows = checks.map(({ what, title, wanted, seen, held }, index) => [what === checks[index - 1]?.what ? '' : what, title, wanted, seen, held ? 'yes' : '**no**']);
  return table([['what', '', 'wanted', 'seen', 'held'], ...rows]);
}

/** @param {{scenarios: object[], applications: Map<string, object>, contenders: object[], results: object[], checks: object[], missing: [string, string][]}} run */
export function toMarkdown(run) {
  const contenders = new Map(run.contenders.map((contender) => [contender.name, contender]));
  const parts = ['# Results of `npm run bench`', machineLines(run).join('\n'), 'What the columns mean, and what is not fair about them: [docs/benchmarks.md](../../docs/benchmarks.md).'];
  if (run.missing.length > 0) parts.push(`Not measured: ${run.missing.map(([name, reason]) => `${contenders.get(name)?.title ?? name} (${reason.split('\n')[0]})`).join('; ')}.`);
  if (run.checks.length > 0) parts.push('## What it must show', checkTable(run.checks));
  for (const scenario of run.scenarios) {
    const mine = run.results.filter((result) => result.scenario === scenario.name);
    if (mine.length === 0) continue;
    parts.push(`## ${scenario.title}`);
    for (const name of new Set(mine.map(({ application }) => application))) {
      for (const case_ of scenario.cases) {
        const results = mine.filter((result) => result.application === name && result.case === case_.name);
        if (results.length === 0) continue;
        parts.push(`### ${run.applications.get(name)?.title ?? name}, ${case_.title}`, caseTable(scenario, results, contenders));
      }
    }
  }
  return `${parts.join('\n\n')}\n`;
}

/** The README's part: hello world and the frameworks at 32 connections, and what the benchmark must show. */
export function toReadme(run) {
  const contenders = new Map(run.contenders.map((contender) => [contender.name, contender]));
  const names = ['rate', 'p99', 'cpu', 'pss'];
  const row = (result, label) => [label, ...names.map((name) => (isGood(result) ? figures[name].write(spread(roundsOf(result, name)).median) : '–'))];
  const rows = [];
  for (const result of run.results.filter(({ scenario, case: name }) => scenario === 'requests' && name === '32')) {
    const ours = run.results.find((one) => one.contender === subject && one.application === result.application && one.scenario === 'requests' && one.case === '32');
    const application = run.applications.get(result.application)?.short ?? result.application;
    rows.push([...row(result, `${application}: ${contenders.get(result.contender)?.title ?? result.contender}`), compare(ours, result, ['rate', 'cpu']).replaceAll(/ \([^)]*\)/g, '')]);
  }
  const heads = ['32 connections', ...names.map((name) => figures[name].title), 'nwsgi, embedded, against it'];
  const parts = [machineLines(run).join('\n'), table([heads, ...rows], { align: align(5) })];
  if (run.checks.length > 0) parts.push(checkTable(run.checks));
  return parts.join('\n\n');
}

const [begin, end] = ['<!-- npm run bench -- --update-readme: begin -->', '<!-- npm run bench -- --update-readme: end -->'];

/** Puts text between the markers. */
export function replaceBlock(text, block) {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`There is no "${begin}" … "${end}".`);
  return `${text.slice(0, from + begin.length)}\n${block}\n${text.slice(to)}`;
}

/** Writes results.md, results.json and requests.svg; returns their names. */
export function writeResults(folder, run) {
  mkdirSync(folder, { recursive: true });
  const contenders = run.contenders.map(({ name, title, version }) => ({ name, title, version }));
  const { date, commit, options, machine, missing, checks, results } = run;
  const files = {
    'results.md': toMarkdown(run),
    'results.json': `${JSON.stringify({ date, commit, options, machine, contenders, missing: Object.fromEntries(missing), checks, results }, null, 1)}\n`,
    'requests.svg': drawRequests(run),
  };
  for (const [name, text] of Object.entries(files)) if (text !== null) writeFileSync(join(folder, name), text);
  return Object.keys(files).filter((name) => files[name] !== null);
}

export function updateReadme(file, run) {
  writeFileSync(file, replaceBlock(readFileSync(file, 'utf8'), toReadme(run)));
}
