// Node applications three ways, in one run on one machine: embedded in Apache, as a Node process behind Apache's
// mod_proxy_http (connections kept alive), and as a Node process alone. Requests/s, p99 and CPU for each request of all
// processes of the server, and the ratios of embedded to mod_proxy → node, round by round.
//
// Usage: node bench/frameworks.mjs [--rounds 3] [--seconds 3] [--connections 32] [--path /] [--only express] [--check]
//   --check  exit 1 unless embedded is ahead of mod_proxy → node in throughput and CPU, for each framework
// NWSGI_TEST_FRAMEWORKS has the packages, NWSGI_TEST_NODE the node to run (npm run bench sets them).
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { apacheConfiguration, benchFolder, freePort, line, measure, median, startApache, startServer, stopServer } from './lib/measure.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    path: { type: 'string', default: '/' },
    only: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});

const applications = [
  { name: 'node:http', embedded: 'plain.mjs', standalone: 'plain.mjs' },
  { name: 'Express', embedded: 'express.cjs', standalone: 'express.cjs' },
  { name: 'Fastify', embedded: 'fastify.mjs', standalone: 'fastify.mjs' },
  { name: 'Hono', embedded: 'hono.mjs', standalone: 'hono-server.mjs' },
].filter(({ name }) => options.only === undefined || name.toLowerCase() === options.only.toLowerCase());

const root = mkdtempSync(join(tmpdir(), 'nwsgi-bench-'));
chmodSync(root, 0o755);
mkdirSync(join(root, 'htdocs'));
cpSync(join(benchFolder, 'apps'), join(root, 'apps'), { recursive: true });
symlinkSync(join(process.env.NWSGI_TEST_FRAMEWORKS ?? '', 'shared', 'node_modules'), join(root, 'apps', 'node_modules'));
const node = process.env.NWSGI_TEST_NODE ?? process.execPath;

/** The three places of an application: name → URL and the servers whose CPU counts. */
async function startAll({ embedded, standalone }) {
  const servers = [];
  const nodePort = await freePort();
  const alone = `http://127.0.0.1:${nodePort}${options.path}`;
  const process_ = await startServer(node, [join(root, 'apps', standalone)], alone, { PORT: String(nodePort), NODE_ENV: 'production' });
  servers.push(process_);
  const apaches = [];
  for (const { modulesToLoad, directives } of [
    { modulesToLoad: [], directives: `WSGIScriptAlias / "${root}/apps/${embedded}"` },
    { modulesToLoad: ['proxy', 'proxy_http'], directives: `ProxyPass / http://127.0.0.1:${nodePort}/ keepalive=On` },
  ]) {
    const port = await freePort();
    const folder = mkdtempSync(join(root, 'apache-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'htdocs'));
    writeFileSync(join(folder, 'httpd.conf'), `${apacheConfiguration({ root: folder, port, modulesToLoad, directives })}<Directory "${root}">\n  Require all granted\n</Directory>\n`);
    const url = `http://127.0.0.1:${port}${options.path}`;
    const server = await startApache(folder, url);
    servers.push(server);
    apaches.push({ url, server });
  }
  const [inApache, proxying] = apaches;
  return {
    servers,
    places: {
      embedded: { url: inApache.url, servers: [inApache.server] },
      'mod_proxy → node': { url: proxying.url, servers: [proxying.server, process_] },
      'node alone': { url: alone, servers: [process_] },
    },
  };
}

async function compare(application) {
  const { servers, places } = await startAll(application);
  try {
    const rounds = [];
    for (let round = 0; round <= Number(options.rounds); round += 1) {
      const figures = {};
      for (const [place, { url, servers: counted }] of Object.entries(places)) figures[place] = await measure(url, counted, options);
      if (round === 0) continue; // Warming up.
      rounds.push(figures);
      for (const [place, result] of Object.entries(figures)) console.log(`round ${round}  ${line(`${application.name}, ${place}`, result)}`);
    }
    return rounds;
  } finally {
    for (const server of servers) await stopServer(server);
  }
}

let behind = false;
const summary = [];
try {
  for (const application of applications) {
    const rounds = await compare(application);
    const ratio = (what) => rounds.map((figures) => figures.embedded[what] / figures['mod_proxy → node'][what]);
    const throughput = ratio('rate');
    const cpu = ratio('cpu');
    behind ||= median(throughput) <= 1 || median(cpu) >= 1;
    const list = (numbers) => numbers.map((number) => number.toFixed(2)).join(' ');
    summary.push(`${application.name.padEnd(10)} throughput × ${median(throughput).toFixed(2)} (${list(throughput)})  CPU × ${median(cpu).toFixed(2)} (${list(cpu)})  p99 × ${median(ratio('p99')).toFixed(2)}`);
  }
  console.log(`\nEmbedded against mod_proxy → node:\n${summary.join('\n')}`);
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.exitCode = options.check && behind ? 1 : 0;
