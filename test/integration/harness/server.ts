/**
 * A private httpd for tests: its own root folder, free ports, no configuration of the system.
 *
 * A server is described by {@link ServerOptions}, started and stopped by pid. When it has stopped, nothing of it may be
 * left: no process, no child that had to be killed, no child that crashed (unless the test said so).
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync, closeSync, statSync } from 'node:fs';
import { dirname, join, resolve as resolvePath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childIdentity, makeServerRoot, runnableTree } from '../../../scripts/lib/server-root.mjs';
import { selfSignedCertificate } from './certificate.js';
import { request, type HttpResponse, type RequestOptions } from './client.js';
import { resolve, serverDirectives, type Mpm, type ServerOptions, type VirtualHost } from './configuration.js';
import { Http2Client } from './http2-client.js';
import { daemon, modeDirectives, parkingDirectives } from './mode.js';
import { freePorts, isListening } from './ports.js';
import { childProcesses, residentBytes, sessionProcesses, type ProcessInfo } from './processes.js';
import { RawClient } from './raw-client.js';
import { sleep, waitFor } from './wait.js';

/** The native parts are instrumented (npm run test:sanitize): memory and time are not those of a real server. */
export const sanitized = process.env.NWSGI_TEST_SANITIZE === '1';

export const projectRoot = resolvePath(dirname(fileURLToPath(import.meta.url)), '../../..');
const fixtures = join(projectRoot, 'test', 'fixtures');
/** Applications and modules of Python are checked in beside those of JavaScript. */
const folderOf = (name: string) => join(fixtures, /\.(py|wsgi)$/.test(name) ? 'python' : 'apps');
const apache = '/usr/sbin/apache2';

/**
 * Milliseconds before a stop or restart that is not graceful. The event MPM then closes the sockets of its workers without
 * a lock (close_worker_sockets); a worker that ends a connection at that very moment makes httpd itself crash, also one
 * without nwsgi. So connections that a test has just closed are given the time to end.
 */
const SETTLE = 200;

export type Options = ServerOptions<HttpdServer>;
export type Host = VirtualHost<HttpdServer>;

export class HttpdServer {
  readonly options: Options;
  readonly mpm: Mpm;
  /** The server's root folder; exists between construction and {@link dispose}. */
  readonly root: string;
  /** Folder of nwsgi as the children see it. */
  readonly home: string;
  /** Port of each virtual host. */
  ports: number[] = [];
  #process: ChildProcess | undefined;
  #exit: Promise<void> | undefined;

  constructor(options: Options = {}) {
    this.options = options;
    this.mpm = options.mpm ?? 'event';
    this.root = makeServerRoot('nwsgi-test-');
    this.home = process.env.NWSGI_TEST_HOME ?? runnableTree(this.root);
    // Applications can import the package by its name.
    mkdirSync(join(this.root, 'node_modules'));
    symlinkSync(this.home, join(this.root, 'node_modules', 'nwsgi'));
    for (const name of options.apps ?? []) this.addApp(name);
  }

  // ---- files ----

  /** Path of an application in this server's folder. */
  app(name: string): string {
    return join(this.root, 'apps', name);
  }

  /** Copies a checked-in application (test/fixtures/apps; test/fixtures/python for .py and .wsgi). Returns its path. */
  addApp(name: string): string {
    const target = this.app(name);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(folderOf(name), name), target);
    chmodSync(target, 0o644);
    return target;
  }

  /** Writes an application. Returns its path. */
  writeApp(name: string, source: string): string {
    return this.writeFile(join('apps', name), source);
  }

  /** Writes a file below the server's root, readable by its children. Returns its path. */
  writeFile(name: string, content: string | Uint8Array): string {
    const target = join(this.root, name);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    chmodSync(target, 0o644);
    return target;
  }

  // ---- addresses and clients ----

  get port(): number {
    return this.ports[0] as number;
  }

  #host(index: number): Host {
    return this.options.vhosts?.[index] ?? {};
  }

  url(path = '/', host = 0): string {
    return `${this.#host(host).tls ? 'https' : 'http'}://127.0.0.1:${this.ports[host]}${path}`;
  }

  /** A request to the first virtual host, or the one with the number `host`. */
  request(path: string, options: RequestOptions & { host?: number } = {}): Promise<HttpResponse> {
    return request(this.url(path, options.host), options);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { headers });
  }

  post(path: string, body: NonNullable<RequestOptions['body']>, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { method: 'POST', body, headers });
  }

  /** A byte-level client. */
  raw(host = 0): Promise<RawClient> {
    return RawClient.connect(this.ports[host] as number, { tls: this.#host(host).tls ?? false });
  }

  http2(host = 0): Promise<Http2Client> {
    return Http2Client.connect(this.url('', host));
  }

  // ---- life ----

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('the server is not running');
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Starts httpd and resolves when it accepts connections. */
  async start(): Promise<this> {
    for (let attempt = 1; ; attempt++) {
      await this.#choosePorts();
      this.writeConfiguration();
      this.#spawn();
      try {
        await this.#waitUntilReady();
        return this;
      } catch (error) {
        await this.kill();
        // Somebody else was faster to take a port.
        if (attempt < 4 && /Address already in use/.test(this.output())) continue;
        throw new Error(`httpd did not start: ${(error as Error).message}\n${this.output()}`);
      }
    }
  }

  /** Stops httpd, checks that nothing is left of it, and removes its folder. */
  async stop(): Promise<void> {
    if (this.running) {
      await sleep(SETTLE);
      this.#process?.kill('SIGTERM');
      await this.#waitForExit();
    }
    try {
      await this.assertClean();
    } finally {
      this.dispose();
    }
  }

  /** Lets requests in flight finish, then stops. */
  async gracefulStop(milliseconds = 20_000): Promise<void> {
    this.#process?.kill('SIGWINCH');
    await this.#waitForExit(milliseconds);
  }

  /** Graceful restart; resolves when the new generation serves. */
  async graceful(): Promise<void> {
    await this.#restart('SIGUSR1');
  }

  /** Restart that ends requests in flight. */
  async restart(): Promise<void> {
    await sleep(SETTLE);
    await this.#restart('SIGHUP');
  }

  /** Ends every process of the server at once. */
  async kill(): Promise<void> {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    for (const { pid: member } of sessionProcesses(pid)) signal(member, 'SIGKILL');
    await this.#exit;
  }

  dispose(): void {
    if (process.env.NWSGI_TEST_KEEP) console.error(`kept: ${this.root}`);
    else rmSync(this.root, { recursive: true, force: true });
  }

  /** Runs `httpd -t` on the configuration. */
  async check(): Promise<{ ok: boolean; output: string }> {
    if (this.ports.length === 0) await this.#choosePorts();
    const file = this.writeConfiguration();
    const result = spawnSync(apache, ['-t', '-d', this.root, '-f', file], { encoding: 'utf8', env: this.#environment() });
    return { ok: result.status === 0, output: result.stdout + result.stderr };
  }

  // ---- what it does ----

  /** Pids of httpd's children. */
  children(): number[] {
    return this.#started().filter(({ name }) => name === 'apache2').map(({ pid }) => pid);
  }

  /** Pids of the processes that stand between httpd and the supervisors of process groups. */
  monitors(): number[] {
    return this.#started().filter(({ name }) => name === 'nwsgi-monitor').map(({ pid }) => pid);
  }

  /** Pids of the supervisors of process groups. */
  supervisors(): number[] {
    return this.monitors().flatMap((monitor) => childProcesses(monitor).map(({ pid }) => pid));
  }

  /** Pids of the workers of all process groups. */
  workers(): number[] {
    return this.supervisors().flatMap((supervisor) => childProcesses(supervisor).map(({ pid }) => pid));
  }

  /** Pids of the processes in which applications run. */
  appProcesses(): number[] {
    return daemon ? this.workers() : this.children();
  }

  #started(): ProcessInfo[] {
    return childProcesses(this.pid);
  }

  /** Resident bytes of all children and workers together. */
  resident(): number {
    return [...this.children(), ...this.workers()].reduce((sum, pid) => sum + residentBytes(pid), 0);
  }

  get logFile(): string {
    return join(this.root, 'logs', 'error.log');
  }

  /** The error log, from byte `since` on. */
  log(since = 0): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile).subarray(since).toString('utf8') : '';
  }

  /** A position in the error log, for {@link log} and {@link expectLog}. */
  mark(): number {
    return existsSync(this.logFile) ? statSync(this.logFile).size : 0;
  }

  /** The access log. */
  accessLog(): string {
    const file = join(this.root, 'logs', 'access.log');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** What httpd wrote to its terminal, and the error log. */
  output(): string {
    const terminal = join(this.root, 'logs', 'terminal.log');
    return (existsSync(terminal) ? readFileSync(terminal, 'utf8') : '') + this.log();
  }

  /** Waits until the error log matches; returns the match. */
  async expectLog(pattern: RegExp | string, { since = 0, milliseconds = 5000 } = {}): Promise<RegExpMatchArray> {
    const expression = typeof pattern === 'string' ? new RegExp(pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')) : pattern;
    try {
      return await waitFor('', () => this.log(since).match(expression), milliseconds);
    } catch {
      throw new Error(`the error log does not match ${expression} after ${milliseconds} ms:\n${this.log(since)}`);
    }
  }

  /** Fails when the server left something behind or a child did not end in order. */
  async assertClean(): Promise<void> {
    const pid = this.#process?.pid;
    const log = this.log();
    const problems: string[] = [];
    if (pid !== undefined) {
      await waitFor('', () => sessionProcesses(pid).length === 0, 3000).catch(() => {});
      const left = sessionProcesses(pid);
      for (const { pid: member } of left) signal(member, 'SIGKILL');
      if (left.length > 0) problems.push(`processes left: ${left.map((p) => `${p.pid} ${p.name}`).join(', ')}`);
    }
    if (/still did not exit, sending a SIGKILL/.test(log)) problems.push('a child had to be killed with SIGKILL');
    if (!this.options.crashAllowed && /AH00051|AH00052|exit signal/.test(log)) problems.push('a child ended by a signal');
    if (problems.length > 0) throw new Error(`httpd (${this.mpm}) did not end in order: ${problems.join('; ')}\n${tail(log)}`);
  }

  // ---- configuration ----

  /** Writes httpd.conf; returns its path. */
  writeConfiguration(): string {
    const { options } = this;
    const identity = childIdentity();
    const directives = resolve(options.directives, this);
    const lines = [
      ...serverDirectives(this.root, this.logFile, this.modulePath, options),
      ...(identity ? [`User ${identity.user}`, `Group ${identity.user}`] : []),
      ...[...new Set(this.ports)].map((port) => `Listen 127.0.0.1:${port}`),
      ...(options.nwsgi === false ? [] : [...parkingDirectives(), ...modeDirectives(options.daemonOptions, directives)]),
      ...directives,
      ...this.#hosts().flatMap((host, index) => this.#virtualHost(host, index)),
      '',
    ];
    const file = join(this.root, 'httpd.conf');
    writeFileSync(file, lines.join('\n'));
    return file;
  }

  get modulePath(): string {
    return join(this.home, process.env.NWSGI_TEST_OUTPUT ?? 'build/Release', 'mod_nwsgi.so');
  }

  /** The hosts that are written; `vhosts: []` makes a server without any. */
  #hosts(): readonly Host[] {
    return this.options.vhosts ?? [{}];
  }

  #virtualHost(host: Host, index: number): string[] {
    const lines = [`<VirtualHost 127.0.0.1:${this.ports[index]}>`, `ServerName ${host.name ?? 'localhost'}`];
    if (host.tls) {
      const { certificate, key } = selfSignedCertificate(this.root);
      lines.push('SSLEngine on', `SSLCertificateFile "${certificate}"`, `SSLCertificateKeyFile "${key}"`);
    }
    if (host.http2) lines.push(`Protocols ${host.tls ? 'h2' : 'h2c'} http/1.1`);
    return [...lines, ...resolve(host.directives, this), '</VirtualHost>'];
  }

  async #choosePorts(): Promise<void> {
    const wanted = this.options.vhosts?.map((host, index) => host.port ?? 1000 + index) ?? [];
    if (wanted.length === 0) wanted.push(0);
    const distinct = [...new Set(wanted)];
    const free = await freePorts(distinct.length);
    this.ports = wanted.map((number) => free[distinct.indexOf(number)] as number);
  }

  #environment(): NodeJS.ProcessEnv {
    const environment: NodeJS.ProcessEnv = { PATH: process.env.PATH, LANG: 'C.UTF-8' };
    for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS']) {
      if (process.env[name]) environment[name] = process.env[name];
    }
    if (process.env.NWSGI_TEST_PRELOAD) environment.LD_PRELOAD = process.env.NWSGI_TEST_PRELOAD;
    return { ...environment, ...this.options.env };
  }

  #spawn(): void {
    const terminal = openSync(join(this.root, 'logs', 'terminal.log'), 'w');
    const child = spawn(apache, ['-D', 'FOREGROUND', '-d', this.root, '-f', join(this.root, 'httpd.conf')], {
      // A session of its own: everything that the server starts can be found by it.
      detached: true,
      cwd: '/',
      env: this.#environment(),
      stdio: ['ignore', this.options.detached === true ? 'ignore' : terminal, terminal],
    });
    closeSync(terminal);
    this.#process = child;
    this.#exit = new Promise((done) => {
      child.on('exit', () => done());
      child.on('error', () => done());
    });
    liveServers.add(this);
    void this.#exit.then(() => liveServers.delete(this));
  }

  async #waitUntilReady(): Promise<void> {
    const pidFile = join(this.root, 'run', 'httpd.pid');
    const seconds = process.env.NWSGI_TEST_PRELOAD ? 60 : 20;
    await waitFor(
      'httpd to accept connections',
      async () => {
        if (!this.running) throw new Error(`exit status ${this.#process?.exitCode ?? this.#process?.signalCode}`);
        if (!existsSync(pidFile)) return false;
        for (const port of new Set(this.ports)) if (!(await isListening(port))) return false;
        return true;
      },
      seconds * 1000,
    );
  }

  async #waitForExit(milliseconds = 20_000): Promise<void> {
    await Promise.race([this.#exit, sleep(milliseconds)]);
    if (!this.running) return;
    const log = this.log();
    await this.kill();
    throw new Error(`httpd (${this.mpm}) did not stop within ${milliseconds} ms\n${tail(log)}`);
  }

  async #restart(name: NodeJS.Signals): Promise<void> {
    const since = this.mark();
    this.#process?.kill(name);
    await this.expectLog(/resuming normal operations/, { since, milliseconds: 20_000 });
  }
}

/** Servers that run; whatever a test file leaves behind ends with its process. */
const liveServers = new Set<HttpdServer>();
const endAll = () => {
  for (const server of liveServers) {
    if (server.running) for (const { pid } of sessionProcesses(server.pid)) signal(pid, 'SIGKILL');
    server.dispose();
  }
};
process.on('exit', endAll);
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended in the meantime.
  }
}

const tail = (log: string) => log.trimEnd().split('\n').slice(-40).join('\n');
