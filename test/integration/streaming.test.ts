// Responses and request bodies flow with back-pressure in both directions, and nothing is held back.
import { describe, expect, it } from 'vitest';
import { head, sanitized, sleep, useServer, waitFor, type RawClient } from './harness/index.js';

const MiB = 1024 * 1024;

const apps = ['holds-response-open.mjs', 'produces-for-ever.mjs', 'writes-for-ever.cjs', 'streams-readable.cjs', 'waits-silently.mjs', 'reads-slowly.mjs', 'echoes-lines.mjs'];

const server = useServer({
  apps,
  threads: 32,
  directives: (s) => [
    'SendBufferSize 16384',
    'ReceiveBufferSize 16384',
    'WSGIApplicationGroup streams',
    ...apps.map((app) => `WSGIScriptAlias /${app.replace(/\.\w+$/, '')} ${s.app(app)}`),
  ],
});

const json = async <T>(path: string) => (await server.get(path)).json() as T;

/** Sends a GET and leaves the answer in the socket. */
async function request(path: string, ...headers: string[]): Promise<RawClient> {
  const client = await server.raw();
  await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers));
  return client;
}

describe('the first block of a slow response', () => {
  it('reaches the client at once, and the rest when it is there', async () => {
    await server.get('/holds-response-open?1');
    const begin = performance.now();
    const client = await request('/holds-response-open?1500');
    await client.readUntil('begin ');
    const first = performance.now() - begin;
    await client.readUntil('end');
    expect(first).toBeLessThan(750);
    expect(performance.now() - begin).toBeGreaterThan(1400);
    client.close();
  });

  it('reaches an HTTP/1.0 client at once too', async () => {
    const begin = performance.now();
    const client = await server.raw();
    await client.send(head('GET /holds-response-open?1500 HTTP/1.0'));
    await client.readUntil('begin ');
    expect(performance.now() - begin).toBeLessThan(750);
    await client.readUntil('end');
    await client.waitForEnd();
    client.close();
  });
});

describe('a client that reads nothing', () => {
  interface Count {
    produced: number;
    state: string;
  }

  it.each([
    ['an async generator', '/produces-for-ever'],
    ['write()', '/writes-for-ever'],
    ['a Readable', '/streams-readable'],
  ])('stops %s within 1 MiB, lets it go on when it reads again, and ends it when it leaves', async (_, path) => {
    const client = await server.raw();
    client.pause();
    await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost'));
    const count = () => json<Count>(`${path}/count`);
    let last = -1;
    const stopped = await waitFor(
      'production to stop',
      async () => {
        const { produced } = await count();
        const still = produced > 0 && produced === last;
        last = produced;
        return still ? produced : undefined;
      },
      8000,
      300,
    );
    // What the client's and the server's sockets hold is a few hundred KiB with the buffers of this server.
    expect(stopped).toBeLessThan(1.75 * MiB);
    expect((await count()).state).toBe('running');
    client.resume();
    await waitFor('production to go on', async () => (await count()).produced > stopped + 4 * MiB);
    client.reset();
    const left = performance.now();
    await waitFor('the end of production', async () => (await count()).state === 'stopped', 3000);
    expect(performance.now() - left).toBeLessThan(2000);
    const { produced } = await count();
    await sleep(200);
    expect((await count()).produced).toBe(produced);
  });
});

describe('a client that leaves', () => {
  interface Seen {
    begun: number;
    aborted: number;
    closed: number;
  }
  const seen = () => json<Seen>('/waits-silently/seen');

  it.each([
    ['with FIN, before the answer', '/waits-silently/headless', 'close', 0],
    ['with RST, before the answer', '/waits-silently/headless', 'reset', 0],
    ['with FIN, in the middle of the answer', '/waits-silently', 'close', 1],
    ['with RST, in the middle of the answer', '/waits-silently', 'reset', 1],
  ] as const)('%s is noticed within a second by a silent application', async (_, path, way, closed) => {
    const before = await seen();
    const client = await request(path);
    await waitFor('the application to begin', async () => (await seen()).begun === before.begun + 1);
    if (closed === 1) await client.readUntil('one');
    // Past the time in which the server waits without looking at the socket.
    await sleep(200);
    expect((await seen()).aborted).toBe(before.aborted);
    client[way]();
    const left = performance.now();
    await waitFor('the abort event', async () => (await seen()).aborted === before.aborted + 1, 5000);
    expect(performance.now() - left).toBeLessThan(1500);
    await waitFor('close()', async () => (await seen()).closed === before.closed + closed, 2000);
  });

  it('together with many others is noticed for each of them once', async () => {
    const before = await seen();
    const clients = await Promise.all(Array.from({ length: 20 }, () => request('/waits-silently')));
    await Promise.all(clients.map((client) => client.readUntil('one')));
    for (const client of clients) client.reset();
    await waitFor('the abort events', async () => (await seen()).aborted === before.aborted + 20, 5000);
    await waitFor('the calls of close()', async () => (await seen()).closed === before.closed + 20, 3000);
    await sleep(300);
    expect(await seen()).toEqual({ begun: before.begun + 20, aborted: before.aborted + 20, closed: before.closed + 20 });
  });

  it('in the middle of an upload makes the read fail', async () => {
    const client = await server.raw();
    await client.send(head('POST /reads-slowly/upload HTTP/1.1', 'Host: localhost', 'Content-Length: 100000') + 'x'.repeat(2000));
    await waitFor('the first read', async () => (await json<{ read: number }>('/reads-slowly')).read >= 1000);
    await server.get('/reads-slowly/go');
    client.close();
    await waitFor('the failure', async () => (await json<{ failure: string }>('/reads-slowly')).failure !== '', 5000);
  });
});

describe('an upload that the application does not read', () => {
  it('is held back, and arrives whole once the application reads', async () => {
    const total = 64 * MiB;
    const before = server.resident();
    const client = await server.raw();
    await client.send(head('POST /reads-slowly/upload HTTP/1.1', 'Host: localhost', `Content-Length: ${total}`));
    const block = Buffer.alloc(64 * 1024, 'u');
    let sent = 0;
    const sending = (async () => {
      for (; sent < total; sent += block.length) await client.send(block);
    })();
    await waitFor('the first read', async () => (await json<{ read: number }>('/reads-slowly')).read === 1000);
    let last = -1;
    await waitFor('the upload to stop', () => sent > 0 && sent === last || ((last = sent), false), 8000, 300);
    // Most of it is in the send buffer of the client, which the kernel lets grow to some MiB.
    expect(sent).toBeLessThan(16 * MiB);
    if (!sanitized) expect(server.resident() - before).toBeLessThan(8 * MiB);
    expect((await json<{ read: number }>('/reads-slowly')).read).toBe(1000);
    await server.get('/reads-slowly/go');
    await sending;
    const response = await client.readResponse();
    expect([response.status, response.text]).toEqual([200, String(total)]);
    client.close();
  });
});

it('carries both directions at once: each line is answered before the next one is sent', async () => {
  const client = await server.raw();
  await client.send(head('POST /echoes-lines HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked'));
  for (let i = 0; i < 20; i++) {
    const line = `line ${i}\n`;
    await client.send(`${line.length.toString(16)}\r\n${line}\r\n`);
    await client.readUntil(`> ${line}`, 3000);
  }
  await client.send('0\r\n\r\n');
  await client.readUntil('0\r\n\r\n');
  client.close();
});
