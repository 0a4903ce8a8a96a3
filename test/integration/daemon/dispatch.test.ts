/** Which worker gets a request, how long requests wait for one, and what becomes of them when it goes. */
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { open, sleep, useServer, waitFor, type HttpdServer } from '../harness/index.js';
import { isAlive } from './supervisor-process.js';

const APP = 'node/does-as-told.mjs';
const identity = childIdentity();
const user = identity ? `user=${identity.user} group=${identity.user}` : '';

/** A server whose application runs in a process group of its own, with these options. */
const groupServer = (options: string, more: string[] = []): HttpdServer =>
  useServer({
    apps: [APP],
    threads: 16,
    directives: (server) => [
      `WSGIDaemonProcess shop ${user} ${options}`,
      `WSGIScriptAlias / "${server.app(APP)}" process-group=shop application-group=shop`,
      ...more,
    ],
  });

/** Both workers of a pool of two serve. */
const bothServe = (server: HttpdServer) =>
  waitFor('requests at both workers', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => server.get('/sleep/50')));
    return new Set(answers.map((answer) => answer.text)).size === 2;
  });

const begunRequests = async (server: HttpdServer) => (await server.get('/begun')).json() as string[];

describe('a worker', () => {
  const server = groupServer('processes=2');

  it('serves many requests over few connections', async () => {
    await server.get('/');
    for (let i = 0; i < 50; i++) expect((await server.get('/')).status).toBe(200);
    const answers = await Promise.all(Array.from({ length: 40 }, () => server.get('/sleep/50')));
    expect(answers.map((answer) => answer.status)).toEqual(Array(40).fill(200));
  });

  it('shares the requests with the others of its pool', async () => {
    await bothServe(server);
  });

  it('that is killed while nobody asks for anything is not noticed', async () => {
    for (let i = 0; i < 3; i++) {
      const pid = Number((await server.get('/')).text);
      process.kill(pid, 'SIGKILL');
      const answer = await server.get('/');
      expect(answer.status).toBe(200);
      expect(Number(answer.text)).not.toBe(pid);
    }
  });

  it('that is killed takes only the requests with it that it had', async () => {
    await bothServe(server);
    const before = server.mark();
    const waiting = Array.from({ length: 8 }, () => server.get('/sleep/2000'));
    await sleep(300);
    const [victim] = server.workers();
    process.kill(victim ?? 0, 'SIGKILL');
    const answers = await Promise.all(waiting);
    const lost = answers.filter((answer) => answer.status !== 200);
    expect(lost.length).toBe(4);
    for (const answer of lost) expect(answer.status).toBe(502);
    expect(server.log(before)).toMatch(/nwsgi:error.*NWSGI4\d\d\d /);
    expect((await server.get('/')).status).toBe(200);
  });

  it('that ends within a response leaves it visibly incomplete', async () => {
    const { response } = await open(server.url('/part'));
    expect(response.statusCode).toBe(200);
    const pid = Number((await server.get('/')).text);
    for (const worker of server.workers()) process.kill(worker, 'SIGKILL');
    let body = '';
    await expect(
      (async () => {
        for await (const chunk of response) body += String(chunk);
      })(),
    ).rejects.toThrow();
    expect(body).toBe('a part of it');
    await waitFor('another worker', async () => Number((await server.get('/')).text) !== pid);
  });

  it('that kills itself gets each request once', async () => {
    const before = server.mark();
    expect((await server.get('/kill/SIGKILL')).status).toBe(502);
    await waitFor('the line', () => /NWSGI4\d\d\d .*SIGKILL|SIGKILL.*NWSGI4\d\d\d/.test(server.log(before)));
    expect((await server.get('/')).status).toBe(200);
  });

  it('is told when the client leaves', async () => {
    const { request } = await open(server.url('/part'));
    request.destroy();
    await waitFor('no request in progress', async () => (await server.get('/')).status === 200);
  });

  it('gets a body again that another one has not begun to read', async () => {
    for (let i = 0; i < 5; i++) {
      for (const worker of server.workers()) process.kill(worker, 'SIGKILL');
      const answer = await server.post('/body', 'x'.repeat(5000));
      expect([answer.status, answer.text.split(' ')[1]]).toEqual([200, '5000']);
    }
  });
});

describe('the queue of a group', () => {
  const server = groupServer('processes=1 threads=1 queue-limit=2');

  it('holds requests back until a worker is free', async () => {
    await server.get('/');
    const answers = await Promise.all([1, 2, 3].map(() => server.get('/sleep/200')));
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
  });

  it('refuses what is beyond its limit at once, with Retry-After', async () => {
    const before = server.mark();
    const first = server.get('/sleep/1500');
    await sleep(100);
    const waiting = [server.get('/'), server.get('/')];
    await sleep(100);
    const began = performance.now();
    const refused = await server.get('/');
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(performance.now() - began).toBeLessThan(700);
    expect(server.log(before)).toContain('NWSGI4101');
    for (const answer of await Promise.all([first, ...waiting])) expect(answer.status).toBe(200);
  });

  it('forgets a client that leaves', async () => {
    const first = server.get('/sleep/1500');
    await sleep(100);
    const client = await server.raw();
    client.send('GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await sleep(200);
    client.close();
    await sleep(600);
    const second = server.get('/');
    const third = server.get('/');
    for (const answer of await Promise.all([first, second, third])) expect(answer.status).toBe(200);
    expect(await begunRequests(server)).not.toContain('/left');
  });
});

describe('queue-timeout', () => {
  const server = groupServer('processes=1 threads=1 queue-timeout=1');

  it('ends the wait with 504', async () => {
    await server.get('/');
    const before = server.mark();
    const first = server.get('/sleep/2500');
    await sleep(100);
    const began = performance.now();
    expect((await server.get('/late')).status).toBe(504);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(performance.now() - began).toBeLessThan(2000);
    expect(server.log(before)).toContain('NWSGI4102');
    expect((await first).status).toBe(200);
    expect(await begunRequests(server)).not.toContain('/late');
  });
});

describe('request-timeout of a group', () => {
  const server = groupServer('processes=1 request-timeout=1', ['<Location /sleep/1500>', 'WSGIRequestTimeout 5', '</Location>']);

  it('ends a request with 504', async () => {
    await server.get('/');
    const before = server.mark();
    const answer = await server.get('/sleep/4000');
    expect(answer.status).toBe(504);
    expect(server.log(before)).toContain('NWSGI1209');
  });

  it('gives way to WSGIRequestTimeout', async () => {
    expect((await server.get('/sleep/1500')).status).toBe(200);
  });
});

describe('a head with a long line', () => {
  const server = groupServer('processes=1 header-buffer-size=8K');

  it('is refused above header-buffer-size', async () => {
    const before = server.mark();
    expect((await server.get('/header/8000')).status).toBe(200);
    expect((await server.get('/header/9000')).status).toBe(500);
    expect(server.log(before)).toContain('NWSGI4110');
    expect((await server.get('/')).status).toBe(200);
  });
});

describe('a reload', () => {
  const server = groupServer('processes=2');

  it('loses no request, whatever its method', async () => {
    await bothServe(server);
    const statuses: number[] = [];
    let going = true;
    const clients = Array.from({ length: 4 }, async (_, i) => {
      while (going) statuses.push((i % 2 === 0 ? await server.get('/') : await server.post('/body', 'abc')).status);
    });
    for (let i = 0; i < 3; i++) {
      const before = new Set(server.workers());
      for (const supervisor of server.supervisors()) process.kill(supervisor, 'SIGHUP');
      await waitFor('new workers', () => server.workers().every((worker) => !before.has(worker)), 15_000);
    }
    going = false;
    await Promise.all(clients);
    expect(statuses.length).toBeGreaterThan(50);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});

describe('a supervisor', () => {
  const server = groupServer('processes=1');

  it('that is killed is waited for', async () => {
    const pid = Number((await server.get('/')).text);
    for (const supervisor of server.supervisors()) process.kill(supervisor, 'SIGKILL');
    // An orphan is nobody's worker any more, but may still answer.
    await waitFor('the worker to end', () => !isAlive(pid));
    const answer = await server.get('/');
    expect(answer.status).toBe(200);
    expect(Number(answer.text)).not.toBe(pid);
  });

  it('that cannot be started is not waited for', async () => {
    for (let i = 0; i < 5; i++) {
      await waitFor('a supervisor', () => server.supervisors().length > 0, 10_000);
      for (const supervisor of server.supervisors()) process.kill(supervisor, 'SIGKILL');
      if (await server.get('/').then((answer) => answer.status === 503)) break;
    }
    const before = server.mark();
    const began = performance.now();
    const answer = await server.get('/');
    expect(answer.status).toBe(503);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(performance.now() - began).toBeLessThan(2000);
    expect(server.log(before)).toContain('NWSGI4104');
  });
});
