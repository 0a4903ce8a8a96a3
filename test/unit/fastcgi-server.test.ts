/** The FastCGI server of nwsgi_bridge.node in a real Node process, with the real gateway and an application. */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EXTENDED, FastCgiClient, HAS_BODY, record, request, Type } from './helpers/fastcgi.js';
import { nodes, root } from './helpers/gateway.js';

const addon = join(root, 'build/Release/nwsgi_bridge.node');
/** That of the worker: the sanitized one of `npm run test:sanitize`, say, with the library that it needs. */
const workerAddon = join(root, process.env.NWSGI_TEST_OUTPUT ?? 'build/Release', 'nwsgi_bridge.node');
const workerEnvironment = { ...process.env, LD_PRELOAD: process.env.NWSGI_TEST_PRELOAD ?? '' };
const SCRIPT = `
import { openSync, readFileSync } from 'node:fs';
function spin() { console.error('spinning'); for (;;); }
const routes = {
  '/hello': (environ, start) => { start('200 OK', [['Content-Type', 'text/plain']]); return ['hello ' + environ.REQUEST_METHOD]; },
  '/environ': (environ, start) => { start('200 OK', []); return [JSON.stringify(environ, (key, value) => (typeof value === 'string' || key === '' ? value : undefined))]; },
  '/echo': async function* (environ, start) { start('200 OK', []); for await (const piece of environ['wsgi.input']) yield piece; },
  '/large': function* (environ, start) { start('200 OK', []); for (let i = 0; i < 64; i++) yield Buffer.alloc(100_003, i); },
  '/file': (environ, start) => { start('200 OK', []); return environ['wsgi.file_wrapper'](openSync(environ.QUERY_STRING, 'r')); },
  '/short': (environ, start) => { start('200 OK', [['Content-Length', '10']]); return ['five!']; },
  '/throw': () => { throw new Error('of the application'); },
  '/half': function* (environ, start) { start('200 OK', []); yield 'some'; throw new Error('in the middle'); },
  '/log': (environ, start) => { environ['wsgi.errors'].write('a line of the application\\n'); start('200 OK', []); return []; },
  '/later': async (environ, start) => { await new Promise((resolve) => setTimeout(resolve, 50)); start('200 OK', []); return ['later']; },
  '/silent': () => new Promise(() => {}),
  '/spin': () => spin(),
  '/spin-later': () => new Promise(() => { setTimeout(spin, 10); }),
  '/spin-microtask': async () => { await null; spin(); },
};
export const application = (environ, start) => {
  const route = routes[environ.PATH_INFO];
  if (route !== undefined) return route(environ, start);
  start('404 Not Found', []);
  return [];
};
`;
const GET = (path: string, ...more: [string, string][]): [string, string][] => [
  ['REQUEST_METHOD', 'GET'], ['SERVER_PROTOCOL', 'HTTP/1.1'], ['QUERY_STRING', ''], ['SCRIPT_NAME', path], ['SERVER_NAME', 'a'],
  ['SERVER_PORT', '80'], ['REQUEST_URI', path], ['HTTP_HOST', 'a'], ...more,
];

/** As built, together with the addon. */
const gateway = join(root, 'dist');
let directory = '';

class WorkerProcess {
  readonly extended: string;
  readonly plain: string;
  stderr = '';
  readonly child: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};

  private constructor(node: string, mount: string) {
    directory = mkdtempSync(join(tmpdir(), 'nwsgi-fcgi-'));
    const script = join(directory, 'app.mjs');
    writeFileSync(script, SCRIPT);
    this.extended = join(directory, 'extended');
    this.plain = join(directory, 'plain');
    this.child = spawn(node, ['--no-force-async-hooks-checks', join(root, 'test/unit/fixtures/fastcgi-worker.mjs'), workerAddon, gateway, script, this.extended, this.plain, mount], { env: workerEnvironment });
    this.child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    this.child.on('exit', () => this.#wake());
  }

  static async start(node = process.execPath, mount = ''): Promise<WorkerProcess> {
    const worker = new WorkerProcess(node, mount);
    const first = await worker.#line();
    if (first !== 'ready') throw new Error(`the worker did not start: ${worker.stderr}`);
    return worker;
  }

  async #line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`the worker is gone: ${this.stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift() as string;
  }

  async run(expression: string): Promise<unknown> {
    this.child.stdin.write(`${expression}\n`);
    return JSON.parse(await this.#line());
  }

  /** Open sockets of the process. */
  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await new Promise((resolve) => this.child.once('exit', resolve));
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

vi.setConfig({ testTimeout: 20_000 });
let worker: WorkerProcess;
afterEach(() => worker.end());

async function plain(path: string, ...more: [string, string][]): Promise<FastCgiClient> {
  const client = await FastCgiClient.open(worker.plain);
  client.send(request(1, GET(path, ...more)));
  return client;
}

describe('a plain FastCGI client', () => {
  it('gets answers, one after the other on a connection', async () => {
    worker = await WorkerProcess.start();
    const client = await FastCgiClient.open(worker.plain);
    for (let i = 0; i < 20; i++) {
      client.send(request(1, GET('/hello')));
      const answer = await client.answer();
      expect(answer.stdout).toBe('Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nhello GET');
      expect(answer.appStatus).toBe(0);
    }
    client.send(request(2, GET('/later'), undefined, 0));
    expect((await client.answer()).stdout).toContain('\r\n\r\nlater');
    expect(await client.next()).toBeUndefined();
    client.close();
  });

  it('sends what becomes a proper environ, and nothing that it may not say', async () => {
    worker = await WorkerProcess.start(process.execPath, '/shop');
    const client = await plain(
      '/shop/environ', ['CONTENT_LENGTH', ''], ['HTTP_X_FORWARDED_FOR', '1'], ['HTTP_PROXY', 'evil'], ['HTTPS', 'on'],
      ['nwsgi.x-target', 'auto\napplication\n/etc/passwd'], [':Forged', 'x'], ['nwsgi.process_group', 'mine'], ['REMOTE_ADDR', '10.0.0.1'],
      ['SCRIPT_FILENAME', '/elsewhere'], ['wsgi.url_scheme', 'gopher'], ['HTTP_CONTENT_LENGTH', '5'],
    );
    const { stdout } = await client.answer();
    const environ = JSON.parse(stdout.slice(stdout.indexOf('\r\n\r\n'))) as Record<string, string>;
    expect(environ).toMatchObject({
      SCRIPT_NAME: '/shop', PATH_INFO: '/environ', 'wsgi.url_scheme': 'https', HTTP_X_FORWARDED_FOR: '1', REMOTE_ADDR: '10.0.0.1', 'nwsgi.process_group': 'test',
    });
    expect(environ.SCRIPT_FILENAME).toContain('app.mjs');
    expect(environ['nwsgi.request_id']).toMatch(/^[\w-]{20}$/);
    for (const name of ['HTTP_PROXY', 'HTTP_FORGED', 'CONTENT_LENGTH', 'HTTP_CONTENT_LENGTH']) expect(environ).not.toHaveProperty(name);
    client.close();
  });

  it('is no mod_nwsgi, whatever it says', async () => {
    worker = await WorkerProcess.start();
    const client = await FastCgiClient.open(worker.plain);
    client.send(request(1, [['nwsgi.x-target', 'auto\napplication\n/etc/hostname'], ...GET('/hello')], undefined, EXTENDED));
    expect((await client.answer()).stdout).toContain('Status: 200 OK');
    client.close();
  });

  it('uploads and downloads more than any window', async () => {
    worker = await WorkerProcess.start();
    const body = Buffer.alloc(3_000_017, 'abcdefg');
    for (const length of [String(body.length), '']) {
      const client = await FastCgiClient.open(worker.plain);
      client.send(request(1, [...GET('/echo'), ['CONTENT_LENGTH', length], ['REQUEST_METHOD', 'POST']], body));
      const { stdout, appStatus } = await client.answer();
      const received = Buffer.from(stdout.slice(stdout.indexOf('\r\n\r\n') + 4), 'latin1');
      expect(createHash('sha1').update(received).digest('hex')).toBe(createHash('sha1').update(body).digest('hex'));
      expect(appStatus).toBe(0);
      client.close();
    }
    const client = await plain('/large');
    expect((await client.answer()).stdout.length).toBe('Status: 200 OK\r\n\r\n'.length + 64 * 100_003);
    client.close();
  });

  it('gets files', async () => {
    worker = await WorkerProcess.start();
    const file = join(directory, 'file');
    const content = Buffer.alloc(500_001, 'xyz');
    writeFileSync(file, content);
    const client = await FastCgiClient.open(worker.plain);
    client.send(request(1, [...GET('/file'), ['QUERY_STRING', file]]));
    const { stdout } = await client.answer();
    expect(stdout.slice(stdout.indexOf('\r\n\r\n') + 4)).toBe(content.toString('latin1'));
    client.close();
  });

  it('notices an incomplete answer by the end of the connection', async () => {
    worker = await WorkerProcess.start();
    for (const path of ['/short', '/half']) {
      const client = await plain(path);
      const answer = await client.answer();
      expect(answer.appStatus).toBeUndefined();
      expect(answer.stdout).toContain('Status: 200 OK');
    }
  });

  it('gets a page for a failure, and lines of the application as STDERR', async () => {
    worker = await WorkerProcess.start();
    const failed = await plain('/throw');
    const answer = await failed.answer();
    expect(answer.stdout).toMatch(/^Status: 500 /);
    expect(answer.appStatus).toBe(0);
    failed.send(request(1, GET('/log')));
    const logged = await failed.answer();
    expect(logged.stderr).toContain('a line of the application');
    await expect.poll(() => worker.stderr).toMatch(/^\[\w{3} \w{3} \d\d [\d:.]+ \d{4}\] \[nwsgi:error\] \[pid \d+\] a line of the application$/m);
    failed.close();
  });

  it('is answered about the server, and refused what it does not do', async () => {
    worker = await WorkerProcess.start();
    const client = await FastCgiClient.open(worker.plain);
    client.send(record(Type.getValues, 0, Buffer.from([15, 0, ...Buffer.from('FCGI_MPXS_CONNS')])), record(42, 0, 'x'));
    expect((await client.next())?.content.toString('latin1')).toBe('\x0f\x01FCGI_MPXS_CONNS0');
    expect((await client.next())?.type).toBe(Type.unknown);
    client.send(record(Type.begin, 1, Buffer.from([0, 3, 1, 0, 0, 0, 0, 0])));
    expect((await client.answer()).protocolStatus).toBe(3);
    client.send(request(1, GET('/silent')), record(Type.begin, 2, Buffer.from([0, 1, 1, 0, 0, 0, 0, 0])));
    expect((await client.answer()).protocolStatus).toBe(1);
    client.close();
  });

  it('may have half closed its side when it reads the answer', async () => {
    worker = await WorkerProcess.start();
    const client = await plain('/later');
    client.socket.end();
    expect((await client.answer()).stdout).toContain('later');
    client.close();
  });

  it('that leaves does not leave descriptors behind', async () => {
    worker = await WorkerProcess.start();
    await (await plain('/hello')).answer();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = worker.descriptors();
    for (let i = 0; i < 30; i++) {
      const client = await plain(i % 2 === 0 ? '/silent' : '/large');
      if (i % 4 === 1) await client.next();
      client.close();
    }
    await expect.poll(() => worker.descriptors(), { timeout: 3000 }).toBeLessThanOrEqual(before);
    expect(await worker.run('addon.pending()')).toBe(0);
  });
});

const extendedPairs = (path: string): [string, string][] => [['nwsgi.x-target', `auto\napplication\n${join(directory, 'app.mjs')}`], ['REQUEST_METHOD', 'GET'], ['SCRIPT_NAME', ''], ['PATH_INFO', path], ['SERVER_PROTOCOL', 'HTTP/1.1'], ['QUERY_STRING', '']];

describe('mod_nwsgi', () => {
  it('gets answers as records; the slot counts', async () => {
    worker = await WorkerProcess.start();
    await worker.run('Atomics.add(new BigInt64Array(memory), (worker + 16) / 8, 3n) && 0');
    const client = await FastCgiClient.open(worker.extended);
    for (let id = 1; id <= 3; id++) {
      client.send(request(id, extendedPairs('/later'), undefined, EXTENDED));
      if (id === 1) await expect.poll(() => worker.run('table.getUint32(worker + 64, true)')).toBe(1);
      const answer = await client.answer();
      expect(answer.types).toEqual([Type.head, Type.stdout, Type.end]);
    }
    const read = (offset: number): Promise<unknown> => worker.run(`table.getUint32(worker + ${offset}, true)`);
    expect([await read(16), await read(64), await read(88), await read(96)]).toEqual([0, 0, 3, 3]);
    client.close();
  });

  it('sends bodies as they are asked for', async () => {
    worker = await WorkerProcess.start();
    const client = await FastCgiClient.open(worker.extended);
    const bytes = request(1, extendedPairs('/echo'), 'first ', EXTENDED | HAS_BODY);
    client.send(bytes.subarray(0, bytes.length - 8));
    const seen: number[] = [];
    for (let next = await client.next(); next !== undefined; next = await client.next()) {
      seen.push(next.type);
      if (next.type === Type.wantBody) client.send(record(Type.stdin, 1, 'second'), record(Type.stdin, 1));
      if (next.type === Type.end) break;
    }
    expect(seen.filter((type) => type === Type.wantBody)).toHaveLength(1);
    client.close();
  });

  it('is told what to do when the worker drains', async () => {
    worker = await WorkerProcess.start();
    const busy = await FastCgiClient.open(worker.extended);
    const idle = await FastCgiClient.open(worker.extended);
    busy.send(request(1, extendedPairs('/later'), undefined, EXTENDED));
    await expect.poll(() => worker.run('addon.pending()')).toBe(1);
    await worker.run('addon.drain()');
    expect(await idle.next()).toBeUndefined();
    expect((await busy.answer()).appStatus).toBe(0);
    expect(await busy.next()).toBeUndefined();
    expect(await worker.run('addon.pending()')).toBe(0);
    idle.close();
    busy.close();
  });

  it('gets failures of all its requests, also when the process is just about to end', async () => {
    worker = await WorkerProcess.start();
    const client = await FastCgiClient.open(worker.extended);
    client.send(request(1, extendedPairs('/silent'), undefined, EXTENDED));
    await expect.poll(() => worker.run('addon.pending()')).toBe(1);
    worker.child.stdin.write(`addon.failAll(500, 'NWSGI3004', 'it ends') ?? (addon.flush(200), process.reallyExit(3))\n`);
    const first = await client.next();
    expect(first?.type).toBe(Type.failure);
    expect(first?.content.toString('latin1')).toContain('NWSGI3004it ends');
    expect((await client.answer()).appStatus).toBe(2);
    client.close();
  });
});

describe.each(nodes)('%s: JavaScript that does not let go of the loop', (node) => {
  it.each(['/spin', '/spin-later', '/spin-microtask'])('is interrupted, logged, and the worker serves on (%s)', async (path) => {
    worker = await WorkerProcess.start(node);
    const others = await FastCgiClient.open(worker.extended);
    // With the application loaded, requests begin inside of one callback of the loop.
    others.send(request(1, extendedPairs('/later'), undefined, EXTENDED));
    await others.answer();
    others.send(request(2, extendedPairs('/silent'), undefined, EXTENDED));
    // The word of the slot is reached from outside by another mapping of the same memory.
    const table = openTable(worker.child.pid as number);
    const client = await FastCgiClient.open(worker.extended);
    client.send(request(1, extendedPairs(path), undefined, EXTENDED));
    await expect.poll(() => worker.stderr, { timeout: 10_000 }).toContain('spinning');
    table.interrupt();
    const failure = await client.next();
    expect(failure?.content.toString('latin1'), worker.stderr).toContain('NWSGI4237');
    expect((await client.answer()).appStatus).toBe(2);
    expect((await others.answer()).appStatus).toBe(2);
    expect(worker.stderr).toContain('NWSGI4235');
    expect(worker.stderr).toMatch(/\bspin\b.*app\.mjs:\d+/);
    const next = await FastCgiClient.open(worker.extended);
    for (const id of [1, 2]) {
      next.send(request(id, extendedPairs('/later'), undefined, EXTENDED));
      expect((await next.answer()).stdout).toBe('later');
    }
    // Nothing runs that would have to be interrupted.
    table.interrupt();
    await new Promise((resolve) => setTimeout(resolve, 300));
    next.send(request(3, extendedPairs('/later'), undefined, EXTENDED));
    expect((await next.answer()).stdout).toBe('later');
    for (const open of [others, client, next]) open.close();
  });
});

/** The worker's slot, by the descriptor in /proc: what a supervisor does. */
function openTable(pid: number): { interrupt(): void } {
  const bridge = createRequire(import.meta.url)(addon) as { mapScoreboard(fd: number): ArrayBuffer; futexWake(memory: ArrayBuffer, offset: number): void };
  const folder = `/proc/${pid}/fd`;
  const name = readdirSync(folder).find((entry) => readlinkSync(join(folder, entry)).includes('nwsgi-scoreboard')) as string;
  const fd = openSync(join(folder, name), 'r+');
  const memory = bridge.mapScoreboard(fd);
  closeSync(fd);
  const offset = 256 + 64 * 512 + 24;
  return {
    interrupt() {
      Atomics.add(new Int32Array(memory), offset / 4, 1);
      bridge.futexWake(memory, offset);
    },
  };
}
