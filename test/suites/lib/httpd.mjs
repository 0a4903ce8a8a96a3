// A private httpd that runs files of tests: each is an application of its own, loaded when the server's only child
// starts, that answers on a few ports of its own.
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../../../scripts/lib/paths.mjs';
import { childIdentity, makeServerRoot } from '../../../scripts/lib/server-root.mjs';
import { capture, UserError } from '../../../scripts/lib/steps.mjs';

const apache = '/usr/sbin/apache2';
const modules = '/usr/lib/apache2/modules';
const runner = join(root, 'test', 'suites', 'runner', 'main.cjs');
const PLAIN_PORTS = 48;
const TLS_PORTS = 4;

/** Runs the jobs at the same time in one httpd; their results are in the files that they name. */
export async function runInHttpd(jobs, { home, flags, certificate, h2c, cwd, keep }) {
  const folder = makeServerRoot('nwsgi-suite-');
  try {
    const results = join(folder, 'results');
    mkdirSync(results);
    own(results);
    const ports = await freePorts(jobs.length * (PLAIN_PORTS + TLS_PORTS));
    const placed = jobs.map((job, index) => placeJob(job, index, { folder, results, ports }));
    const config = writeConfiguration(folder, placed, { home, flags, h2c, certificate: certificate ?? selfSigned(folder) });
    const server = startHttpd(folder, config, cwd);
    const limit = Date.now() + Math.max(...jobs.map((job) => job.limit)) + 10_000;
    while (Date.now() < limit && !server.ended && !placed.every((job) => isOver(job.result))) await sleep(50);
    await stopHttpd(server);
    const log = readIfThere(join(folder, 'logs', 'error.log')) + server.output;
    if (keep) console.log(`    kept: ${folder}`);
    return placed.map(({ result }) => ({ state: JSON.parse(readIfThere(result) || 'null'), log }));
  } finally {
    if (!keep) rmSync(folder, { recursive: true, force: true });
  }
}

const readIfThere = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

function isOver(result) {
  return JSON.parse(readIfThere(result) || '{}').ended === true;
}

function own(path) {
  const identity = childIdentity();
  if (identity !== null) chownSync(path, identity.uid, identity.gid);
}

function placeJob(job, index, { folder, results, ports }) {
  const mine = ports.slice(index * (PLAIN_PORTS + TLS_PORTS), (index + 1) * (PLAIN_PORTS + TLS_PORTS));
  const scratch = join(results, `scratch-${index}`);
  mkdirSync(scratch);
  own(scratch);
  const placed = {
    ...job,
    result: join(results, `${index}.json`),
    ports: { plain: mine.slice(TLS_PORTS), tls: mine.slice(0, TLS_PORTS) },
    env: { ...job.env, NODE_TEST_DIR: scratch, TMPDIR: scratch },
  };
  // Loading ends when a server listens, however long that takes on a busy machine.
  const script = join(folder, 'apps', `job-${index}.mjs`);
  writeFileSync(script, `import runner from ${JSON.stringify(runner)};\nawait runner.runOnce(${JSON.stringify(placed)});\n`);
  return { ...placed, script, group: `job-${index}` };
}

/** Free ports below those that the system gives away by itself. */
async function freePorts(count) {
  const found = [];
  let port = 20_000 + (process.pid % 80) * 100;
  while (found.length < count && port < 32_000) {
    if (await isFree(port)) found.push(port);
    port += 1;
  }
  if (found.length < count) throw new UserError(`There are fewer than ${count} free ports below 32000.`);
  return found;
}

function isFree(port) {
  return new Promise((done) => {
    const probe = net.createServer();
    probe.on('error', () => done(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => done(true)));
  });
}

function selfSigned(folder) {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = capture('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert]);
  if (made.status !== 0) throw new UserError(`openssl made no certificate:\n${made.stderr}`);
  return { cert, key };
}

function writeConfiguration(folder, jobs, { home, flags, h2c, certificate }) {
  const names = ['mpm_event', 'authz_core', 'alias', 'env', 'setenvif', 'ssl', 'socache_shmcb', 'http2'];
  const identity = childIdentity();
  const lines = [
    `ServerRoot "${folder}"`,
    'ServerName localhost',
    `PidFile "${folder}/run/httpd.pid"`,
    `DefaultRuntimeDir "${folder}/run"`,
    ...(identity ? [`User ${identity.user}`, `Group ${identity.user}`] : []),
    `ErrorLog "${folder}/logs/error.log"`,
    'LogLevel warn nwsgi:info',
    ...names.map((name) => `LoadModule ${name}_module "${modules}/mod_${name}.so"`),
    `LoadModule nwsgi_module "${home}/build/Release/mod_nwsgi.so"`,
    ...sizes,
    ...(flags.length > 0 ? [`WSGINodeOptions ${flags.join(' ')}`] : []),
    'WSGIScriptReloading Off',
    '<Directory />',
    '  Require all granted',
    '</Directory>',
    ...jobs.flatMap((job) => [
      ...[...job.ports.plain, ...job.ports.tls].flatMap((port) => addresses.map((address) => `Listen ${address}:${port}`)),
      ...host(job, job.ports.plain, [`Protocols ${h2c ? 'h2c ' : ''}http/1.1`]),
      ...host(job, job.ports.tls, ['Protocols h2 http/1.1', 'SSLEngine on', `SSLCertificateFile "${certificate.cert}"`, `SSLCertificateKeyFile "${certificate.key}"`]),
    ]),
    '',
  ];
  const file = join(folder, 'httpd.conf');
  writeFileSync(file, lines.join('\n'));
  chmodSync(folder, 0o755);
  return file;
}

/** One child, so that all requests of a file of tests reach the environment that runs it. */
const sizes = ['ServerLimit 1', 'StartServers 1', 'ThreadsPerChild 96', 'ThreadLimit 96', 'MaxRequestWorkers 96', 'MinSpareThreads 1', 'MaxSpareThreads 96'];

/** What a virtual host sets that wants URLs to reach its application as they are; not all of it is inherited. */
const asNodeDoes = [
  'AllowEncodedSlashes NoDecode',
  'MergeSlashes Off',
  'H2Push Off',
  'H2EarlyHints On',
  'LimitRequestFields 2000',
  'LimitRequestFieldSize 16380',
  'LimitRequestLine 16380',
];

const addresses = ['127.0.0.1', ...(existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo') ? ['[::1]'] : [])];

function host(job, ports, directives) {
  return [
    `<VirtualHost ${ports.flatMap((port) => addresses.map((address) => `${address}:${port}`)).join(' ')}>`,
    ...[...asNodeDoes, ...directives].map((line) => `  ${line}`),
    `  WSGIScriptAlias / "${job.script}" process-group=%{GLOBAL} application-group=${job.group}`,
    '</VirtualHost>',
  ];
}

function startHttpd(folder, config, cwd) {
  const child = spawn(apache, ['-D', 'FOREGROUND', '-d', folder, '-f', config], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const server = { child, ended: false, output: '' };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (server.output += chunk));
  server.exited = new Promise((done) => {
    const over = () => {
      server.ended = true;
      done();
    };
    child.on('error', over);
    child.on('exit', over);
  });
  return server;
}

async function stopHttpd(server) {
  if (server.ended) return;
  server.child.kill('SIGTERM');
  const timer = setTimeout(() => server.child.kill('SIGKILL'), 12_000);
  await server.exited;
  clearTimeout(timer);
}
