// Hello world in a process group, in one run with its alternatives on one machine: the same callable embedded in httpd,
// a Python callable in mod_wsgi's daemon mode, and node:http behind mod_proxy_http (connections kept alive); one worker
// process each. Requests/s, p99 and CPU for each request of all processes of the server, and the ratios round by round.
//
// Usage: node bench/daemon.mjs [--rounds 5] [--seconds 4] [--connections 32] [--processes 1] [--check]
//   --check  exit 1 unless the median throughput is at least 0.8 × embedded, 2 × mod_wsgi, and above mod_proxy → node
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apacheConfiguration, benchFolder, freePort, line, measure, median, startApache, startServer, stopServer } from './lib/measure.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    processes: { type: 'string', default: '1' },
    check: { type: 'boolean', default: false },
  },
});

const root = mkdtempSync(join(tmpdir(), 'nwsgi-bench-'));
chmodSync(root, 0o755);
cpSync(join(benchFolder, 'apps'), join(root, 'apps'), { recursive: true });
const application = `WSGIScriptAlias / "${root}/apps/hello.mjs"`;
const nodePort = await freePort();

/** Least ratio of the process group's throughput to that of each alternative. */
const alternatives = {
  embedded: { least: 0.8, configuration: { directives: application } },
  'mod_wsgi daemon': {
    least: 2,
    configuration: {
      nwsgi: false,
      modulesToLoad: ['wsgi'],
      directives: `WSGISocketPrefix "${root}/mod_wsgi"\nWSGIDaemonProcess bench processes=${options.processes} threads=15\nWSGIScriptAlias / "${root}/apps/python/hello.wsgi" process-group=bench application-group=%{GLOBAL}`,
    },
  },
  'mod_proxy → node': {
    least: 1,
    configuration: { modulesToLoad: ['proxy', 'proxy_http'], directives: `ProxyPass / http://127.0.0.1:${nodePort}/ keepalive=On` },
    behind: { script: 'plain.mjs', port: nodePort },
  },
};
const subject = {
  name: 'process group',
  configuration: { directives: `WSGIDaemonProcess bench processes=${options.processes}\n${application} process-group=bench application-group=bench` },
};

const running = [];

/** Starts a place; returns its URL and the servers whose CPU counts. */
async function start({ configuration, behind }) {
  const servers = [];
  if (behind) {
    servers.push(await startServer(process.execPath, [join(root, 'apps', behind.script)], `http://127.0.0.1:${behind.port}/`, { PORT: String(behind.port), NODE_ENV: 'production' }));
    running.push(servers[0]);
  }
  const folder = mkdtempSync(join(root, 'apache-'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'htdocs'));
  const port = await freePort();
  const text = apacheConfiguration({ root: folder, port, ...configuration });
  writeFileSync(join(folder, 'httpd.conf'), `${text}<Directory "${root}">\n  Require all granted\n</Directory>\n`);
  const url = `http://127.0.0.1:${port}/`;
  const server = await startApache(folder, url);
  running.push(server);
  const response = await fetch(url);
  const body = await response.text();
  if (response.status !== 200 || body !== 'Hello world\n') throw new Error(`${url} answers ${response.status}: ${body}`);
  return { url, servers: [...servers, server] };
}

const list = (numbers) => numbers.map((number) => number.toFixed(2)).join(' ');
let behind = false;
try {
  const places = {};
  for (const [name, place] of [[subject.name, subject], ...Object.entries(alternatives)]) places[name] = await start(place);
  const rounds = [];
  for (let round = 0; round <= Number(options.rounds); round += 1) {
    const figures = {};
    for (const [name, { url, servers }] of Object.entries(places)) figures[name] = await measure(url, servers, options);
    if (round === 0) continue; // Warming up.
    rounds.push(figures);
    for (const [name, result] of Object.entries(figures)) console.log(`round ${round}  ${line(name, result)}`);
  }
  console.log(`\n${subject.name} against`);
  for (const [name, { least }] of Object.entries(alternatives)) {
    const ratios = (what) => rounds.map((figures) => figures[subject.name][what] / figures[name][what]);
    const throughput = median(ratios('rate'));
    const missed = name === 'mod_proxy → node' ? throughput <= least : throughput < least;
    behind ||= missed;
    console.log(`  ${name.padEnd(18)} throughput × ${throughput.toFixed(2)} (${list(ratios('rate'))}), wanted ${least.toFixed(1)}${missed ? ' MISSED' : ''}; CPU × ${median(ratios('cpu')).toFixed(2)}; p99 × ${median(ratios('p99')).toFixed(2)}`);
  }
} finally {
  for (const server of running) await stopServer(server);
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = options.check && behind ? 1 : 0;
