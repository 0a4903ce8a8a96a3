// What the benchmarks share: private servers, load by wrk, CPU of the servers' processes.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const benchFolder = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(benchFolder, '..', 'build', 'Release');
const modules = '/usr/lib/apache2/modules';

export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/**
 * Configuration of an Apache with one child of 64 threads. `modulesToLoad`: names such as "proxy"; `directives`: text;
 * `nwsgi`: load mod_nwsgi.
 */
export function apacheConfiguration({ root, port, modulesToLoad = [], directives, nwsgi = true }) {
  const names = ['mpm_event', 'authz_core', ...modulesToLoad];
  return `
ServerRoot "${root}"
DefaultRuntimeDir "${root}"
PidFile "${root}/httpd.pid"
Listen 127.0.0.1:${port}
ServerName 127.0.0.1
${names.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join('\n')}
${nwsgi ? `LoadModule nwsgi_module ${build}/mod_nwsgi.so` : ''}
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
${directives}
`;
}

/** Starts a server and waits until it answers at `url`. */
export async function startServer(command, args, url, env = {}) {
  const server = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await fetch(url);
      return server;
    } catch (error) {
      if (attempt === 100 || server.exitCode !== null) throw error;
      await sleep(100);
    }
  }
}

export const startApache = (root, url) => startServer('/usr/sbin/apache2', ['-D', 'FOREGROUND', '-f', join(root, 'httpd.conf')], url);

export async function stopServer(server) {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await ended;
}

/** Ticks (1/100 s) that these processes and all their descendants have used so far. */
function ticksOf(pids) {
  const processes = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      // Behind the name, which may contain spaces and parentheses: state, parent, …
      const text = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      processes.set(Number(entry), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
    } catch {
      // The process ended meanwhile.
    }
  }
  const counts = (pid) => pids.includes(pid) || (processes.has(pid) && counts(processes.get(pid).parent));
  let ticks = 0;
  for (const [pid, process_] of processes) if (counts(pid)) ticks += process_.ticks;
  return ticks;
}

const toMilliseconds = (text) => Number.parseFloat(text) * ({ us: 0.001, ms: 1, s: 1000 }[/[a-z]+$/.exec(text)?.[0]] ?? Number.NaN);

/**
 * Load on `url` for some seconds: requests/s, p99 in ms, µs of CPU of `servers` for each request. `paced`: connections wait 8 ms
 * before each request.
 */
export function measure(url, servers, { connections, seconds, paced = false }) {
  const pace = paced ? ['-s', join(benchFolder, 'lib', 'paced.lua')] : [];
  const pids = servers.map(({ pid }) => pid);
  const before = ticksOf(pids);
  return new Promise((resolve, reject) => {
    const wrk = spawn('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, ...pace, '--latency', url]);
    let text = '';
    wrk.stdout.on('data', (data) => (text += data));
    wrk.on('error', reject);
    wrk.on('close', () => {
      const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0);
      const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0);
      const p99 = toMilliseconds(/99%\s+(\S+)/.exec(text)?.[1] ?? '');
      if (requests === 0 || /Non-2xx|Socket errors/.test(text)) reject(new Error(`wrk ${url}:\n${text}`));
      else resolve({ rate, p99, cpu: ((ticksOf(pids) - before) * 10_000) / requests });
    });
  });
}

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

export function line(label, { rate, p99, cpu }) {
  return `${label.padEnd(32)} ${rate.toFixed(0).padStart(7)} requests/s  p99 ${p99.toFixed(2).padStart(7)} ms  ${cpu.toFixed(1).padStart(6)} µs CPU each`;
}
