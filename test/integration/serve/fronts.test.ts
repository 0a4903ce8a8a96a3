// How requests and responses pass through what stands in front of `nwsgi serve`: parts as they come, ends that are none, clients
// that leave, WebSockets.
import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { head, NwsgiServe, open, projectRoot, request, sleep, startLoad, waitFor, type HttpResponse, type RequestOptions } from '../harness/index.js';
import { connect, frontArguments, fronts, type Front } from '../support/fronts.js';
import { WebSocketClient } from '../support/websocket.js';

const names = ['slow-second-block', 'ends-somehow', 'digest-body', 'show-environ', 'signal', 'early-hints', 'start-as-told', 'writes-for-ever'] as const;
const extension = (name: string): string => (name === 'writes-for-ever' ? `${name}.cjs` : `${name}.mjs`);

/** One WSGI application that is all of those, by the first part of the path. */
const router = `
import noted from './noted.cjs';
const names = ${JSON.stringify(Object.fromEntries(names.map((name) => [name, extension(name)])))};
const apps = { noted: noted.application };
for (const [name, file] of Object.entries(names)) {
  const loaded = await import('./' + file);
  apps[name] = loaded.application ?? loaded.default.application;
}
export function application(environ, startResponse) {
  const [, name, ...rest] = environ.PATH_INFO.split('/');
  const descriptors = Object.getOwnPropertyDescriptors(environ);
  descriptors.PATH_INFO = { value: ['', ...rest].join('/'), enumerable: true, writable: true, configurable: true };
  return apps[name](Object.defineProperties({}, descriptors), startResponse);
}
`;

const server = new NwsgiServe({ script: 'router.mjs', args: (s) => [...frontArguments(s), '--no-reload'] });

beforeAll(async () => {
  for (const name of names) server.addApp(extension(name));
  server.addApp('noted.cjs');
  server.writeApp('router.mjs', router);
  await server.start();
});
afterAll(() => server.stop());

describe.each(fronts)('behind $name', ({ name, speaks, available, duplex, start }) => {
  let front: Front;
  beforeAll(async () => {
    if (available) front = await start(server);
  });
  afterAll(() => front?.stop());
  const url = (path: string): string => `http://127.0.0.1:${front.port}${path}`;
  const send = (path: string, options: RequestOptions = {}): Promise<HttpResponse> => request(url(path), options);
  const notes = async (run: string): Promise<string[]> => (await send(`/noted?run=${run}`)).json() as string[];

  it.skipIf(!available)('parts of a response arrive when they are made', async () => {
    const began = performance.now();
    const { response } = await open(url('/slow-second-block'));
    const parts: [string, number][] = [];
    for await (const part of response) parts.push([String(part), performance.now() - began]);
    expect(parts.map(([text]) => text).join('')).toBe('firstsecond');
    expect(parts[0]?.[1]).toBeLessThan(700);
    expect(parts.at(-1)?.[1]).toBeGreaterThan(900);
  });

  // Caddy 2.6 ends what it knows to be incomplete ("aborting with incomplete response") like a complete response.
  it.skipIf(!available || name.startsWith('Caddy')).each(['after-block', 'bad-list'])('a response that fails (%s) looks incomplete', async (how) => {
    const client = await connect(front);
    await client.send(head(`GET /ends-somehow?how=${how}&run=x HTTP/1.1`, 'Host: localhost'));
    const response = await client.readResponse().catch(() => undefined);
    // Nothing was passed on, or a part; an error page where nothing had been.
    if (response?.status === 200) expect(response.complete).toBe(false);
    else expect(response?.status ?? 500).toBeGreaterThanOrEqual(500);
    client.close();
  });

  it.skipIf(!available)('a response that is shorter than it said looks incomplete', async () => {
    const answer = await send(`/start-as-told?${encodeURIComponent("['200 OK', [['Content-Length', '100']]]")}`).catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status < 500) expect(answer.complete).toBe(false);
  });

  it.skipIf(!available)('a large response arrives whole, also by a slow client', async () => {
    const { response } = await open(url('/ends-somehow?how=large&run=y'));
    let bytes = 0;
    for await (const part of response) {
      bytes += (part as Buffer).length;
      if (bytes < 2_000_000) await sleep(2);
    }
    expect([bytes, response.complete]).toEqual([400 * 64 * 1024, true]);
  });

  it.skipIf(!available)('an application that writes for ever stops when its client has gone, and waits while that is slow', async () => {
    const count = async (): Promise<{ produced: number; state: string }> => (await send('/writes-for-ever/count')).json() as { produced: number; state: string };
    const { request: sent, response } = await open(url('/writes-for-ever'));
    response.pause();
    await sleep(1500);
    const [first] = [await count()];
    await sleep(500);
    expect(await count()).toEqual(first);
    expect(first.produced).toBeLessThan(32 * 1024 * 1024);
    sent.destroy();
    await waitFor('the application to be told', async () => (await count()).state === 'stopped');
  });

  // Of those that speak FastCGI only NGINX closes its connection then.
  it.skipIf(!available || (speaks === 'fastcgi' && !name.startsWith('NGINX')))('an application learns that its client has left', async () => {
    const run = `left-${front.port}`;
    const controller = new AbortController();
    const answer = fetch(url(`/signal?wait&run=${run}`), { signal: controller.signal }).catch(() => undefined);
    await waitFor('the application to wait', async () => (await notes(run)).length === 1);
    controller.abort();
    await answer;
    await waitFor('the signal', async () => /^true \w+Error$/.test((await notes(run)).at(-1) ?? ''));
  });

  it.skipIf(!available)('an upload of 20 MB reaches the application', async () => {
    const body = randomBytes(20_000_000);
    expect((await send('/digest-body', { method: 'POST', body })).json()).toMatchObject({ bytes: body.length });
  });

  // Caddy 2.6 forgets its connection then, and the application waits for the rest.
  it.skipIf(!available || name.startsWith('Caddy'))('an upload that ends too early is an error for the application', async () => {
    const client = await connect(front);
    await client.send(`${head('POST /digest-body HTTP/1.1', 'Host: localhost', 'Content-Length: 1000')}only this`);
    client.halfClose();
    const left = await client.readResponse().catch(() => undefined);
    expect(left === undefined || left.status >= 400).toBe(true);
    client.close();
  });

  it.skipIf(!available)('the environ is that of the client\'s request', async () => {
    const path = '/show-environ/a%20b/gr%C3%BC%C3%9Fe?x=%20&y';
    const environ = (await send(path, { method: 'POST', body: 'body', headers: { Host: 'shop.example:81', 'X-Custom': 'one', 'Content-Type': 'text/x-own', Cookie: 'a=1; b=2', Proxy: 'evil', Authorization: 'Basic dXNlcjpwYXNz' } })).json() as Record<string, string>;
    expect(environ).toMatchObject({
      REQUEST_METHOD: 'POST',
      SCRIPT_NAME: '',
      QUERY_STRING: 'x=%20&y',
      CONTENT_TYPE: 'text/x-own',
      CONTENT_LENGTH: '4',
      HTTP_X_CUSTOM: 'one',
      HTTP_COOKIE: 'a=1; b=2',
      // Debian's fastcgi_params take the port away.
      HTTP_HOST: name === 'NGINX, by FastCGI' ? 'shop.example' : 'shop.example:81',
      SERVER_PROTOCOL: 'HTTP/1.1',
      REQUEST_URI: path,
      'wsgi.url_scheme': 'http',
      SCRIPT_FILENAME: server.script,
    });
    // The router took its own part away.
    expect(Buffer.from(environ.PATH_INFO as string, 'latin1').toString()).toBe('/a b/grüße');
    expect(environ.REMOTE_ADDR).toBe('127.0.0.1');
    expect(environ.HTTP_PROXY).toBeUndefined();
    expect(Object.keys(environ).filter((key) => key.startsWith('nwsgi.x-'))).toEqual([]);
  });

  it.skipIf(!available || name.startsWith('Caddy'))('variables of the protocol cannot be set by headers', async () => {
    const client = await connect(front);
    await client.send(head('GET /show-environ HTTP/1.1', 'Host: localhost', 'Connection: close', 'nwsgi.x-target: wsgi', 'X-Script-Filename: /etc/passwd', 'Script_Name: /x', 'Remote-Addr: 6.6.6.6'));
    const environ = JSON.parse((await client.readResponse()).text) as Record<string, string>;
    expect(environ).toMatchObject({ SCRIPT_NAME: '', SCRIPT_FILENAME: server.script, REMOTE_ADDR: '127.0.0.1', HTTP_X_SCRIPT_FILENAME: '/etc/passwd' });
    client.close();
  });

  it.skipIf(!available || speaks !== 'http' || name.startsWith('NGINX'))('early hints pass', async () => {
    expect((await send('/early-hints')).interim).toContain(103);
  });

  // NGINX before 1.29 takes them for the response itself.
  it.skipIf(!available || name === 'NGINX, by HTTP')('early hints do no harm', async () => {
    expect(await send('/early-hints')).toMatchObject({ status: 200, text: 'the answer' });
  });

  it.skipIf(!available)('requests of kept connections are not mixed up', async () => {
    const client = await connect(front);
    for (let i = 0; i < 30; i++) {
      await client.send(`${head(`POST /digest-body?read HTTP/1.1`, 'Host: localhost', `Content-Length: ${i * 1000}`)}${'x'.repeat(i * 1000)}`);
      expect(JSON.parse((await client.readResponse()).text)).toMatchObject({ bytes: i * 1000 });
    }
    client.close();
  });

  it.skipIf(!available)('a rolling reload loses no request', async () => {
    const load = startLoad({ url }, '/show-environ', { connections: 4, check: (body) => body.includes('REQUEST_METHOD') });
    for (let i = 0; i < 2; i++) {
      const old = server.workers();
      server.signal('SIGHUP');
      await waitFor('new workers', () => !server.workers().some((pid) => old.includes(pid)));
    }
    const result = await load.stop();
    expect(result.failures).toEqual([]);
    expect(result.requests).toBeGreaterThan(50);
  });

  it.skipIf(!available || speaks !== 'http' || !duplex)('a refused upload gets its answer before the body has come', async () => {
    const client = await connect(front);
    await client.send(head(`POST /start-as-told?${encodeURIComponent("['413 Too Large', []]")} HTTP/1.1`, 'Host: localhost', 'Content-Length: 1000000'));
    expect((await client.readResponse()).status).toBe(413);
    client.close();
  });
});

describe('WebSockets', () => {
  const node = new NwsgiServe({ apps: ['node/websocket.cjs'], args: frontArguments });
  beforeAll(async () => {
    cpSync(join(projectRoot, 'node_modules', 'ws'), join(node.root, 'apps', 'node_modules', 'ws'), { recursive: true });
    await node.start();
  });
  afterAll(() => node.stop());

  describe.each(fronts.filter(({ speaks }) => speaks === 'http'))('by $name', ({ available, start }) => {
    let front: Front;
    beforeAll(async () => {
      if (available) front = await start(node);
    });
    afterAll(() => front?.stop());
    const client = (path: string, options = {}): Promise<WebSocketClient> => WebSocketClient.open(`ws://127.0.0.1:${front.port}${path}`, options);

    it.skipIf(!available)('carry messages both ways and end in order', async () => {
      const ws = await client('/echo');
      expect(await ws.ask('grüße')).toBe('grüße');
      const bytes = randomBytes(4 * 1024 * 1024);
      ws.ws.send(bytes);
      expect((await ws.message()).data.equals(bytes)).toBe(true);
      for (let i = 0; i < 500; i++) ws.ws.send(String(i));
      for (let i = 0; i < 500; i++) expect(await ws.text()).toBe(String(i));
      expect(await ws.close(1000, 'done')).toEqual({ code: 1000, reason: 'done' });
      expect((await request(`http://127.0.0.1:${front.port}/page`)).text).toBe('plain false /page');
    });

    it.skipIf(!available)('are refused by the application, or not', async () => {
      await expect(client('/guarded')).rejects.toMatchObject({ status: 401, text: 'Show the key' });
      const ws = await client('/guarded', { headers: { cookie: 'key=1' } });
      expect(await ws.ask('in')).toBe('in');
      await ws.close();
    });

    it.skipIf(!available)('are known to have gone', async () => {
      const ws = await client('/echo');
      ws.ws.terminate();
      await waitFor('the note', async () => ((await request(`http://127.0.0.1:${front.port}/notes`)).json() as string[]).some((note) => note.startsWith('/echo closed 1006')));
    });

    it.skipIf(!available)('do not hold up a reload, which ends them', async () => {
      const ws = await client('/echo');
      node.signal('SIGHUP');
      expect((await ws.end()).code).toBeGreaterThan(1000);
      const next = await waitFor('a new one', () => client('/echo').catch(() => undefined));
      expect(await next.ask('again')).toBe('again');
      await next.close();
    });
  });

  it.each(fronts.filter(({ speaks, available }) => speaks === 'fastcgi' && available))('$name passes none on: an ordinary answer', async ({ start }) => {
    const front = await start(node);
    const refused: unknown = await WebSocketClient.open(`ws://127.0.0.1:${front.port}/page`).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Error);
    expect((await request(`http://127.0.0.1:${front.port}/page`)).status).toBe(200);
    await front.stop();
  });
});
