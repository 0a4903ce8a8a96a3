// What a contender starts with: folders, ports, the scripts of the application, Apaches and other processes.
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { apacheConfiguration } from './apache.mjs';
import { cpuOf, memoryOf } from './processes.mjs';
import { startProcess } from './server-process.mjs';

export const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** One request on a connection of its own: status and body. */
export const get = (url, { method = 'GET', body, headers = {} } = {}) =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, agent: false, headers: body === undefined ? headers : { 'content-length': body.length, ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });

/** Waits until the server answers with anything but an error of its own; throws with what it printed when it does not. */
async function firstAnswer(url, started) {
  const deadline = performance.now() + 30_000;
  let last;
  for (;;) {
    try {
      const { status, body } = await get(url);
      if (status < 500) return;
      last = `${status} ${body.toString().slice(0, 300)}`;
    } catch (error) {
      last = error.message;
    }
    if (started.ended() || performance.now() > deadline) throw new Error(`${url} does not answer (${last})\n${started.said()}`);
    await sleep(2);
  }
}

/** `paths` of a server: where it has what the application has at another path. */
const urlOf = ({ url, paths }, path) => `${url}${paths?.[path] ?? path}`;

/**
 * The contenders of one application that are measured with each other. Several can share a server (`shared`): the C handler, the
 * static file and nwsgi are in one Apache.
 */
export class Group {
  /** @param {{home: string, folder: string, apps: string, node: string, cpus: string | null, helper: string}} machine */
  constructor(machine, { application, apache }) {
    this.machine = machine;
    this.application = application;
    this.apache = apache;
    this.started = [];
    this.sharedServers = new Map();
  }

  /** Starts a contender; its place is where it is measured. */
  async start(contender) {
    const already = this.started.length;
    const host = new Host(this, contender);
    const server = await contender.start(host);
    await firstAnswer(urlOf(server, this.application.check.path), server.processes[0]);
    const began = this.started[already]?.began ?? performance.now();
    return new Place(contender, this.application, server, (performance.now() - began) / 1000);
  }

  async stop() {
    await Promise.all(this.started.map((started) => started.stop()));
    this.started = [];
    this.sharedServers.clear();
  }
}

class Host {
  #group;
  #contender;

  constructor(group, contender) {
    this.#group = group;
    this.#contender = contender;
    this.application = group.application;
    this.machine = group.machine;
    /** Folder of the applications, readable for everybody. */
    this.apps = group.machine.apps;
    /** The node that everything runs: the same version as the embedded one. */
    this.node = group.machine.node;
  }

  /** The file of the application for a kind of server: "wsgi" (also Node applications in nwsgi), "node", "python". */
  script(kind) {
    return join(this.apps, this.application[kind]);
  }

  newFolder(name = 'server') {
    const folder = mkdtempSync(join(this.machine.folder, `${name}-`));
    chmodSync(folder, 0o755);
    return folder;
  }

  /** Starts a process of the contender; it ends with the group. */
  process(command, args, options = {}) {
    const started = startProcess(this.machine, command, args, options);
    this.#group.started.push(started);
    return started;
  }

  /** The application under node:http. */
  async startNode() {
    const port = await freePort();
    const started = this.process(this.node, [this.script('node')], { env: { PORT: String(port), NODE_ENV: 'production', ...this.application.env }, cwd: this.apps });
    const url = `http://127.0.0.1:${port}`;
    await firstAnswer(`${url}${this.application.check.path}`, started);
    return { url, port, processes: [started] };
  }

  /**
   * Starts an Apache. `directives` may be a function of the server's folder and port.
   * @returns {Promise<{url: string, folder: string, processes: object[], graceful: () => void}>}
   */
  async startApache({ modules = [], directives, nwsgi = false }) {
    const port = await freePort();
    const folder = this.newFolder('apache');
    mkdirSync(join(folder, 'htdocs'));
    const own = typeof directives === 'function' ? directives({ folder, port }) : directives;
    const extra = this.#group.apache;
    const more = typeof extra === 'function' ? extra(this.#contender) : (extra ?? '');
    const access = `<Directory "${this.apps}">\n  Require all granted\n</Directory>`;
    const text = apacheConfiguration({ folder, port, modules, directives: `${access}\n${own}\n${more}`, nwsgi: nwsgi ? join(this.machine.home, 'build', 'Release', 'mod_nwsgi.so') : undefined });
    writeFileSync(join(folder, 'httpd.conf'), text);
    const started = this.process('/usr/sbin/apache2', ['-D', 'FOREGROUND', '-f', join(folder, 'httpd.conf')], { log: join(folder, 'error.log') });
    return { url: `http://127.0.0.1:${port}`, folder, processes: [started], graceful: () => started.signal('SIGUSR1') };
  }

  /** A server that several contenders of the group share: `start` runs once. */
  shared(name, start) {
    const { sharedServers } = this.#group;
    if (!sharedServers.has(name)) sharedServers.set(name, start());
    return sharedServers.get(name);
  }
}

/** A contender that runs: where it is measured, and what it uses. */
class Place {
  constructor(contender, application, server, startSeconds) {
    this.contender = contender;
    this.application = application;
    this.server = server;
    this.startSeconds = startSeconds;
    this.pids = server.processes.map(({ pid }) => pid);
  }

  url(path = '/') {
    return urlOf(this.server, path);
  }

  /** Seconds of CPU of all processes so far. */
  cpu() {
    return cpuOf(this.pids);
  }

  memory() {
    return memoryOf(this.pids);
  }

  /** New code without a pause, as the contender does it; undefined when it cannot. */
  get reload() {
    return this.server.reload;
  }

  /** Throws when the answer is not the one that is expected: `body` (text or bytes), or its `length`. */
  async check({ path = '/', method, send, status = 200, body, length } = {}) {
    const answer = await get(this.url(path), { method, body: send });
    const wanted = body === undefined ? undefined : Buffer.from(body);
    const right = answer.status === status && (wanted === undefined || answer.body.equals(wanted)) && (length === undefined || answer.body.length === length);
    if (right) return;
    const text = answer.body.length > 300 ? `${answer.body.length} bytes` : JSON.stringify(answer.body.toString());
    throw new Error(`${method ?? 'GET'} ${path} answers ${answer.status} with ${text}`);
  }
}
