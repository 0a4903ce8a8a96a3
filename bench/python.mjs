// Python applications here and in mod_wsgi, in one run on one machine: hello world and Flask's hello world, embedded in httpd
// and in one process of a process group with 15 threads. In each round one measurement follows the other: requests/s and p99
// of as many requests as go, and the CPU for each request of all processes of the server, then, and at an equal rate of some
// 3,500/s. (Of as many as go the one that serves more has both processors busy, which takes each request more of their time.)
//
// Usage: node bench/python.mjs [--rounds 5] [--seconds 4] [--connections 32] [--only hello|flask] [--check]
//   --check  exit 1 unless the median throughput is at least mod_wsgi's (hello in daemon mode: 1.3 times), at no more CPU for
//            each request at the equal rate
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apacheConfiguration, benchFolder, freePort, line, measure, median, startApache, stopServer } from './lib/measure.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});

/** Least ratio of our throughput to mod_wsgi's. */
const wanted = { hello: { embedded: 1, daemon: 1.3 }, flask: { embedded: 1, daemon: 1 } };
const servers = ['nwsgi', 'mod_wsgi'];
const modes = ['embedded', 'daemon'];
const applications = Object.keys(wanted).filter((name) => options.only === undefined || name === options.only);

const root = mkdtempSync(join(tmpdir(), 'nwsgi-bench-'));
chmodSync(root, 0o755);
cpSync(join(benchFolder, 'apps', 'python'), join(root, 'apps'), { recursive: true });

/** The same lines for both: only the module differs. */
function directives(folder, mode) {
  const group = mode === 'daemon' ? 'bench' : '%{GLOBAL}';
  return [
    ...(mode === 'daemon' ? [`WSGISocketPrefix "${folder}/wsgi"`, 'WSGIDaemonProcess bench processes=1 threads=15'] : []),
    ...applications.map((name) => `WSGIScriptAlias /${name} "${root}/apps/${name}.wsgi" process-group=${group} application-group=%{GLOBAL}`),
    `<Directory "${root}/apps">\n  Require all granted\n</Directory>`,
  ].join('\n');
}

/** Starts an Apache; returns it with its URL. */
async function start(server, mode) {
  const folder = mkdtempSync(join(root, 'apache-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'htdocs'));
  const port = await freePort();
  const configuration = { root: folder, port, nwsgi: server === 'nwsgi', modulesToLoad: server === 'nwsgi' ? [] : ['wsgi'] };
  writeFileSync(join(folder, 'httpd.conf'), apacheConfiguration({ ...configuration, directives: directives(folder, mode) }));
  const url = `http://127.0.0.1:${port}`;
  const process = await startApache(folder, url);
  running.push(process);
  for (const name of applications) {
    const response = await fetch(`${url}/${name}/`);
    const body = await response.text();
    if (response.status !== 200 || body !== 'Hello world\n') throw new Error(`${server}, ${mode}: /${name}/ answers ${response.status}: ${body}`);
  }
  return { url, process };
}

const list = (numbers) => numbers.map((number) => number.toFixed(2)).join(' ');
const running = [];
let behind = false;
try {
  const places = {};
  for (const mode of modes) for (const server of servers) places[`${mode} ${server}`] = await start(server, mode);
  const cases = applications.flatMap((name) => modes.map((mode) => ({ name, mode, rounds: [] })));
  for (let round = 0; round <= Number(options.rounds); round += 1) {
    for (const { name, mode, rounds } of cases) {
      const figures = {};
      for (const server of servers) {
        const { url, process } = places[`${mode} ${server}`];
        figures[server] = await measure(`${url}/${name}/`, [process], options);
        figures[server].paced = (await measure(`${url}/${name}/`, [process], { ...options, paced: true })).cpu;
      }
      if (round === 0) continue; // Warming up.
      rounds.push(figures);
      for (const server of servers) console.log(`round ${round}  ${line(`${name}, ${mode}, ${server}`, figures[server])}, ${figures[server].paced.toFixed(1)} µs paced`);
    }
  }
  console.log('\nagainst mod_wsgi');
  for (const { name, mode, rounds } of cases) {
    const ratios = (what) => rounds.map(({ nwsgi, mod_wsgi: other }) => nwsgi[what] / other[what]);
    const [throughput, cpu, p99, paced] = ['rate', 'cpu', 'p99', 'paced'].map((what) => median(ratios(what)).toFixed(2));
    const least = wanted[name][mode];
    const missed = Number(throughput) < least || Number(paced) > 1;
    behind ||= missed;
    console.log(`  ${`${name}, ${mode}`.padEnd(16)} throughput × ${throughput} (${list(ratios('rate'))}), wanted ${least.toFixed(1)}; p99 × ${p99}; CPU × ${cpu}${missed ? '  MISSED' : ''}`);
    console.log(`  ${''.padEnd(16)} CPU at an equal rate × ${paced} (${list(ratios('paced'))}), wanted 1`);
  }
} finally {
  for (const server of running) await stopServer(server);
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = options.check && behind ? 1 : 0;
