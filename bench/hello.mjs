// Hello world, in pairs in one run: a WSGI callable in embedded Node against a C handler in a <Location> of the same
// httpd. Prints requests/s and the server's CPU for each request (user + system), and their ratios round by round.
//
// Usage: node bench/hello.mjs [--rounds 5] [--seconds 4] [--connections 32] [--check]
//   --check  exit 1 unless the median throughput ratio is at least 1.0
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const build = join(here, '..', 'build', 'Release');
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    check: { type: 'boolean', default: false },
  },
});

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

function buildYardstick(root) {
  const query = (name) => execFileSync('apxs', ['-q', name], { encoding: 'utf8' }).trim();
  const aprFlags = execFileSync('apr-1-config', ['--includes', '--cppflags'], { encoding: 'utf8' }).trim().split(/\s+/);
  const target = join(root, 'mod_bench_c.so');
  execFileSync('cc', ['-O2', '-fPIC', '-shared', `-I${query('INCLUDEDIR')}`, ...aprFlags, join(here, 'c-handler', 'mod_bench_c.c'), '-o', target]);
  return target;
}

function configuration(root, port, yardstick) {
  const modules = '/usr/lib/apache2/modules';
  return `
ServerRoot "${root}"
DefaultRuntimeDir "${root}"
PidFile "${root}/httpd.pid"
Listen 127.0.0.1:${port}
ServerName 127.0.0.1
LoadModule mpm_event_module ${modules}/mod_mpm_event.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
LoadModule nwsgi_module ${build}/mod_nwsgi.so
LoadModule bench_c_module ${yardstick}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
ErrorLog "${root}/error.log"
DocumentRoot "${root}/htdocs"
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
KeepAlive On
MaxKeepAliveRequests 0
<Directory "${root}">
  Require all granted
</Directory>
<Location "/c">
  SetHandler bench-c
</Location>
WSGIScriptAlias /wsgi "${root}/hello.mjs"
`;
}

async function startServer(root, port) {
  const server = spawn('/usr/sbin/apache2', ['-D', 'FOREGROUND', '-f', join(root, 'httpd.conf')], { stdio: 'inherit' });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await fetch(`http://127.0.0.1:${port}/c`);
      return server;
    } catch (error) {
      if (attempt === 50) throw error;
      await sleep(100);
    }
  }
}

/** Ticks (1/100 s) that the server's processes have used so far. */
function serverTicks(parent) {
  let ticks = 0;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1].split(' ');
      if (Number(entry) === parent || Number(fields[1]) === parent) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // The process ended meanwhile.
    }
  }
  return ticks;
}

function measure(url, parent) {
  const before = serverTicks(parent);
  return new Promise((resolve, reject) => {
    const wrk = spawn('wrk', ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--latency', url]);
    let text = '';
    wrk.stdout.on('data', (data) => (text += data));
    wrk.on('error', reject);
    wrk.on('close', () => {
      const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0);
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0);
      const p99 = /99%\s+(\S+)/.exec(text)?.[1] ?? '?';
      if (requests === 0 || /Non-2xx|Socket errors/.test(text)) reject(new Error(`wrk ${url}:\n${text}`));
      else resolve({ rate, p99, cpu: ((serverTicks(parent) - before) * 10_000) / requests });
    });
  });
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

const root = mkdtempSync(join(tmpdir(), 'nwsgi-bench-'));
chmodSync(root, 0o755);
mkdirSync(join(root, 'htdocs'));
cpSync(join(here, 'apps', 'hello.mjs'), join(root, 'hello.mjs'));
const port = await freePort();
writeFileSync(join(root, 'httpd.conf'), configuration(root, port, buildYardstick(root)));
const server = await startServer(root, port);
let failed = false;
try {
  const paths = { 'C handler in <Location>': '/c', 'WSGI callable, embedded': '/wsgi' };
  for (const path of Object.values(paths)) await measure(`http://127.0.0.1:${port}${path}`, server.pid);
  const rounds = [];
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    const result = {};
    for (const [name, path] of Object.entries(paths)) result[name] = await measure(`http://127.0.0.1:${port}${path}`, server.pid);
    const [c, wsgi] = Object.values(result);
    rounds.push({ throughput: wsgi.rate / c.rate, cpu: wsgi.cpu / c.cpu });
    for (const [name, { rate, p99, cpu }] of Object.entries(result)) {
      console.log(`round ${round}  ${name.padEnd(26)} ${rate.toFixed(0).padStart(7)} requests/s  p99 ${p99.padStart(8)}  ${cpu.toFixed(1).padStart(6)} µs CPU each`);
    }
  }
  const throughput = median(rounds.map((round) => round.throughput));
  const cpu = median(rounds.map((round) => round.cpu));
  const spread = rounds.map((round) => round.throughput.toFixed(2)).join(' ');
  console.log(`\nWSGI against C: throughput × ${throughput.toFixed(2)} (rounds: ${spread}), CPU × ${cpu.toFixed(2)}`);
  failed = options.check && throughput < 1;
} finally {
  server.kill('SIGTERM');
  await new Promise((resolve) => server.once('exit', resolve));
  if (!failed) rmSync(root, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
