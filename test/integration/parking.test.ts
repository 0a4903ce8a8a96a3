// Who waits holds no thread of the server: requests whose application has not answered, streams, uploads, tunnels; and the
// connection that a request was parked on goes on as any other.
import { describe, expect, it } from 'vitest';
import { daemon, head, sleep, useServer, waitFor, type RawClient } from './harness/index.js';

const threads = 2;
const apps = ['faults/answers-slowly.mjs', 'waits-silently.mjs', 'produces-for-ever.mjs', 'echo-body.mjs', 'ignore-body.cjs'];
const name = (app: string) => app.replace(/^.*\//, '').replace(/\.\w+$/, '');

const server = useServer({
  apps: [...apps, 'faults/answer.mjs'],
  threads,
  modules: ['status'],
  // All application groups in one: their processes are not what is looked at.
  directives: (s) => [
    'AsyncRequestWorkerFactor 200',
    'KeepAliveTimeout 1',
    'SendBufferSize 16384',
    'WSGIApplicationGroup parked',
    ...apps.map((app) => `WSGIScriptAlias /${name(app)} ${s.app(app)}`),
    `WSGIScriptAlias /in-place ${s.app('faults/answers-slowly.mjs')}`,
    '<Location "/in-place">',
    'WSGIParkAfter Off',
    '</Location>',
    '<Location "/answers-slowly">',
    'WSGIParkAfter 0',
    '</Location>',
    '<Location "/server-status">',
    'SetHandler server-status',
    '</Location>',
  ],
});

async function request(path: string, ...headers: string[]): Promise<RawClient> {
  const client = await server.raw();
  await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost', ...headers));
  return client;
}

const timed = async <T>(promise: Promise<T>): Promise<[T, number]> => {
  const begin = performance.now();
  return [await promise, performance.now() - begin];
};

describe('requests that wait for their application', () => {
  it('are answered together, many times as many as there are threads', async () => {
    await server.get('/answers-slowly?1');
    const count = 40;
    const [answers, time] = await timed(Promise.all(Array.from({ length: count }, () => server.get('/answers-slowly?500'))));
    expect(answers.map((answer) => answer.status)).toEqual(Array<number>(count).fill(200));
    expect(time).toBeLessThan(3000);
  });

  it('hold their threads with WSGIParkAfter Off', async () => {
    await server.get('/in-place?1');
    const [answers, time] = await timed(Promise.all(Array.from({ length: 3 * threads }, () => server.get('/in-place?300'))));
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
    expect(time).toBeGreaterThan(850);
  });

  it('are given up when the client leaves', async () => {
    const client = await request('/answers-slowly?30001');
    await sleep(200);
    client.reset();
    const aborted = async () => (await server.get('/answers-slowly/aborted')).json() as number[];
    await waitFor('the application hears of it', async () => (await aborted()).includes(30001));
  });
});

describe('the connection after a parked request', () => {
  it('is used again, for requests of other handlers too, and answers in order', async () => {
    const client = await server.raw();
    const get = (path: string) => head(`GET ${path} HTTP/1.1`, 'Host: localhost');
    await client.send(get('/answers-slowly?300') + get('/server-status?auto') + get('/answers-slowly?1') + get('/answers-slowly?100'));
    const answers = [await client.readResponse(), await client.readResponse(), await client.readResponse(), await client.readResponse()];
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    expect(answers[1]?.text).toContain('Scoreboard:');
    client.close();
  });

  it('is closed after KeepAliveTimeout', async () => {
    const client = await request('/answers-slowly?50');
    await client.readResponse();
    const [, time] = await timed(client.waitForEnd());
    expect(time).toBeGreaterThan(700);
    expect(time).toBeLessThan(3000);
    client.close();
  });

  it('is closed at once where the client asks for that', async () => {
    const client = await request('/answers-slowly?50', 'Connection: close');
    expect((await client.readResponse()).status).toBe(200);
    const [, time] = await timed(client.waitForEnd());
    expect(time).toBeLessThan(500);
    client.close();
  });

  it('takes a request after a body that nobody has read', async () => {
    const client = await server.raw();
    await client.send(head('POST /answers-slowly?100 HTTP/1.1', 'Host: localhost', 'Content-Length: 10') + '01234');
    expect((await client.readResponse()).status).toBe(200);
    await client.send('56789' + head('GET /answers-slowly?10 HTTP/1.1', 'Host: localhost'));
    expect((await client.readResponse()).status).toBe(200);
    client.close();
  });
});

describe('clients that are slow', () => {
  it('to read hold no thread', async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () => request('/produces-for-ever')));
    for (const client of clients) client.pause();
    await sleep(500);
    const [answer, time] = await timed(server.get('/answers-slowly?50'));
    expect(answer.status).toBe(200);
    expect(time).toBeLessThan(1000);
    for (const client of clients) client.reset();
  });

  it('to send hold no thread', async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () => server.raw()));
    for (const client of clients) await client.send(head('POST /echo-body HTTP/1.1', 'Host: localhost', 'Content-Length: 10') + '01234');
    await sleep(300);
    const [answer, time] = await timed(server.get('/answers-slowly?50'));
    expect(answer.status).toBe(200);
    expect(time).toBeLessThan(1000);
    for (const client of clients) await client.send('56789');
    for (const client of clients) {
      expect((await client.readResponse()).text).toContain('0123456789');
      client.close();
    }
  });
});

it.skipIf(daemon)('a graceful restart lets parked requests finish, closes what is only kept alive, and the old child leaves', async () => {
  const [old] = server.children();
  const kept = await request('/answers-slowly?50');
  await kept.readResponse();
  const parked = await request('/answers-slowly?1500');
  await sleep(200);
  await server.graceful();
  await kept.waitForEnd();
  expect((await parked.readResponse()).status).toBe(200);
  await waitFor('the old child leaves', () => !server.children().includes(old as number));
  parked.close();
  kept.close();
});
