/** The benchmark's own arithmetic: what it reads, chooses, computes and writes. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { selfTimes } from '../../bench/lib/cpu-profile.mjs';
import { parseWrk, wrkErrors } from '../../bench/lib/load.mjs';
import { parseCpuList, shareCpus } from '../../bench/lib/machine.mjs';
import { parsePhases, summarisePhases } from '../../bench/lib/phases.mjs';
import { estimate, loadContenders, loadScenarios, makePlan, matches, roundsOf } from '../../bench/lib/plan.mjs';
import { drawRequests } from '../../bench/lib/plot.mjs';
import { cpuOf, familyOf, memoryOf, parseStat } from '../../bench/lib/processes.mjs';
import { replaceBlock, toMarkdown, toReadme } from '../../bench/lib/report.mjs';
import { median, quantile, ratios, spread } from '../../bench/lib/statistics.mjs';
import { parseOptions } from '../../bench/lib/options.mjs';
import { checkThresholds, thresholds } from '../../bench/thresholds.mjs';

const round = (rate: number, cpu: number) => ({ rate, p50: 1, p99: 2, p999: 3, cpu, pss: 50 * 2 ** 20, lost: 0 });
const result = (contender: string, rounds: ReturnType<typeof round>[], more = {}) => ({ scenario: 'requests', application: 'hello', contender, case: '32', rounds, ...more });

const results = [
  result('nwsgi-embedded', [round(60_000, 20), round(62_000, 21), round(58_000, 19)]),
  result('c-location', [round(50_000, 25), round(62_000, 21), round(50_000, 22)]),
  result('passenger', [], { invalid: '3 read of 10 requests' }),
];

const run = {
  date: '2030-01-02T03:04:05.000Z',
  commit: 'abc1234',
  options: {},
  machine: { processor: 'A processor', cpus: 2, memory: 8 * 2 ** 30, system: 'Debian', kernel: '6', httpd: '2.4', node: 'v18', python: '3.11', wrk: '4.1', pinned: true, servers: '0', load: '1' },
  scenarios: [] as Awaited<ReturnType<typeof loadScenarios>>,
  applications: new Map([['hello', { title: 'Hello world', short: 'hello' }]]),
  contenders: [
    { name: 'nwsgi-embedded', title: 'nwsgi, embedded', version: undefined },
    { name: 'c-location', title: 'C handler in a <Location>', version: undefined },
    { name: 'passenger', title: 'Passenger', version: '6.0' },
  ],
  missing: [['uwsgi', 'there is no package']] as [string, string][],
  results,
  checks: checkThresholds(results),
};

describe('statistics', () => {
  it('takes quantiles between values, and leaves out what is no number', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantile([5], 0.99)).toBe(5);
    expect(spread([3, Number.NaN, 1])).toEqual({ median: 2, least: 1, most: 3, rounds: 2 });
    expect(spread([])).toBeNull();
  });

  it('compares round with round', () => {
    expect(ratios([10, 20, 30], [10, 10, 10, 99])).toEqual({ median: 2, least: 1, most: 3, rounds: 3 });
  });
});

describe('load', () => {
  it('reads the line of load.lua, and refuses anything else', () => {
    expect(parseWrk('Running 1s test\n\nfigures {"requests":5,"p50":1.5}\n')).toEqual({ requests: 5, p50: 1.5 });
    expect(() => parseWrk('unable to connect')).toThrow(/unable to connect/);
  });

  it('names the errors that there were', () => {
    expect(wrkErrors({ connect: 0, read: 3, status: 1 })).toBe('3 read, 1 status');
    expect(wrkErrors({ connect: 0 })).toBe('');
  });
});

describe('processes', () => {
  it('reads names with parentheses and counts children that ended', () => {
    const fields = ['S', 7, ...Array.from({ length: 9 }, () => 0), 10, 20, 3, 4, 0, 0, 0, 0, 999];
    expect(parseStat(`12 (a (b) c) ${fields.join(' ')}`)).toEqual({ parent: 7, ticks: 37, began: 999 });
  });

  it('finds all descendants', () => {
    const processes = new Map([
      [1, { parent: 0 }],
      [10, { parent: 1 }],
      [11, { parent: 10 }],
      [12, { parent: 11 }],
      [20, { parent: 1 }],
    ]);
    expect([...familyOf([10], processes).keys()]).toEqual([10, 11, 12]);
  });

  it('measures this process', () => {
    expect(cpuOf([process.pid])).toBeGreaterThan(0);
    expect(memoryOf([process.pid]).rss).toBeGreaterThan(10 * 2 ** 20);
  });
});

describe('CPUs', () => {
  it('gives the load the last one', () => {
    expect(parseCpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
    expect(shareCpus([0, 1, 2, 5])).toEqual({ servers: '0,1,2', load: '5' });
    expect(shareCpus([0])).toEqual({ servers: '0', load: null });
    expect(shareCpus([0, 1], false)).toEqual({ servers: '0,1', load: null });
  });
});

describe('the plan', () => {
  const cells = (options: string[]) => async () => {
    const plan = makePlan(await loadScenarios(), await loadContenders(), parseOptions(options));
    return plan.flatMap((part) => part.cells.flatMap(({ contender, cases }) => cases.map(({ name }) => `${part.scenario.name}/${part.application.name}/${contender.name}/${name}`)));
  };

  it('chooses cells whose names have every word of a pattern', () => {
    expect(matches(['requests/32'], ['requests', 'hello', 'node', '32'])).toBe(true);
    expect(matches(['requests/32', 'sse'], ['requests', 'hello', 'node', '1'])).toBe(false);
    expect(matches(['mod_*/HELLO'], ['requests', 'hello', 'mod_proxy', '32'])).toBe(true);
    expect(matches([], ['anything'])).toBe(true);
  });

  it('knows the selections of old', async () => {
    expect((await cells(['hello'])()).sort()).toEqual(['1', '1000', '32'].flatMap((name) => ['c-location', 'c-resolved', 'nwsgi-embedded'].map((contender) => `requests/hello/${contender}/${name}`)).sort());
    expect(await cells(['python'])()).toContain('paced/flask/mod_wsgi-daemon/paced');
  });

  it('takes C handlers, proxies and Python servers only where they fit', async () => {
    const all = await cells([])();
    expect(all).toContain('requests/django/uwsgi/32');
    expect(all).toContain('requests/hello/static/1000');
    expect(all).toContain('gibibyte/bodies/c-location/upload');
    expect(all).not.toContain('gibibyte/bodies/c-location/file');
    expect(all).not.toContain('requests/django/mod_proxy/32');
    expect(all).not.toContain('requests/express/c-location/32');
  });

  it('has what the thresholds ask for', async () => {
    const all = await cells([])();
    for (const { conditions } of thresholds) for (const { paths } of conditions) for (const path of paths) expect(all).toContain(path);
  });

  it('fits into its time', async () => {
    const seconds = async (options: string[]) => makePlan(await loadScenarios(), await loadContenders(), parseOptions(options)).reduce((sum, part) => sum + estimate(part), 0);
    expect(await seconds(['--quick'])).toBeLessThan(150);
    expect(await seconds([])).toBeLessThan(25 * 60);
  });

  it('has as many rounds as are asked for, and fewer where a case says so', () => {
    expect(roundsOf({ rounds: 5 }, { rounds: 2 })).toBe(2);
    expect(roundsOf({ rounds: 5 }, {})).toBe(5);
  });
});

describe('what it must show', () => {
  it('judges the median of the ratios, and counts what has no valid figure as missed', () => {
    const found = (title: string) => run.checks.find((check) => `${check.what}: ${check.title}` === title);
    expect(found('hello WSGI, embedded, against the C handler in a <Location>: throughput')).toMatchObject({ held: true, seen: '1.16 × (1.00 × … 1.20 ×)' });
    expect(found('hello WSGI, embedded, against the C handler in a <Location>: CPU')).toMatchObject({ held: true, wanted: '≤ 1 ×' });
    expect(found('against Passenger: throughput')).toMatchObject({ held: false, seen: 'no figure: 3 read of 10 requests' });
  });

  it('leaves out what was not to be measured', () => {
    expect(run.checks.some(({ what }) => what.includes('mod_proxy'))).toBe(false);
  });
});

describe('the profile', () => {
  it('reads the notes of the module, and what is left is the rest', () => {
    const found = parsePhases('http=1000 submit=2000 queue=3000 application=4000 wake=0 worker=0 write=1000 total=20\n- total=5\n');
    expect(found.total).toEqual([20_000]);
    expect(found.rest).toEqual([9000]);
    const summary = summarisePhases(found);
    expect(summary.map(({ name }) => name)).toEqual(['http', 'submit', 'queue', 'application', 'write', 'rest', 'total']);
    expect(summary.at(-2)).toMatchObject({ name: 'rest', mean: 9, share: 0.45 });
  });

  it('sums the time of functions in themselves, of what is not idle', () => {
    const frame = (id: number, functionName: string, url = '') => ({ id, callFrame: { functionName, url, lineNumber: 9 } });
    const profile = { nodes: [frame(1, '(idle)'), frame(2, 'f', 'file:///a/b/c.mjs'), frame(3, '')], samples: [1, 2, 2, 3], timeDeltas: [50, 10, 20, 10] };
    expect(selfTimes(profile)).toEqual({ busy: 40 / 1e6, idle: 50 / 1e6, functions: [{ name: 'f b/c.mjs:10', share: 0.75 }, { name: '(anonymous)', share: 0.25 }] });
  });
});

describe('the report', () => {
  it('has the machine, the spreads, the ratios, what is invalid and what is missing', async () => {
    const text = toMarkdown({ ...run, scenarios: await loadScenarios() });
    expect(text).toContain('A processor, 2 CPUs, 8 GiB; Debian, Linux 6; servers on CPU 0, load on CPU 1.');
    expect(text).toContain('60,000 (58,000 … 62,000)');
    expect(text).toContain('throughput × 1.16 (1.00 … 1.20), CPU × 0.86 (0.80 … 1.00)');
    expect(text).toContain('no valid figure: 3 read of 10 requests');
    expect(text).toContain('uwsgi (there is no package)');
  });

  it('replaces its part of the README and nothing else', () => {
    const [begin, end] = ['<!-- npm run bench -- --update-readme: begin -->', '<!-- npm run bench -- --update-readme: end -->'];
    expect(replaceBlock(`# A\n${begin}\nold\n${end}\nB\n`, toReadme(run))).toMatch(/^# A\n<!--.*-->\nA processor[^]*60,000[^]*\n<!--.*-->\nB\n$/);
    expect(() => replaceBlock('# A', 'x')).toThrow();
    expect(readFileSync('README.md', 'utf8')).toContain(begin);
  });

  it('draws bars for what is valid', () => {
    const svg = drawRequests(run) ?? '';
    expect(svg.match(/<rect/g)).toHaveLength(4);
    expect(svg).toContain('C handler in a &lt;Location&gt;');
    expect(drawRequests({ ...run, results: [] })).toBeNull();
  });
});
