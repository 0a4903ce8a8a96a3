/** HTTP of a worker without a server in front, byte by byte. What a laboratory of node:http sees: node-http.test.ts. */
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { compileGateway, root } from './helpers/gateway.js';
import { startWorker } from './helpers/worker.js';
import type { TestWorker, WorkerOptions } from './helpers/worker.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nwsgi-http-')));
const workers: TestWorker[] = [];
let gateway = '';

async function serve(path: string, options: Partial<WorkerOptions> = {}): Promise<TestWorker> {
  const worker = await startWorker({ gateway, ...options, script: { path, ...options.script } });
  workers.push(worker);
  return worker;
}

function script(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

const fixture = (name: string): string => join(root, 'test/fixtures/apps', name);
const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A connection, and the text that came over it. */
class Client {
  text = '';
  ended = false;
  readonly socket: Socket;
  constructor({ port }: TestWorker, onConnect?: () => void) {
    this.socket = connect(port, '127.0.0.1', onConnect);
    this.socket.on('data', (bytes) => (this.text += bytes.toString('latin1')));
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.ended = true));
  }
  send(...lines: string[]): this {
    this.socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    return this;
  }
  async until(pattern: RegExp): Promise<string> {
    for (let i = 0; i < 200 && !pattern.test(this.text); i++) await sleep(25);
    expect(this.text).toMatch(pattern);
    return this.text;
  }
  async end(): Promise<string> {
    for (let i = 0; i < 200 && !this.ended; i++) await sleep(25);
    expect(this.ended, `the connection is closed after ${this.text}`).toBe(true);
    return this.text;
  }
}

beforeAll(() => {
  gateway = compileGateway('gateway-worker');
}, 60_000);
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.end()));
  rmSync(folder, { recursive: true });
});

describe('a WSGI application', { timeout: 30_000 }, () => {
  it('gets the environ that it would get in Apache', async () => {
    const worker = await serve(fixture('show-environ.mjs'), { script: { path: fixture('show-environ.mjs'), mount: '/shop' } });
    const client = new Client(worker).send('GET http://ignored.example/shop/a%20b%C3%A9?c=%20d HTTP/1.1', 'Host: shop.example:8080', 'X-Two: 1', 'x-two: 2', 'Cookie: a=1', 'Cookie: b=2', 'Proxy: evil', 'X_Under: x', 'Content-Type: text/x', 'Authorization: Basic eA==', 'Connection: close');
    const environ = JSON.parse(Buffer.from((await client.end()).split('\r\n\r\n')[1] as string, 'latin1').toString()) as Record<string, unknown>;
    expect(environ).toMatchObject({
      REQUEST_METHOD: 'GET', SCRIPT_NAME: '/shop', PATH_INFO: '/a bÃ©', QUERY_STRING: 'c=%20d', REQUEST_URI: 'http://ignored.example/shop/a%20b%C3%A9?c=%20d',
      SERVER_NAME: 'shop.example', SERVER_PORT: String(worker.port), SERVER_PROTOCOL: 'HTTP/1.1', SERVER_ADDR: '127.0.0.1', SERVER_SOFTWARE: 'nwsgi/test', REMOTE_ADDR: '127.0.0.1',
      HTTP_HOST: 'shop.example:8080', HTTP_X_TWO: '1, 2', HTTP_COOKIE: 'a=1; b=2', CONTENT_TYPE: 'text/x', HTTP_AUTHORIZATION: 'Basic eA==', SCRIPT_FILENAME: fixture('show-environ.mjs'),
      'wsgi.url_scheme': 'http', 'wsgi.multiprocess': true, 'nwsgi.process_group': 'test', 'nwsgi.callable_object': 'application',
    });
    for (const name of ['HTTP_PROXY', 'HTTP_X_UNDER', 'CONTENT_LENGTH', 'HTTP_CONTENT_TYPE']) expect(environ).not.toHaveProperty(name);
    expect(Object.keys(environ).filter((name) => name.startsWith('nwsgi.x-'))).toEqual([]);
    expect((await fetch(`${worker.url}/shopping`)).status).toBe(404);
    expect((await fetch(`${worker.url}/shop`)).status).toBe(200);
    for (const path of ['/shop/%zz', '/shop/%00', 'shop']) {
      expect(await new Client(worker).send(`GET ${path} HTTP/1.1`, 'Host: x').end()).toMatch(/^HTTP\/1\.1 400 /);
    }
  });

  it('reads and writes as much as the client, and no more', async () => {
    const { url } = await serve(fixture('echo-body.mjs'));
    const body = Buffer.alloc(20 << 20, 'abcdefghi');
    const response = await fetch(url, { method: 'POST', body, headers: { 'Content-Type': 'text/y' } });
    expect(response.headers.get('content-type')).toBe('text/y');
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
  });

  it('says "100 Continue" when it reads, and not before', async () => {
    const source = `export async function application(environ, start) {
      if (environ.PATH_INFO === '/refuse') { start('403 Forbidden', []); return ['no']; }
      await new Promise((done) => setTimeout(done, 200));
      const body = await environ['wsgi.input'].read();
      start('200 OK', []); return [body];
    }`;
    const worker = await serve(script('expects.mjs', source));
    const client = new Client(worker).send('POST / HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 3');
    await sleep(100);
    expect(client.text).toBe('');
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.socket.write('abc');
    await client.until(/200 OK[^]*abc$/);
    client.socket.destroy();
    expect(await new Client(worker).send('POST /refuse HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 3').end()).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[^]*Connection: close[^]*no$/);
  });

  it('sends files, of which it may close the descriptor, and parts of them', async () => {
    const source = `import { openSync, closeSync } from 'node:fs';
      export function application(environ, start) {
        const fd = openSync(environ.QUERY_STRING, 'r');
        setTimeout(() => closeSync(fd), 1);
        start('200 OK', [['Content-Type', 'x/y']]);
        return environ['wsgi.file_wrapper'](fd);
      }`;
    const { url } = await serve(script('file.mjs', source));
    const file = script('content.bin', 'x'.repeat(3_000_000) + 'end');
    const response = await fetch(`${url}/?${file}`);
    expect(response.headers.get('content-length')).toBe('3000003');
    expect(await response.text()).toBe(readFileSync(file, 'latin1'));
    expect((await fetch(`${url}/?${file}`, { method: 'HEAD' })).headers.get('content-length')).toBe('3000003');
  });

  it('breaks off what stays incomplete, and is told of clients that leave', async () => {
    const source = `export async function* application(environ, start) {
      if (environ.PATH_INFO === '/short') { start('200 OK', [['Content-Length', '10']]); yield 'part'; throw new Error('late'); }
      environ['nwsgi.signal'].addEventListener('abort', () => console.log('signal'));
      start('200 OK', []);
      try { for (;;) { yield 'x'.repeat(65536); await null; } } finally { console.log('closed'); }
    }`;
    const worker = await serve(script('breaks.mjs', source));
    expect(await new Client(worker).send('GET /short HTTP/1.1', 'Host: x').end()).toMatch(/\r\n\r\npart$/);
    const client = new Client(worker).send('GET / HTTP/1.1', 'Host: x');
    await client.until(/200 OK/);
    client.socket.pause();
    await sleep(700);
    const before = worker.child.pid === undefined ? 0 : Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${worker.child.pid}/status`, 'latin1'))?.[1]);
    await sleep(500);
    const after = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${worker.child.pid}/status`, 'latin1'))?.[1]);
    expect(after - before).toBeLessThan(20_000);
    client.socket.destroy();
    await worker.until(() => (worker.log.includes('signal') && worker.log.includes('closed') ? true : undefined));
  });
});

describe('connections', { timeout: 30_000 }, () => {
  it('carry one request after the other, also of HTTP/1.0', async () => {
    const worker = await serve(fixture('hello.cjs'));
    const client = new Client(worker);
    client.socket.write('GET /1 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await client.end()).match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    expect(await new Client(worker).send('GET / HTTP/1.0').end()).toMatch(/^HTTP\/1\.1 200 OK[^]*\n$/);
    expect(await new Client(worker).send('GET / HTTP/1.1', 'Host: x', `X-Long: ${'x'.repeat(70_000)}`).end()).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('wait when as many requests as allowed are in progress; sockets of other protocols do not count', async () => {
    const source = `
      let now = 0, most = 0;
      const server = require('node:http').createServer((req, res) => {
        if (req.url === '/most') return res.end(String(most));
        most = Math.max(most, ++now);
        setTimeout(() => { now -= 1; res.end('x'); }, 100);
      });
      server.on('upgrade', (req, socket) => socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: raw\\r\\nConnection: Upgrade\\r\\n\\r\\n'));
      server.listen(80);`;
    const worker = await serve(script('counts.cjs', source), { config: { threads: 2 } });
    const raw = [0, 1, 2].map(() => new Client(worker).send('GET / HTTP/1.1', 'Host: x', 'Upgrade: raw', 'Connection: Upgrade'));
    for (const client of raw) await client.until(/101 Switching/);
    const left = new AbortController();
    const answers = Array.from({ length: 6 }, () => fetch(worker.url).then((response) => response.text()));
    const leaver = fetch(worker.url, { signal: left.signal }).catch(() => 'left');
    setTimeout(() => left.abort(), 20);
    expect(await Promise.all(answers)).toEqual(Array(6).fill('x'));
    expect(await leaver).toBe('left');
    expect(await (await fetch(`${worker.url}/most`)).text()).toBe('2');
    for (const client of raw) client.socket.destroy();
  });

  it('that are kept alive get one more answer in a drain, then end', async () => {
    const worker = await serve(fixture('hello.cjs'));
    const client = new Client(worker).send('GET / HTTP/1.1', 'Host: x');
    await client.until(/200 OK/);
    const idle = new Client(worker).send('GET / HTTP/1.1', 'Host: x');
    await idle.until(/200 OK/);
    worker.send({ type: 'drain', milliseconds: 5000, reason: 'test' });
    await worker.message('draining');
    await sleep(100);
    client.text = '';
    client.send('GET / HTTP/1.1', 'Host: x');
    expect(await client.end()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/i);
    await idle.end();
    expect(await worker.exited).toEqual({ code: 0, signal: null });
  });
});

describe('other protocols', { timeout: 30_000 }, () => {
  const source = `
    const http = require('node:http');
    const { WebSocketServer } = require(${JSON.stringify(join(root, 'node_modules/ws'))});
    const server = http.createServer((req, res) => res.end('plain ' + (req.headers.upgrade ?? '')));
    const ws = new WebSocketServer({ noServer: true });
    server.on('upgrade', (req, socket, head) => {
      if (req.url === '/refused') return socket.end('HTTP/1.1 403 Forbidden\\r\\nContent-Length: 2\\r\\n\\r\\nno');
      ws.handleUpgrade(req, socket, head, (client) => { client.on('message', (data, binary) => client.send(data, { binary })); client.on('close', (code) => console.log('closed', code)); });
    });
    process.on('SIGTERM', () => { for (const client of ws.clients) client.close(1001, 'restart'); });
    server.listen(80);`;

  it('are WebSockets, refused ones, and ordinary answers of applications that know none', async () => {
    const worker = await serve(script('sockets.cjs', source));
    const client = new WebSocket(worker.url.replace('http', 'ws'));
    await new Promise((resolve) => client.on('open', resolve));
    const big = Buffer.alloc(4 << 20, 'w');
    const echoed = new Promise<Buffer>((resolve) => client.once('message', (data: Buffer) => resolve(data)));
    client.send(big);
    expect((await echoed).equals(big)).toBe(true);
    expect(await new Client(worker).send('GET /refused HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade').end()).toMatch(/^HTTP\/1\.1 403 Forbidden[^]*\r\n\r\nno$/);
    const closed = new Promise<[number, string]>((resolve) => client.on('close', (code, reason) => resolve([code, reason.toString()])));
    // They are not waited for in a drain; the application may say good-bye.
    worker.send({ type: 'drain', milliseconds: 5000, reason: 'test' });
    expect(await closed).toEqual([1001, 'restart']);
    expect(await worker.exited).toEqual({ code: 0, signal: null });

    const simple = await serve(fixture('hello.cjs'));
    const text = await new Client(simple).send('GET / HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade').end();
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/i);
    expect(await new Client(simple).send('POST / HTTP/1.1', 'Host: x', 'Upgrade: x', 'Connection: Upgrade', 'Content-Length: 1').end()).toMatch(/^HTTP\/1\.1 501 /);
  });
});

describe('a fetch handler', { timeout: 30_000 }, () => {
  it('gets requests and gives responses', async () => {
    const source = `export default { async fetch(request) {
      const url = new URL(request.url);
      return new Response(url.pathname + ' ' + request.method + ' ' + (await request.text()), { status: 201, headers: [['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2']] });
    } };`;
    const { url } = await serve(script('handler.mjs', source));
    const response = await fetch(`${url}/path`, { method: 'PUT', body: 'body' });
    expect([response.status, await response.text(), response.headers.getSetCookie()]).toEqual([201, '/path PUT body', ['a=1', 'b=2']]);
  });
});
