// What the benchmark must show (npm run bench -- --check).
import { ratios, spread } from './lib/statistics.mjs';

/** "scenario/application/contender/case" → its rounds; undefined when it was not measured. */
function find(results, path) {
  const [scenario, application, contender, case_] = path.split('/');
  return results.find((one) => one.scenario === scenario && one.application === application && one.contender === contender && one.case === case_);
}

const roundsOf = (result, figure) => result.rounds.map((round) => round[figure]);

const kept = { '≥': (seen, wanted) => seen >= wanted, '≤': (seen, wanted) => seen <= wanted, '>': (seen, wanted) => seen > wanted, '<': (seen, wanted) => seen < wanted };

/** Ratio of a figure of ours to theirs, round by round: its median is what counts. */
const ratio = (title, figure, ours, theirs, relation, wanted) => ({
  title,
  paths: [ours, theirs],
  wanted: `${relation} ${wanted} ×`,
  see: ([our, their]) => ratios(roundsOf(our, figure), roundsOf(their, figure)),
  write: (value) => `${value.toFixed(2)} ×`,
  holds: (value) => kept[relation](value, wanted),
});

/** A figure itself: its worst round counts. */
const limit = (title, figure, path, most, unit, divisor = 1) => ({
  title,
  paths: [path],
  wanted: `≤ ${most} ${unit}`,
  see: ([result]) => {
    const seen = spread(roundsOf(result, figure));
    return seen && { ...seen, median: seen.most };
  },
  write: (value) => `${Number((value / divisor).toPrecision(4))} ${unit}`,
  holds: (value) => value / divisor <= most,
});

const hello = (contender) => `requests/hello/${contender}/32`;
const framework = (name) => ({
  what: `${name[0].toUpperCase()}${name.slice(1)} against mod_proxy_http → the same application`,
  conditions: [
    ['throughput', 'rate', '>'],
    ['CPU', 'cpu', '<'],
    ['p99', 'p99', '<'],
  ].map(([title, figure, relation]) => ratio(title, figure, `requests/${name}/nwsgi-embedded/32`, `requests/${name}/mod_proxy/32`, relation, 1)),
});
const python = (name, mode, least) => ({
  what: `${name === 'python' ? 'Python hello' : 'Flask'}, ${mode}, against mod_wsgi`,
  conditions: [
    ratio('throughput', 'rate', `requests/${name}/nwsgi-${mode}/32`, `requests/${name}/mod_wsgi-${mode}/32`, '≥', least),
    ratio('CPU at an equal rate', 'cpu', `paced/${name}/nwsgi-${mode}/paced`, `paced/${name}/mod_wsgi-${mode}/paced`, '≤', 1),
  ],
});
const against = (what, other, throughput, cpu) => ({
  what,
  conditions: [
    ratio('throughput', 'rate', hello('nwsgi-embedded'), hello(other), '≥', throughput),
    ...(cpu === undefined ? [] : [ratio('CPU', 'cpu', hello('nwsgi-embedded'), hello(other), '≤', cpu)]),
  ],
});
const gibibyte = (contender, case_) => `gibibyte/bodies/${contender}/${case_}`;

export const thresholds = [
  // Errors make a figure invalid: there are none where there is a figure.
  {
    what: '10,000 requests in flight, answered after 1 s, one child of 64 threads',
    conditions: [
      limit('p50', 'p50', 'in-flight/slow/nwsgi-embedded/10000', 1.03, 's', 1000),
      limit('memory for each', 'each', 'in-flight/slow/nwsgi-embedded/10000', 40, 'KiB', 1024),
    ],
  },
  {
    what: '10,000 open SSE streams with an event each second',
    conditions: [limit('worst lag', 'lag', 'sse/events/nwsgi-embedded/10000', 250, 'ms')],
  },
  against('hello WSGI, embedded, against the C handler in a <Location>', 'c-location', 1, 1),
  against('against the C handler whose mount the module resolves', 'c-resolved', 0.8, 1.35),
  against('against mod_proxy_http → node', 'mod_proxy', 1.5, 0.65),
  against('against Passenger', 'passenger', 6),
  ...['express', 'fastify', 'hono'].map(framework),
  {
    what: '1 GiB file through file_wrapper against Apache’s own static file',
    conditions: [
      ratio('time', 'seconds', gibibyte('nwsgi-embedded', 'file'), gibibyte('static', 'file'), '≤', 1.05),
      ratio('CPU', 'cpuSeconds', gibibyte('nwsgi-embedded', 'file'), gibibyte('static', 'file'), '≤', 1.05),
    ],
  },
  {
    what: '1 GiB streamed from JavaScript in 64 KiB chunks against Apache’s static file',
    conditions: [ratio('speed', 'speed', gibibyte('nwsgi-embedded', 'stream'), gibibyte('static', 'file'), '≥', 0.7)],
  },
  {
    what: 'one million requests: resident memory at the end against that after the first 100,000',
    conditions: [limit('growth', 'growth', 'memory/hello/nwsgi-embedded/auto', 2, '%', 0.01)],
  },
  {
    what: '1,000 mounts, 100 virtual hosts and 50 applications against one',
    conditions: [ratio('CPU', 'cpu', 'mounts/mounts/many-mounts/32', 'mounts/mounts/one-mount/32', '≤', 1.05)],
  },
  {
    what: 'hello WSGI in a process group',
    conditions: [
      ratio('throughput against embedded', 'rate', hello('nwsgi-daemon'), hello('nwsgi-embedded'), '≥', 0.8),
      ratio('against mod_proxy_http → node', 'rate', hello('nwsgi-daemon'), hello('mod_proxy'), '>', 1),
      ratio('against mod_wsgi, daemon', 'rate', hello('nwsgi-daemon'), 'requests/python/mod_wsgi-daemon/32', '≥', 2),
    ],
  },
  python('python', 'embedded', 1),
  python('python', 'daemon', 1.3),
  python('flask', 'embedded', 1),
  python('flask', 'daemon', 1),
];

/**
 * What was wanted and what was seen. A condition whose cells were not to be measured is left out; one whose cells brought no figures
 * is missed.
 * @returns {{what: string, title: string, wanted: string, seen: string, held: boolean}[]}
 */
export function checkThresholds(results) {
  const rows = [];
  for (const { what, conditions } of thresholds) {
    for (const { title, paths, wanted, see, write, holds } of conditions) {
      const found = paths.map((path) => find(results, path));
      if (found.includes(undefined)) continue;
      const invalid = found.find((result) => result.rounds.length === 0 || result.invalid !== undefined);
      const seen = invalid === undefined ? see(found) : null;
      if (seen === null) {
        rows.push({ what, title, wanted, seen: `no figure${invalid?.invalid ? `: ${invalid.invalid.split('\n')[0]}` : ''}`, held: false });
        continue;
      }
      const range = seen.rounds > 1 ? ` (${write(seen.least)} … ${write(seen.most)})` : '';
      rows.push({ what, title, wanted, seen: `${write(seen.median)}${range}`, held: holds(seen.median) });
    }
  }
  return rows;
}
