// The same applications over TLS, HTTP/2 (over TLS and in the clear), HTTP/1.0 and HTTP/1.1, in several virtual hosts.
import type { ClientHttp2Stream } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { head, Http2Client, sleep, useServer, waitFor, within } from './harness/index.js';

const MiB = 1024 * 1024;
const PLAIN = 0;
const TLS = 1;
const H2 = 2;
const H2C = 3;

const apps = ['identity.mjs', 'echo-body.mjs', 'echoes-lines.mjs', 'holds-response-open.mjs', 'sends-many-bytes.mjs', 'waits-silently.mjs', 'produces-for-ever.mjs', 'show-environ.mjs', 'measures-body.ts'];

const server = useServer({
  apps,
  threads: 24,
  directives: (s) => ['WSGIApplicationGroup protocols', 'H2MinWorkers 8', ...apps.map((app) => `WSGIScriptAlias /${app.replace(/\.\w+$/, '')} ${s.app(app)}`)],
  vhosts: [{}, { tls: true, directives: 'SSLOptions +StdEnvVars' }, { tls: true, http2: true }, { http2: true }],
});

type Variables = Record<string, unknown>;

describe('TLS', () => {
  it('serves GET and POST, and tells the application so', async () => {
    const environ = (await server.request('/show-environ', { host: TLS })).json() as Variables;
    expect(environ).toMatchObject({ 'wsgi.url_scheme': 'https', REQUEST_METHOD: 'GET', SERVER_PROTOCOL: 'HTTP/1.1' });
    expect(environ.SSL_PROTOCOL).toMatch(/^TLSv1/);
    const body = Buffer.alloc(300_000, 'tls ');
    const echoed = await server.request('/echo-body', { host: TLS, body });
    expect(echoed.body.equals(body)).toBe(true);
  });

  it('sends the first block of a slow response at once', async () => {
    const client = await server.raw(TLS);
    const begin = performance.now();
    await client.send(head('GET /holds-response-open?1500 HTTP/1.1', 'Host: localhost'));
    await client.readUntil('begin ');
    expect(performance.now() - begin).toBeLessThan(1000);
    await client.readUntil('end');
    client.close();
  });

  it('tells the application within a second that the client has left', async () => {
    const seen = async () => (await server.get('/waits-silently/seen')).json() as { begun: number; aborted: number };
    const before = await seen();
    const client = await server.raw(TLS);
    await client.send(head('GET /waits-silently HTTP/1.1', 'Host: localhost'));
    await client.readUntil('one');
    client.close();
    const left = performance.now();
    await waitFor('the abort event', async () => (await seen()).aborted === before.aborted + 1, 5000);
    expect(performance.now() - left).toBeLessThan(1500);
  });
});

describe.each([
  { name: 'HTTP/2 over TLS', host: H2, scheme: 'https' },
  { name: 'HTTP/2 in the clear', host: H2C, scheme: 'http' },
])('$name', ({ host, scheme }) => {
  const connected = async <T>(body: (client: Http2Client) => Promise<T>): Promise<T> => {
    const client = await server.http2(host);
    try {
      return await body(client);
    } finally {
      client.close();
    }
  };
  const firstData = (stream: ClientHttp2Stream) => new Promise<Buffer>((resolve) => stream.once('data', resolve));

  it('serves GET, HEAD and POST', async () => {
    await connected(async (client) => {
      const shown = await client.request('/show-environ');
      expect(JSON.parse(shown.text)).toMatchObject({ SERVER_PROTOCOL: 'HTTP/2.0', 'wsgi.url_scheme': scheme, SCRIPT_NAME: '/show-environ' });
      const headed = await client.request('/identity', { method: 'HEAD' });
      expect([headed.status, headed.body.length, headed.complete]).toEqual([200, 0, true]);
      const body = Buffer.alloc(400_000, 'h2 body ');
      const echoed = await client.request('/echo-body', { body });
      expect(echoed.complete).toBe(true);
      expect(echoed.body.equals(body)).toBe(true);
    });
  });

  it('sends the first block of a slow response at once, and the rest when it is there', async () => {
    await connected(async (client) => {
      const begin = performance.now();
      const stream = client.stream('/holds-response-open?1500', {}, true);
      expect((await within(5000, 'the first block', firstData(stream))).toString()).toBe('begin ');
      expect(performance.now() - begin).toBeLessThan(1000);
      expect((await within(5000, 'the last block', firstData(stream))).toString()).toBe('end');
      await new Promise((resolve) => stream.once('close', resolve));
      expect(stream.rstCode).toBe(0);
    });
  });

  it('carries both directions of one stream at once', async () => {
    await connected(async (client) => {
      const stream = client.stream('/echoes-lines', { ':method': 'POST' });
      for (let i = 0; i < 5; i++) {
        stream.write(`line ${i}\n`);
        expect((await within(5000, `line ${i}`, firstData(stream))).toString()).toBe(`> line ${i}\n`);
      }
      stream.end();
      stream.resume();
      await within(5000, 'the end', new Promise((resolve) => stream.once('end', resolve)));
    });
  });

  it('serves many streams of one connection at once, each with its own answer', async () => {
    await connected(async (client) => {
      const answers = await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          if (i % 3 === 0) return client.request('/echo-body', { body: `body ${i}` });
          return client.request(i % 3 === 1 ? `/identity/${i}` : `/holds-response-open?${i}`);
        }),
      );
      answers.forEach((answer, i) => {
        expect(answer.complete).toBe(true);
        expect(answer.text).toContain(i % 3 === 0 ? `body ${i}` : i % 3 === 1 ? `"pathInfo":"/${i}"` : 'begin end');
      });
    });
  });

  it('keeps large bodies of parallel streams whole', async () => {
    await connected(async (client) => {
      const sizes = [MiB, 2 * MiB + 1, 3 * MiB, 65535];
      const [downloads, uploads] = await Promise.all([
        Promise.all(sizes.map((size) => client.request(`/sends-many-bytes?${size}`))),
        Promise.all(sizes.map((size) => client.request('/measures-body', { body: Buffer.alloc(size, 7) }))),
      ]);
      downloads.forEach((answer, i) => {
        expect([answer.body.length, answer.complete]).toEqual([sizes[i], true]);
        for (let at = 0; at + 4 <= answer.body.length; at += 65536) expect(answer.body.readUInt32BE(at)).toBe(at / 65536);
      });
      expect(uploads.map((answer) => (JSON.parse(answer.text) as { length: number }).length)).toEqual(sizes);
    });
  });

  it('ends the iteration of a stream that the client cancels, and leaves the other streams alone', async () => {
    const seen = async () => (await server.get('/waits-silently/seen')).json() as { begun: number; aborted: number };
    await connected(async (client) => {
      const before = await seen();
      const other = client.request('/holds-response-open?1500');
      const stream = client.stream('/waits-silently', {}, true);
      stream.on('error', () => {});
      await within(5000, 'the first block', firstData(stream));
      const left = performance.now();
      stream.close(8);
      await waitFor('the abort event', async () => (await seen()).aborted === before.aborted + 1, 5000);
      expect(performance.now() - left).toBeLessThan(1500);
      expect((await other).text).toBe('begin end');
    });
  });

  it('stops an endless response when its connection goes away', async () => {
    const count = async () => (await server.get('/produces-for-ever/count')).json() as { produced: number; state: string };
    await connected(async (client) => {
      const stream = client.stream('/produces-for-ever', {}, true);
      stream.on('error', () => {});
      await within(5000, 'the first block', firstData(stream));
      stream.pause();
      // Flow control stops the producer: a paused stream gets what its window holds.
      await sleep(500);
      const { produced } = await count();
      await sleep(300);
      expect((await count()).produced).toBe(produced);
      expect(produced).toBeLessThan(4 * MiB);
    });
    await waitFor('the end of production', async () => (await count()).state === 'stopped', 3000);
  });
});

describe('HTTP/1.0', () => {
  it('gets a body that the end of the connection delimits', async () => {
    const client = await server.raw();
    await client.send(head('GET /holds-response-open?50 HTTP/1.0'));
    const response = await client.readResponse();
    expect(response).toMatchObject({ status: 200, text: 'begin end', framing: 'close' });
    expect(response.header('transfer-encoding')).toBeUndefined();
  });

  it('keeps the connection when it asks for that and the length is known', async () => {
    const client = await server.raw();
    for (let i = 0; i < 3; i++) {
      await client.send(head(`GET /identity/${i} HTTP/1.0`, 'Connection: Keep-Alive'));
      const response = await client.readResponse();
      expect(response.framing).toBe('length');
      expect(JSON.parse(response.text)).toMatchObject({ pathInfo: `/${i}` });
    }
    client.close();
  });

  it('may send a body', async () => {
    const client = await server.raw();
    await client.send(head('POST /echo-body HTTP/1.0', 'Content-Length: 5') + 'hello');
    expect((await client.readResponse()).text).toBe('hello');
  });
});

it('serves all virtual hosts and protocols at once', async () => {
  const [h2, h2c] = [await server.http2(H2), await server.http2(H2C)];
  const answers = await Promise.all(
    Array.from({ length: 48 }, async (_, i) => {
      const path = `/identity/${i}`;
      if (i % 4 === H2) return (await h2.request(path)).text;
      if (i % 4 === H2C) return (await h2c.request(path)).text;
      return (await server.request(path, { host: i % 4 === TLS ? TLS : PLAIN })).text;
    }),
  );
  answers.forEach((answer, i) => expect(JSON.parse(answer)).toMatchObject({ pathInfo: `/${i}` }));
  expect(new Set(answers.map((answer) => (JSON.parse(answer) as { instance: string }).instance)).size).toBe(1);
  h2.close();
  h2c.close();
});
