/** NGINX and Caddy in front of `nwsgi serve`: real ones, private, in the foreground. See scripts/lib/front-servers.mjs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { frontServers } from '../../../scripts/lib/front-servers.mjs';
import { childIdentity, makeServerRoot } from '../../../scripts/lib/server-root.mjs';
import { request, type HttpResponse, type RequestOptions } from './client.js';
import { freePorts, isListening } from './ports.js';
import { sessionProcesses } from './processes.js';
import { RawClient } from './raw-client.js';
import { waitFor } from './wait.js';

const programs = frontServers() as { nginx?: string; nginxFiles?: string; caddy?: string };

export const hasNginx = programs.nginx !== undefined;
export const hasCaddy = programs.caddy !== undefined;

type Kind = 'nginx' | 'caddy';

export class FrontServer {
  readonly kind: Kind;
  readonly root: string;
  port = 0;
  readonly #configuration: (server: FrontServer) => string;
  #process: ChildProcess | undefined;

  /** @param configuration for NGINX the content of its `http` block, for Caddy that of its Caddyfile without global options */
  constructor(kind: Kind, configuration: (server: FrontServer) => string) {
    this.kind = kind;
    this.#configuration = configuration;
    this.root = makeServerRoot(`nwsgi-${kind}-`);
  }

  async start(): Promise<this> {
    [this.port = 0] = await freePorts(1);
    const [program, ...args] = this.kind === 'nginx' ? this.#nginx() : this.#caddy();
    const child = spawn(program as string, args, { detached: true, cwd: this.root, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: this.root } });
    this.#process = child;
    live.add(this);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
    await waitFor(`${this.kind} to listen`, () => {
      if (child.exitCode !== null) throw new Error(`${this.kind} ended with ${child.exitCode}:\n${said}\n${this.log()}`);
      return isListening(this.port);
    });
    return this;
  }

  #nginx(): string[] {
    // Debian's own files, which configurations include by relative names.
    for (const name of ['fastcgi_params', 'fastcgi.conf', 'proxy_params', 'mime.types']) {
      const file = join(programs.nginxFiles ?? '', name);
      if (existsSync(file)) cpSync(file, join(this.root, name));
    }
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${this.root}/run/${name};`);
    const identity = childIdentity();
    const file = join(this.root, 'nginx.conf');
    writeFileSync(
      file,
      [
        'daemon off;',
        ...(identity ? [`user ${identity.user};`] : []),
        'worker_processes 1;',
        `pid ${this.root}/run/nginx.pid;`,
        `error_log ${this.logFile} info;`,
        'events { worker_connections 512; }',
        'http {',
        'access_log off;',
        ...temporary,
        this.#configuration(this),
        '}',
        '',
      ].join('\n'),
    );
    return [programs.nginx ?? '', '-p', this.root, '-c', file, '-e', this.logFile];
  }

  #caddy(): string[] {
    const file = join(this.root, 'Caddyfile');
    mkdirSync(join(this.root, 'caddy'));
    writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n\tstorage file_system ${this.root}/caddy\n\tlog {\n\t\toutput file ${this.logFile}\n\t}\n}\n${this.#configuration(this)}\n`);
    return [programs.caddy ?? '', 'run', '--config', file, '--adapter', 'caddyfile'];
  }

  get logFile(): string {
    return join(this.root, 'logs', 'error.log');
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      // Caddy waits for its clients.
      const impatience = setTimeout(() => child.kill('SIGKILL'), 2000);
      await ended;
      clearTimeout(impatience);
    }
    this.dispose();
  }

  /** Ends what is left of it, and removes its folder. */
  dispose(): void {
    const pid = this.#process?.pid;
    for (const member of pid === undefined ? [] : sessionProcesses(pid)) process.kill(member.pid, 'SIGKILL');
    live.delete(this);
    rmSync(this.root, { recursive: true, force: true });
  }

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
}

/** Whatever a test file leaves behind ends with its process. */
const live = new Set<FrontServer>();
process.on('exit', () => {
  for (const server of live) server.dispose();
});
