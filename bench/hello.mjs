// Hello world, in pairs in one run: a WSGI callable in embedded Node against a C handler in a <Location> of the same
// httpd. Prints requests/s and the server's CPU for each request (user + system), and their ratios round by round.
//
// Usage: node bench/hello.mjs [--rounds 5] [--seconds 4] [--connections 32] [--check]
//   --check  exit 1 unless the median throughput ratio is at least 1.0
import { execFileSync } from 'node:child_process';
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
    check: { type: 'boolean', default: false },
  },
});

function buildYardstick(root) {
  const query = (name) => execFileSync('apxs', ['-q', name], { encoding: 'utf8' }).trim();
  const aprFlags = execFileSync('apr-1-config', ['--includes', '--cppflags'], { encoding: 'utf8' }).trim().split(/\s+/);
  const target = join(root, 'mod_bench_c.so');
  execFileSync('cc', ['-O2', '-fPIC', '-shared', `-I${query('INCLUDEDIR')}`, ...aprFlags, join(benchFolder, 'c-handler', 'mod_bench_c.c'), '-o', target]);
  return target;
}

const root = mkdtempSync(join(tmpdir(), 'nwsgi-bench-'));
chmodSync(root, 0o755);
mkdirSync(join(root, 'htdocs'));
cpSync(join(benchFolder, 'apps', 'hello.mjs'), join(root, 'hello.mjs'));
const port = await freePort();
const directives = `
LoadModule bench_c_module ${buildYardstick(root)}
<Location "/c">
  SetHandler bench-c
</Location>
WSGIScriptAlias /wsgi "${root}/hello.mjs"`;
writeFileSync(join(root, 'httpd.conf'), apacheConfiguration({ root, port, directives }));
const server = await startApache(root, `http://127.0.0.1:${port}/c`);
let failed = false;
try {
  const paths = { 'C handler in <Location>': '/c', 'WSGI callable, embedded': '/wsgi' };
  const run = (path) => measure(`http://127.0.0.1:${port}${path}`, [server], options);
  for (const path of Object.values(paths)) await run(path);
  const rounds = [];
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    const result = {};
    for (const [name, path] of Object.entries(paths)) result[name] = await run(path);
    const [c, wsgi] = Object.values(result);
    rounds.push({ throughput: wsgi.rate / c.rate, cpu: wsgi.cpu / c.cpu });
    for (const [name, figures] of Object.entries(result)) console.log(`round ${round}  ${line(name, figures)}`);
  }
  const throughput = median(rounds.map((round) => round.throughput));
  const cpu = median(rounds.map((round) => round.cpu));
  const spread = rounds.map((round) => round.throughput.toFixed(2)).join(' ');
  console.log(`\nWSGI against C: throughput × ${throughput.toFixed(2)} (rounds: ${spread}), CPU × ${cpu.toFixed(2)}`);
  failed = options.check && throughput < 1;
} finally {
  await stopServer(server);
  if (!failed) rmSync(root, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
