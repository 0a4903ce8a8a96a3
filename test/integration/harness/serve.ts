/**
 * `nwsgi serve` as a real process in a folder of its own, like {@link HttpdServer} for httpd. Started by root it serves as the
 * user of httpd's children, by `--user`. When it has stopped, nothing of it may be left: no process, no socket.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { childIdentity, makeServerRoot, runnableTree } from '../../../scripts/lib/server-root.mjs';
import { request, type HttpResponse, type RequestOptions } from './client.js';
import { freePorts } from './ports.js';
import { sessionProcesses } from './processes.js';
import { RawClient } from './raw-client.js';
import { projectRoot } from './server.js';
import { waitFor } from './wait.js';

const fixtures = join(projectRoot, 'test', 'fixtures', 'apps');

export interface ServeOptions {
  /** Fixture applications that are copied into the server's folder. */
  apps?: readonly string[];
  /** Path below `apps` of the application that is served; the first of `apps` when absent. */
  script?: string;
  /** An application elsewhere, instead. */
  path?: string;
  args?: (server: NwsgiServe) => readonly string[];
  env?: Record<string, string>;
  /** Serve as this user when started by root: true. */
  changeUser?: boolean;
  /** A command that runs the one that follows. */
  launcher?: (server: NwsgiServe) => readonly string[];
}

export class NwsgiServe {
  readonly options: ServeOptions;
  readonly root: string;
  /** Folder of nwsgi as the user of the workers sees it. */
  readonly home: string;
  port = 0;
  child: ChildProcess | undefined;
  /** Exit code or signal, once it has ended. */
  ended: number | string | undefined;
  #exit: Promise<void> | undefined;

  constructor(options: ServeOptions = {}) {
    this.options = options;
    this.root = makeServerRoot('nwsgi-serve-');
    this.home = process.env.NWSGI_TEST_HOME ?? runnableTree(this.root);
    const identity = childIdentity();
    // Where sockets, process files and logs are made: as systemd's RuntimeDirectory=.
    if (identity) for (const name of ['run', 'logs']) chownSync(join(this.root, name), identity.uid, identity.gid);
    mkdirSync(join(this.root, 'node_modules'));
    symlinkSync(this.home, join(this.root, 'node_modules', 'nwsgi'));
    for (const name of options.apps ?? []) this.addApp(name);
  }

  app(name: string): string {
    return join(this.root, 'apps', name);
  }

  addApp(name: string): string {
    return this.#place(this.app(name), (target) => copyFileSync(join(fixtures, name), target));
  }

  writeApp(name: string, source: string): string {
    return this.#place(this.app(name), (target) => writeFileSync(target, source));
  }

  #place(target: string, write: (target: string) => void): string {
    mkdirSync(dirname(target), { recursive: true });
    write(target);
    chmodSync(target, 0o644);
    return target;
  }

  get script(): string {
    return this.options.path ?? this.app(this.options.script ?? this.options.apps?.[0] ?? 'app.mjs');
  }

  get socket(): string {
    return join(this.root, 'run', 'app.sock');
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('nwsgi serve was not started');
    return this.child.pid;
  }

  get running(): boolean {
    return this.child !== undefined && this.ended === undefined;
  }

  /** Starts it and resolves when it has announced where it serves. */
  async start(): Promise<this> {
    const since = this.mark();
    await this.spawn();
    await waitFor(`nwsgi serve to serve`, () => {
      if (this.ended !== undefined) throw new Error(`nwsgi serve ended (${this.ended}):\n${this.output(since)}`);
      return /^ {2}process +\d/m.test(this.output(since));
    }).catch(async (error: Error) => {
      const said = this.output();
      await this.kill();
      throw new Error(`${error.message}\n${said}`);
    });
    return this;
  }

  /** Starts it and does not wait. */
  async spawn(): Promise<void> {
    if (this.port === 0) [this.port = 0] = await freePorts(1);
    const { args, env, changeUser = true, launcher } = this.options;
    const given = args?.(this) ?? [`--http=127.0.0.1:${this.port}`];
    const identity = changeUser ? childIdentity() : null;
    const user = identity === null ? [] : [`--user=${identity.user}`];
    const [program, ...rest] = [...(launcher?.(this) ?? []), process.execPath, join(this.home, 'dist', 'cli', 'main.js'), 'serve', this.script, ...user, ...given] as [string, ...string[]];
    const terminal = openSync(this.#terminal, 'a');
    // A session of its own: everything that it starts can be found by it.
    const child = spawn(program, rest, { cwd: this.root, detached: true, stdio: ['ignore', terminal, terminal], env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...env } });
    closeSync(terminal);
    this.child = child;
    this.ended = undefined;
    live.add(this);
    this.#exit = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        this.ended = signal ?? code ?? 0;
        live.delete(this);
        resolve();
      });
    });
  }

  get #terminal(): string {
    return join(this.root, 'terminal.log');
  }

  /** What it wrote to its terminal, from byte `since` on. */
  output(since = 0): string {
    return existsSync(this.#terminal) ? readFileSync(this.#terminal).subarray(since).toString() : '';
  }

  mark(): number {
    return existsSync(this.#terminal) ? statSync(this.#terminal).size : 0;
  }

  async expectOutput(pattern: RegExp, { since = 0, milliseconds = 10_000 } = {}): Promise<RegExpMatchArray> {
    try {
      return await waitFor('', () => this.output(since).match(pattern), milliseconds);
    } catch {
      throw new Error(`nwsgi serve did not say ${pattern} within ${milliseconds} ms:\n${this.output(since)}`);
    }
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Waits for its end. Returns the exit code or signal. */
  async exit(milliseconds = 15_000): Promise<number | string> {
    await waitFor('nwsgi serve to end', () => this.ended !== undefined, milliseconds).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.output()}`);
    });
    return this.ended as number | string;
  }

  /** Stops it gracefully, checks that nothing is left, and removes its folder. */
  async stop(): Promise<void> {
    try {
      if (this.running) {
        this.signal('SIGTERM');
        const status = await this.exit(25_000);
        if (status !== 0) throw new Error(`nwsgi serve ended with ${status}:\n${this.output()}`);
      }
      await this.assertClean();
    } catch (error) {
      await this.kill();
      throw error;
    }
    this.dispose();
  }

  async assertClean(): Promise<void> {
    const { pid } = this;
    await waitFor('', () => sessionProcesses(pid).length === 0, 3000).catch(() => {});
    const left = sessionProcesses(pid);
    if (left.length > 0) throw new Error(`processes left: ${left.map((one) => `${one.pid} ${one.name}`).join(', ')}\n${this.output()}`);
    if (existsSync(this.socket)) throw new Error(`${this.socket} was left\n${this.output()}`);
  }

  async kill(): Promise<void> {
    const pid = this.child?.pid;
    if (pid === undefined) return;
    endSession(pid);
    await this.#exit;
  }

  dispose(): void {
    if (process.env.NWSGI_TEST_KEEP) console.error(`kept: ${this.root}`);
    else rmSync(this.root, { recursive: true, force: true });
  }

  // ---- clients of --http ----

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  request(path: string, options: RequestOptions = {}): Promise<HttpResponse> {
    return request(this.url(path), options);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.request(path, { headers });
  }

  raw(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  /** Worker processes. */
  workers(): number[] {
    return sessionProcesses(this.pid).filter((one) => one.parent === this.pid).map((one) => one.pid);
  }
}

function endSession(pid: number): void {
  for (const { pid: member } of sessionProcesses(pid)) {
    try {
      process.kill(member, 'SIGKILL');
    } catch {
      // It ended in the meantime.
    }
  }
}

/** Whatever a test file leaves behind ends with its process. */
const live = new Set<NwsgiServe>();
process.on('exit', () => {
  for (const server of live) {
    endSession(server.pid);
    server.dispose();
  }
});

/** Runs `body` with a server of its own, and stops that however it ends. */
export async function withServe<T>(options: ServeOptions, body: (server: NwsgiServe) => Promise<T>): Promise<T> {
  const server = new NwsgiServe(options);
  try {
    await server.start();
    const result = await body(server);
    await server.stop();
    return result;
  } catch (error) {
    const said = server.output();
    await server.kill();
    server.dispose();
    if (error instanceof Error && !error.message.includes(said)) error.message += `\nnwsgi serve said:\n${said}`;
    throw error;
  }
}
