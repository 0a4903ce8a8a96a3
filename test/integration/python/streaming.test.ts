// Responses and request bodies of Python flow with back-pressure in both directions, and nothing is held back: W-85, W-94.
import { describe, expect, it } from 'vitest';
import { daemon, head, sanitized, sleep, useServer, waitFor, type HttpdServer, type Options, type RawClient } from '../harness/index.js';
import { newRun } from '../support/mounts.js';

const MiB = 1024 * 1024;
const callables = ['endless', 'count', 'held_open', 'slow_upload', 'slow_reader', 'left_reader', 'echo_lines'];

const laboratory = (more: Options = {}): Options => ({
  ...more,
  apps: ['stream_lab.py', 'wsgi_notes.py'],
  directives: (s: HttpdServer) => [
    'SendBufferSize 16384',
    'ReceiveBufferSize 16384',
    ...callables.map((name) => `WSGIScriptAlias /${name} ${s.app('stream_lab.py')} callable-object=${name}`),
  ],
});

interface Counts {
  produced: number;
  state: string;
  closed: number;
  error: string;
}

/** Sends a GET and leaves the answer in the socket. */
async function request(server: HttpdServer, path: string): Promise<RawClient> {
  const client = await server.raw();
  await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost'));
  return client;
}

const countsOf = (server: HttpdServer, run: string) => async () => (await server.get(`/count?run=${run}`)).json() as Counts;

const sendsAtOnce = (server: HttpdServer) => async (kind: string) => {
  await server.get(`/held_open?pause=1&kind=${kind}`);
  const begin = performance.now();
  const client = await request(server, `/held_open?pause=400&kind=${kind}`);
  await client.readUntil('begin ');
  const first = performance.now() - begin;
  await client.readUntil('end');
  expect(first).toBeLessThan(300);
  expect(performance.now() - begin).toBeGreaterThan(390);
  client.close();
};

describe.skipIf(daemon)('streaming with a thread for each process', () => {
  const server = useServer(laboratory({ mpm: 'prefork', children: 1 }));

  it.each(['generator', 'write'])('W-85 the first block of a %s reaches the client at once, and the rest when it is there', sendsAtOnce(server));
});

describe('streaming', () => {
  const server = useServer(laboratory({ threads: 24, daemonOptions: 'threads=24' }));
  const upload = async () => (await server.get('/slow_reader')).json() as { read: number; failure: string };

  it.each(['generator', 'write'])('W-85 the first block of a %s reaches the client at once, and the rest when it is there', sendsAtOnce(server));

  it('W-85 a first block reaches an HTTP/1.0 client at once, too', async () => {
    await server.get('/held_open?pause=1');
    const begin = performance.now();
    const client = await server.raw();
    await client.send(head('GET /held_open?pause=700 HTTP/1.0'));
    await client.readUntil('begin ');
    expect(performance.now() - begin).toBeLessThan(350);
    await client.readUntil('end');
    await client.waitForEnd();
    client.close();
  });

  async function heldBack(kind: string): Promise<void> {
    const run = newRun();
    const counts = countsOf(server, run);
    const client = await server.raw();
    client.pause();
    await client.send(head(`GET /endless?kind=${kind}&run=${run} HTTP/1.1`, 'Host: localhost'));
    let last = -1;
    const stopped = await waitFor(
      'production to stop',
      async () => {
        const { produced } = await counts();
        const still = produced > 0 && produced === last;
        last = produced;
        return still ? produced : undefined;
      },
      8000,
      200,
    );
    // What the client's and the server's sockets hold is a few hundred KiB with the buffers of this server.
    expect(stopped, kind).toBeLessThan(1.75 * MiB);
    expect((await counts()).state).toBe('running');
    client.resume();
    await waitFor('production to go on', async () => (await counts()).produced > stopped + 2 * MiB);
    client.reset();
    const left = performance.now();
    await waitFor('the end of production', async () => (await counts()).state === 'stopped', 3000);
    expect(performance.now() - left, kind).toBeLessThan(2000);
    await sleep(100);
    const { closed, error } = await counts();
    expect(closed, kind).toBe(1);
    if (kind === 'write') expect(error).toMatch(/^OSError NWSGI2214 /);
  }

  it('W-94 a client that reads nothing stops a response within 1.75 MiB; it goes on when the client reads again, and ends when it leaves', async () => {
    await Promise.all(['generator', 'iterator', 'write'].map(heldBack));
  });

  it.each([
    ['with FIN', 'close', 'generator'],
    ['with RST', 'reset', 'generator'],
    ['with RST', 'reset', 'iterator'],
    ['with FIN', 'close', 'write'],
  ] as const)('W-94 a client that leaves %s (%s) ends a slow %s at its next block', async (_, way, kind) => {
    const run = newRun();
    const counts = countsOf(server, run);
    const client = await request(server, `/endless?kind=${kind}&size=10&pause=20&run=${run}`);
    await client.readUntil('\r\n\r\n');
    await sleep(150);
    expect((await counts()).state).toBe('running');
    client[way]();
    const left = performance.now();
    await waitFor('the end of production', async () => (await counts()).state === 'stopped', 3000);
    expect(performance.now() - left).toBeLessThan(1500);
    expect((await counts()).closed).toBe(1);
  });

  it('W-94 a client that leaves while nothing can be sent ends the response at once', async () => {
    const run = newRun();
    const counts = countsOf(server, run);
    const client = await server.raw();
    client.pause();
    await client.send(head(`GET /endless?kind=generator&run=${run} HTTP/1.1`, 'Host: localhost'));
    await waitFor('production', async () => (await counts()).produced > 0);
    await sleep(200);
    client.reset();
    await waitFor('the end of production', async () => (await counts()).closed === 1, 2000);
  });

  it('W-94 many clients that leave together: close() once for each', async () => {
    const runs = Array.from({ length: 12 }, newRun);
    const clients = await Promise.all(runs.map((run) => request(server, `/endless?kind=generator&size=100&pause=20&run=${run}`)));
    await Promise.all(clients.map((client) => client.readUntil('\r\n\r\n')));
    for (const client of clients) client.reset();
    for (const run of runs) await waitFor('close()', async () => (await countsOf(server, run)()).closed === 1, 5000);
  });

  it('a client that leaves in the middle of an upload makes the read fail', async () => {
    const client = await server.raw();
    await client.send(head('POST /slow_upload HTTP/1.1', 'Host: localhost', 'Content-Length: 100000') + 'x'.repeat(2000));
    await waitFor('the first read', async () => (await upload()).read >= 1000);
    await server.get('/slow_reader?go');
    client.close();
    await waitFor('the failure', async () => (await upload()).failure !== '', 5000);
    expect((await upload()).failure).toMatch(/^NWSGI(2301|2214) /);
  });

  it('a thread of the application that still reads when the request is over gets an error', async () => {
    const client = await server.raw();
    await client.send(head('POST /left_reader HTTP/1.1', 'Host: localhost', 'Content-Length: 100', 'Connection: close') + 'x'.repeat(20));
    expect((await client.readResponse()).text).toBe('answered');
    client.close();
    await waitFor('the end of the read', async () => (await upload()).failure !== '', 5000);
    expect((await upload()).failure).toMatch(/^OSError NWSGI(2301|2214) /);
  });

  it('an upload that is not read is held back, and arrives whole once the application reads', async () => {
    const total = 32 * MiB;
    const before = server.resident();
    const client = await server.raw();
    await client.send(head('POST /slow_upload HTTP/1.1', 'Host: localhost', `Content-Length: ${total}`));
    const block = Buffer.alloc(64 * 1024, 'u');
    let sent = 0;
    const sending = (async () => {
      for (; sent < total; sent += block.length) await client.send(block);
    })();
    await waitFor('the first read', async () => (await upload()).read === 1000);
    let last = -1;
    await waitFor('the upload to stop', () => (sent > 0 && sent === last) || ((last = sent), false), 8000, 200);
    // Most of it is in the send buffer of the client, which the kernel lets grow to some MiB.
    expect(sent).toBeLessThan(16 * MiB);
    if (!sanitized) expect(server.resident() - before).toBeLessThan(8 * MiB);
    expect((await upload()).read).toBe(1000);
    await server.get('/slow_reader?go');
    await sending;
    const response = await client.readResponse();
    expect([response.status, response.text]).toEqual([200, String(total)]);
    client.close();
  });

  it('carries both directions at once: each line is answered before the next one is sent', async () => {
    const client = await server.raw();
    await client.send(head('POST /echo_lines HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked'));
    for (let i = 0; i < 20; i++) {
      const line = `line ${i}\n`;
      await client.send(`${line.length.toString(16)}\r\n${line}\r\n`);
      await client.readUntil(`> ${line}`, 3000);
    }
    await client.send('0\r\n\r\n');
    await client.readUntil('0\r\n\r\n');
    client.close();
  });
});
