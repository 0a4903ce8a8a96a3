// npm start [-- --port N] [--host ADDRESS] [--script FILE]: sets up, then runs a private Apache in the foreground
// with the example application.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isAlive } from './lib/lock.mjs';
import { cache } from './lib/paths.mjs';
import { childIdentity, makeServerRoot, runnableTree } from './lib/server-root.mjs';
import { setUp } from './lib/setup.mjs';
import { bold, dim, main, UserError } from './lib/steps.mjs';

const apache = '/usr/sbin/apache2';

function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: 'string', default: '8000' },
        host: { type: 'string', default: '127.0.0.1' },
        script: { type: 'string' },
      },
    }));
  } catch (error) {
    throw new UserError(`${error.message}\nUsage: npm start -- [--port N] [--host ADDRESS] [--script FILE]`);
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new UserError(`--port ${values.port} is no port number (1 to 65535).`);
  const script = values.script === undefined ? undefined : resolve(process.env.INIT_CWD ?? process.cwd(), values.script);
  if (script !== undefined && !existsSync(script)) throw new UserError(`There is no file ${script}.`);
  const address = values.host.includes(':') ? `[${values.host}]:${port}` : `${values.host}:${port}`;
  return { port, host: values.host, address, url: `http://${address}/`, script };
}

/** Remembers the server that was started for a port, so that a second start can say so. */
const recordFile = ({ port }) => join(cache, `start-${port}.json`);

async function assertNotRunning(options) {
  const file = recordFile(options);
  if (!existsSync(file)) return;
  const { pid, url } = JSON.parse(readFileSync(file, 'utf8'));
  if (isAlive(pid) && (await isListening(options))) {
    throw new UserError(
      `nwsgi is running already: ${url} (process ${pid}).\n` +
        `Stop it with Ctrl-C in its terminal or "kill ${pid}", or start another one: npm start -- --port ${options.port + 1}`,
    );
  }
  rmSync(file, { force: true });
}

function isListening({ host, port }) {
  return new Promise((done) => {
    const socket = net.connect({ host, port });
    socket.on('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}

async function assertPortIsFree({ host, port }) {
  await new Promise((done, fail) => {
    const probe = net.createServer();
    probe.on('error', (error) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${error.code})`;
      fail(new UserError(`Port ${port} on ${host} ${why}. Choose another one: npm start -- --port ${port + 1}`));
    });
    probe.listen({ host, port, exclusive: true }, () => probe.close(done));
  });
}

function writeConfiguration(folder, { address, script }) {
  const home = runnableTree(folder);
  const chosen = script ?? join(home, 'apache-conf', 'example', 'app.ts');
  const identity = childIdentity();
  const definitions = {
    NWSGI_HOME: home,
    NWSGI_SERVER_ROOT: folder,
    NWSGI_ADDRESS: address,
    NWSGI_SCRIPT: chosen,
    NWSGI_SCRIPT_DIR: dirname(chosen),
  };
  const lines = Object.entries(definitions).map(([name, value]) => `Define ${name} "${value}"`);
  if (identity !== null) lines.push(`User ${identity.user}`, `Group ${identity.user}`);
  lines.push(`Include "${home}/apache-conf/development.conf"`, '');
  const file = join(folder, 'httpd.conf');
  writeFileSync(file, lines.join('\n'));
  return file;
}

/** Runs Apache in a session of its own: a Ctrl-C of the terminal reaches this script only, which stops it in order. */
function startApache(folder, config) {
  const child = spawn(apache, ['-D', 'FOREGROUND', '-d', folder, '-f', config], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const server = { child, folder, stopping: false, ended: false };
  server.exited = new Promise((done) => {
    child.on('error', (error) => {
      server.ended = true;
      done(error.message);
    });
    child.on('exit', (code, signal) => {
      server.ended = true;
      done(signal ? `signal ${signal}` : `exit status ${code}`);
    });
  });
  const stop = () => {
    if (server.ended) return;
    // Asked twice: leave at once.
    if (server.stopping) process.kill(-child.pid, 'SIGKILL');
    else child.kill('SIGTERM');
    server.stopping = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  process.on('exit', () => server.ended || child.kill('SIGTERM'));
  return server;
}

/** Waits for the first answer. Returns its status. */
async function waitUntilReady(server, { host, port }) {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (server.ended) {
      if (server.stopping) return 0;
      throw new UserError(`Apache did not start (${await server.exited}).\n${tail(server.folder)}`);
    }
    const status = await firstStatus(host, port);
    if (status !== undefined) return status;
    await sleep(100);
  }
  server.child.kill('SIGTERM');
  throw new UserError(`Apache did not answer within 30 seconds.\n${tail(server.folder)}`);
}

function firstStatus(host, port) {
  return new Promise((done) => {
    const request = http.get({ host, port, path: '/', timeout: 20_000 }, (response) => {
      response.resume();
      done(response.statusCode);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => done(undefined));
  });
}

function announce({ url, script }, libnode, folder, status) {
  if (status === 0) return;
  const log = join(folder, 'logs', 'error.log');
  if (status >= 500) console.log(`\nThe application answered with status ${status}. The error log says:\n${tail(folder)}`);
  console.log(`
${bold(url)}
  application  ${script ?? 'apache-conf/example/app.ts'}
  mode         embedded (inside Apache's child process)
  Node         ${libnode.version} ${dim(`(${libnode.origin})`)}
  error log    ${log}
  access log   ${join(folder, 'logs', 'access.log')}
Press Ctrl-C to stop.
`);
}

function tail(folder) {
  const file = join(folder, 'logs', 'error.log');
  const lines = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20) : [];
  return lines.map((line) => `    ${line}`).join('\n');
}

await main(async () => {
  const options = readOptions();
  await assertNotRunning(options);
  const { libnode } = await setUp();
  await assertPortIsFree(options);

  const folder = makeServerRoot('nwsgi-start-');
  const record = recordFile(options);
  try {
    const config = writeConfiguration(folder, options);
    const server = startApache(folder, config);
    mkdirSync(cache, { recursive: true });
    writeFileSync(record, JSON.stringify({ pid: server.child.pid, url: options.url }));
    const answer = await waitUntilReady(server, options);
    announce(options, libnode, folder, answer);
    const status = await server.exited;
    if (!server.stopping) throw new UserError(`Apache ended (${status}). Its log ends with:\n${tail(folder)}`);
    console.log('Stopped.');
    return 0;
  } finally {
    rmSync(record, { force: true });
    rmSync(folder, { recursive: true, force: true });
  }
});
