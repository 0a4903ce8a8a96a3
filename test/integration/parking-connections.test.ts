// A connection on which a request was parked goes on as any other: its limits and times, what comes next on it, its end.
import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { head, sleep, useServer, type RawClient, type RawResponse } from './harness/index.js';
import { eachForm, forms, parkingForms, parkingServer, type Form } from './support/parking.js';

/** More than there are threads. */
const most = 40;
const threads = 24;
const file = randomBytes(300_000);
const errorPage = 'large '.repeat(100_000);
/** Virtual hosts. Those with one port differ by their names. */
const host = { plain: 0, short: 1, counted: 2, once: 3, tls: 4 } as const;

const server = useServer(
  parkingServer({
    threads,
    directives: ['KeepAliveTimeout 4', 'SendBufferSize 32768', 'ErrorDocument 403 /error.txt', '<Location "/denied">', 'Require all denied', '</Location>'],
    vhosts: [
      { port: 1 },
      { port: 1, name: 'short.test', directives: ['KeepAliveTimeout 1', 'Timeout 2'] },
      { directives: ['MaxKeepAliveRequests 3'] },
      { directives: ['KeepAlive Off'] },
      { tls: true, http2: true },
    ],
  }),
  (s) => {
    s.writeFile('htdocs/file.bin', file);
    s.writeFile('htdocs/error.txt', errorPage);
  },
);

const get = (path: string, ...headers: string[]) => head(`GET ${path} HTTP/1.1`, ...(headers.some((line) => line.startsWith('Host:')) ? [] : ['Host: localhost']), ...headers);

async function connected(form: Form, number: number = host.plain): Promise<RawClient> {
  const client = await server.raw(number);
  await ask(client, get(`/${form}?wait=20`));
  return client;
}

async function ask(client: RawClient, text: string): Promise<RawResponse> {
  await client.send(text);
  return client.readResponse();
}

const elapsed = async (promise: Promise<unknown>) => {
  const begin = performance.now();
  await promise;
  return performance.now() - begin;
};

beforeAll(async () => {
  await server.get('/wait');
});

describe.concurrent('times and limits of a connection', () => {
  it('are those of the host of its last request, parked or not', async () => {
    const ends = await Promise.all(
      forms.flatMap((form) =>
        ['/auto?size=1', '/file.bin', `/${form}?wait=20`].map(async (last) => {
          const client = await connected(form);
          await ask(client, get(last, 'Host: short.test'));
          const short = await elapsed(client.waitForEnd());
          client.close();
          const other = await server.raw();
          await ask(other, get(`/${form}?wait=20`, 'Host: short.test'));
          await ask(other, get(last));
          const long = await elapsed(other.waitForEnd());
          other.close();
          return { name: `${form} ${last}`, short, long };
        }),
      ),
    );
    for (const { name, short, long } of ends) {
      expect(short, name).toBeGreaterThan(300);
      expect(short, name).toBeLessThan(2900);
      expect(long, name).toBeGreaterThan(2950);
    }
  });

  it('MaxKeepAliveRequests counts all requests', async () => {
    await eachForm(async (form) => {
      const client = await server.raw(host.counted);
      const answers = [await ask(client, get(`/${form}?wait=20`)), await ask(client, get('/file.bin')), await ask(client, get(`/${form}?wait=20`)), await ask(client, get('/file.bin'))];
      expect(answers.map((answer) => answer.header('connection')), form).toEqual([undefined, undefined, undefined, 'close'].map((value) => value && expect.stringMatching(/close/i)));
      expect(await elapsed(client.waitForEnd()), form).toBeLessThan(500);
      client.close();
    });
  });

  it('KeepAlive Off ends it after one', async () => {
    await eachForm(async (form) => {
      const client = await server.raw(host.once);
      const answer = await ask(client, get(`/${form}?wait=20`));
      expect(answer.header('connection'), form).toBe('close');
      expect(await elapsed(client.waitForEnd()), form).toBeLessThan(500);
      client.close();
    });
  });

  it('a client that reads nothing is given up after Timeout', async () => {
    await Promise.all(
      forms.map(async (form) => {
        const client = await server.raw();
        client.pause();
        await client.send(get(`/${form}?wait=20&blocks=400&size=65536&length=1`, 'Host: short.test'));
        await sleep(4000);
        client.resume();
        const bytes = await client.readAll().catch((error: Error) => Promise.reject(new Error(`${form}: ${error.message.slice(0, 60)} ${client.pending.length}`)));
        expect(bytes.length, form).toBeLessThan(400 * 65536);
        client.close();
      }),
    );
  });
});

describe('requests after a parked one', () => {
  it('are answered in order, whatever answers them, sent at once', async () => {
    await eachForm(async (form) => {
      const client = await server.raw();
      const post = head(`POST /${form}?read=1&blocks=0&wait=30 HTTP/1.1`, 'Host: localhost', 'Content-Length: 5') + 'hello';
      const chunked = head(`POST /${form}?read=1&blocks=0 HTTP/1.1`, 'Host: localhost', 'Transfer-Encoding: chunked') + '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
      await client.send(get(`/${form}?wait=50&size=1`) + get('/file.bin') + post + get('/missing') + chunked + get(`/${form}?blocks=3&gap=20`) + get('/denied') + get('/file.bin', 'Connection: close'));
      const answers: RawResponse[] = [];
      for (let i = 0; i < 8; i++) answers.push(await client.readResponse());
      expect(answers.map(({ status }) => status), form).toEqual([200, 200, 200, 404, 200, 200, 403, 200]);
      expect(answers[1]?.body.equals(file), form).toBe(true);
      expect([answers[2]?.text, answers[4]?.text, answers[5]?.text], form).toEqual(['hello', 'abcde', 'xxxxxx']);
      expect(answers[6]?.text, form).toBe(errorPage);
      expect(answers[7]?.body.equals(file), form).toBe(true);
      await client.waitForEnd();
      client.close();
    });
  });

  it('get 100 Continue when their body is asked for, and none when it is not', async () => {
    await eachForm(async (form) => {
      const client = await connected(form);
      const expecting = (query: string) => head(`POST /${form}?${query} HTTP/1.1`, 'Host: localhost', 'Content-Length: 5', 'Expect: 100-continue');
      await client.send(expecting('read=1&blocks=0&wait=30'));
      expect((await client.readResponse()).status, form).toBe(100);
      await sleep(30);
      await client.send('hello');
      expect((await client.readResponse()).text, form).toBe('hello');
      await client.send(expecting('wait=30'));
      const refused = await client.readResponse();
      expect([refused.status, refused.header('connection')], form).toEqual([200, 'close']);
      client.close();
    });
  });

  it('are refused with a complete page when they are malformed', async () => {
    const pages = await eachForm(async (form) => {
      const client = await connected(form);
      const answer = await ask(client, 'GET / HTTP/1.1\r\nBad header\r\n\r\n');
      expect(await elapsed(client.waitForEnd()), form).toBeLessThan(1000);
      client.close();
      return [answer.status, answer.text];
    });
    for (const form of parkingForms) expect(pages[form]).toEqual(pages.wait);
  });

  it('do not stall others when their heads come byte by byte', async () => {
    const clients = await Promise.all(Array.from({ length: most }, () => connected('park')));
    for (const client of clients) await client.send('G');
    await sleep(100);
    const begin = performance.now();
    await Promise.all(forms.map(async (form) => expect((await server.get(`/${form}?wait=20`)).status).toBe(200)));
    const kept = await connected('park');
    await ask(kept, get('/park?wait=20'));
    kept.close();
    expect(performance.now() - begin).toBeLessThan(800);
    for (const byte of get('/park?size=3').slice(1)) {
      for (const client of clients) void client.send(byte);
      await sleep(2);
    }
    for (const client of clients) {
      expect((await client.readResponse()).text).toBe('xxx');
      client.close();
    }
  });
});

describe('a client that has closed its side', () => {
  it('gets the answer to a body that is complete, or is gone, as in place', async () => {
    const results = await eachForm(async (form) => {
      const client = await connected(form);
      await client.send(head(`POST /${form}?read=1&blocks=0 HTTP/1.1`, 'Host: localhost', 'Content-Length: 5') + 'hello');
      client.halfClose();
      const first = await client.readAll();
      client.close();
      const waiting = await connected(form);
      await waiting.send(get(`/${form}?wait=3000`));
      await sleep(50);
      waiting.halfClose();
      const time = await elapsed(waiting.waitForEnd());
      waiting.close();
      return { complete: first.toString('latin1').endsWith('hello'), early: time < 2500 };
    });
    for (const form of parkingForms) expect(results[form], form).toEqual(results.wait);
  });
});

describe('TLS', () => {
  it('carries large bodies both ways, on one connection', async () => {
    const body = randomBytes(3_000_000);
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    await Promise.all(
      forms.map(async (form) => {
        const client = await connected(form, host.tls);
        for (let i = 0; i < 2; i++) {
          void client.send(head(`POST /${form}?read=1&blocks=0&wait=30 HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`));
          void client.send(body);
          const answer = await client.readResponse({ milliseconds: 20_000 });
          expect(digest(answer.body), form).toBe(digest(body));
        }
        expect((await ask(client, get('/file.bin'))).body.equals(file), form).toBe(true);
        client.close();
      }),
    );
  });

  it('pipelines, and closes in order', async () => {
    await eachForm(async (form) => {
      const client = await server.raw(host.tls);
      await client.send(get(`/${form}?wait=50`) + get('/file.bin') + get(`/${form}?wait=20&blocks=3&gap=20`) + get(`/${form}?wait=20`, 'Connection: close'));
      const answers: RawResponse[] = [];
      for (let i = 0; i < 4; i++) answers.push(await client.readResponse());
      expect(answers.map(({ status, body }) => `${status} ${body.length}`), form).toEqual(['200 2', `200 ${file.length}`, '200 6', '200 2']);
      await client.waitForEnd();
      expect(client.error, form).toBeUndefined();
      client.close();
    });
  });

  it('does not stall others while clients read nothing', async () => {
    // A connection holds a thread of the MPM until its first request is there.
    const clients = await Promise.all(
      Array.from({ length: most }, async () => {
        const client = await server.raw(host.tls);
        client.pause();
        await client.send(get('/park?blocks=100&size=65536&length=1'));
        return client;
      }),
    );
    await sleep(300);
    expect(await elapsed(server.request('/park?wait=20', { host: host.tls }))).toBeLessThan(800);
    for (const client of clients) client.close();
  });

  it('has streams of HTTP/2 beside, which wait in place', async () => {
    const h2 = await server.http2(host.tls);
    try {
      const answers = await Promise.all(forms.flatMap((form) => [h2.request(`/${form}?wait=100`), h2.request(`/${form}?blocks=3&gap=30&size=1000`)]));
      expect(answers.map(({ status, body }) => `${status} ${body.length}`)).toEqual(forms.flatMap(() => ['200 2', '200 3000']));
    } finally {
      h2.close();
    }
  });
});
