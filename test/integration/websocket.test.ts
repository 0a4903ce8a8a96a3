/** WebSockets and other upgrades of Node applications: package ws and raw sockets behind httpd. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, useServer, waitFor, withServer, type Http2Client, type HttpdServer } from './harness/index.js';
import { addWs, WebSocketClient } from './support/websocket.js';

const app = 'node/websocket.cjs';
const wsUrl = (server: HttpdServer, path: string, host = 0): string => server.url(path, host).replace(/^http/, 'ws');

/** Waits for a note of the application. */
const noted = (server: HttpdServer, note: string | RegExp): Promise<string> =>
  waitFor(`the note ${note}`, async () => {
    const notes = (await server.get('/notes')).json() as string[];
    return notes.find((one) => (typeof note === 'string' ? one === note : note.test(one)));
  });

describe('WebSockets', () => {
  const server = useServer(
    {
      apps: [app],
      threads: 16,
      vhosts: [{ directives: (s) => [`WSGIScriptAlias /below ${s.app(app)}`, `WSGIScriptAlias / ${s.app(app)}`] }],
    },
    addWs,
  );
  const open = (path: string, options = {}): Promise<WebSocketClient> => WebSocketClient.open(wsUrl(server, path), options);

  it('answers ordinary requests beside them', async () => {
    expect((await server.get('/page')).text).toBe('plain false /page');
  });

  it('echoes texts and binary messages', async () => {
    const client = await open('/echo');
    expect(await client.ask('grüße')).toBe('grüße');
    const bytes = randomBytes(1000);
    client.ws.send(bytes);
    expect(await client.message()).toEqual({ data: bytes, binary: true });
    expect(await client.close(1000, 'done')).toEqual({ code: 1000, reason: 'done' });
    await noted(server, '/echo closed 1000 done');
  });

  it('tells the application of the client', async () => {
    const client = await open('/echo?facts');
    expect(JSON.parse(await client.text())).toMatchObject({ url: '/echo?facts', address: '127.0.0.1', encrypted: false, upgrade: true });
    await client.close();
  });

  it('opens them below a prefix', async () => {
    const client = await open('/below/echo?facts');
    expect(JSON.parse(await client.text())).toMatchObject({ url: '/echo?facts', originalUrl: '/below/echo?facts' });
    expect(await client.ask('hi')).toBe('hi');
    await client.close();
  });

  it.each([1000, 1001, 1008, 3000, 4999])('passes on the close code %i from the server', async (code) => {
    const client = await open('/echo');
    client.ws.send(`close ${code}`);
    expect(await client.end()).toEqual({ code, reason: 'as told' });
  });

  it.each([1001, 1011, 4001])('passes on the close code %i from the client', async (code) => {
    const client = await open('/echo');
    await client.close(code, `from the client ${code}`);
    await noted(server, `/echo closed ${code} from the client ${code}`);
  });

  it('carries ping and pong both ways', async () => {
    const client = await open('/echo');
    const pong = new Promise<string>((resolve) => client.ws.once('pong', (data) => resolve(data.toString())));
    client.ws.ping('hello');
    expect(await pong).toBe('hello');
    expect(await client.ask('ping')).toBe('pong are you there');
    await client.close();
  });

  it('carries fragmented messages', async () => {
    const client = await open('/echo');
    for (let i = 0; i < 50; i++) client.ws.send(`${i},`, { fin: false });
    client.ws.send('end', { fin: true });
    expect(await client.text()).toBe(`${Array.from({ length: 50 }, (_, i) => `${i},`).join('')}end`);
    await client.close();
  });

  it('carries messages of 16 MiB', async () => {
    const client = await open('/echo');
    const bytes = randomBytes(16 * 1024 * 1024);
    client.ws.send(bytes);
    const { data } = await client.message();
    expect(data.equals(bytes)).toBe(true);
    await client.close();
  });

  it('keeps the order of many small messages', async () => {
    const client = await open('/echo');
    for (let i = 0; i < 5000; i++) client.ws.send(String(i));
    for (let i = 0; i < 5000; i++) expect(await client.text()).toBe(String(i));
    await client.close();
  });

  it('carries compressed messages', async () => {
    const client = await open('/deflate', { perMessageDeflate: { threshold: 0 } });
    expect(client.ws.extensions).toContain('permessage-deflate');
    const text = 'again and '.repeat(20_000);
    expect(await client.ask(text)).toBe(text);
    await client.close();
  });

  it('lets the application choose a subprotocol', async () => {
    const client = await open('/chosen', { protocols: ['a', 'b'] });
    expect(client.ws.protocol).toBe('b');
    await client.close();
  });

  it('lets the application refuse, and accept', async () => {
    await expect(open('/guarded')).rejects.toMatchObject({ status: 401, complete: true, text: 'Show the key' });
    const client = await open('/guarded', { headers: { cookie: 'key=1' } });
    expect(await client.ask('in')).toBe('in');
    await client.close();
  });

  it('sees that a client is gone', async () => {
    await server.get('/forget');
    const client = await open('/echo');
    client.ws.terminate();
    await noted(server, /^\/echo closed 1006/);
  });

  it('lets the application break off', async () => {
    const client = await open('/echo');
    client.ws.send('terminate');
    expect((await client.end()).code).toBe(1006);
  });

  it('pauses an application whose client does not read', async () => {
    const client = await open('/echo');
    client.ws.pause();
    for (let i = 0; i < 64; i++) client.ws.send(Buffer.alloc(256 * 1024, i));
    expect((await server.get('/page')).text).toBe('plain false /page');
    client.ws.resume();
    for (let i = 0; i < 64; i++) expect((await client.message()).data[1000]).toBe(i);
    await client.close();
  });

  it.each([
    ['/refused-plainly', 403, {}],
    ['/refused-in-chunks', 403, {}],
    ['/refused-and-destroyed', 400, { 'x-reason': 'none' }],
  ])('passes on the answer of %s as an ordinary response', async (path, status, headers) => {
    await expect(open(path)).rejects.toMatchObject({ status, complete: true, text: 'no', headers });
  });

  it('closes the connection when the socket is destroyed without a word', async () => {
    await expect(open('/destroyed')).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('breaks off a response that the application cuts short', async () => {
    await expect(open('/cut')).rejects.toMatchObject({ status: 200, complete: false, text: 'part' });
  });

  it('answers 500 for what is no response, and for an exception; others go on', async () => {
    const client = await open('/echo');
    await expect(open('/no-http')).rejects.toMatchObject({ status: 500 });
    await expect(open('/throws')).rejects.toMatchObject({ status: 500 });
    expect(server.log()).toContain('thrown by a listener');
    expect(await client.ask('still here')).toBe('still here');
    await client.close();
  });

  it.each([
    ['HTTP/1.0', 'Connection: Upgrade', 'Upgrade: raw'],
    ['HTTP/1.1', 'Connection: close', 'Upgrade: raw'],
    ['HTTP/1.1', 'Connection: Upgrade, close', 'X-Upgrade: raw'],
  ])('takes %s with "%s" and "%s" for an ordinary request', async (version, ...lines) => {
    const client = await server.raw();
    await client.send(head(`GET /page ${version}`, 'Host: localhost', ...lines));
    expect((await client.readResponse()).text).toBe('plain false /page');
    client.close();
  });

  it('gives an upgrade to any other protocol the bytes both ways, with a half-closed connection', async () => {
    await server.get('/forget');
    const client = await server.raw();
    await client.send(head('GET /raw HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: raw'));
    await client.readUntil('head 0\n');
    await client.send('some bytes\n');
    await client.readUntil('some bytes\n');
    client.halfClose();
    await client.readUntil('bye\n');
    await noted(server, /^raw closed 11 /);
  });
});

/** Opens a WebSocket by an extended CONNECT (RFC 8441). */
async function openOverHttp2(client: Http2Client, path: string): Promise<WebSocketClient> {
  if (!client.session.remoteSettings.enableConnectProtocol) await once(client.session, 'remoteSettings');
  const stream = client.session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':authority': 'localhost', ':path': path, 'sec-websocket-version': '13' });
  const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
  expect(headers[':status']).toBe(200);
  return WebSocketClient.on(stream);
}

describe('WebSockets over TLS and HTTP/2', () => {
  const server = useServer(
    {
      apps: [app],
      threads: 16,
      vhosts: [{ tls: true, http2: true, directives: (s) => ['H2WebSockets on', `WSGIScriptAlias / ${s.app(app)}`] }],
    },
    addWs,
  );

  it('works over TLS', async () => {
    const client = await WebSocketClient.open(wsUrl(server, '/echo?facts'));
    expect(JSON.parse(await client.text())).toMatchObject({ encrypted: true });
    const bytes = randomBytes(4 * 1024 * 1024);
    client.ws.send(bytes);
    expect((await client.message()).data.equals(bytes)).toBe(true);
    expect(await client.close(1000, 'done')).toEqual({ code: 1000, reason: 'done' });
    await noted(server, '/echo closed 1000 done');
  });

  it('works over HTTP/2, several on one connection beside ordinary requests', async () => {
    const http2 = await server.http2();
    const clients = [await openOverHttp2(http2, '/echo?1'), await openOverHttp2(http2, '/echo?2')];
    const bytes = randomBytes(4 * 1024 * 1024);
    for (const client of clients) client.ws.send(bytes);
    expect((await http2.request('/page')).text).toBe('plain false /page');
    for (const client of clients) expect((await client.message()).data.equals(bytes)).toBe(true);
    clients[0]?.ws.send('close 3001');
    expect(await clients[0]?.end()).toEqual({ code: 3001, reason: 'as told' });
    expect(await clients[1]?.close(1000, 'over HTTP/2')).toMatchObject({ code: 1000 });
    http2.close();
    await noted(server, '/echo closed 1000 over HTTP/2');
  });
});

describeEachMpm('WebSockets', (mpm) => {
  const server = useServer({ mpm, apps: [app], vhosts: [{ directives: (s) => `WSGIScriptAlias / ${s.app(app)}` }] }, addWs);

  it('carry messages both ways and end in order', async () => {
    const client = await WebSocketClient.open(wsUrl(server, '/echo'));
    const bytes = randomBytes(1024 * 1024);
    client.ws.send(bytes);
    expect((await client.message()).data.equals(bytes)).toBe(true);
    expect(await client.close(1000, 'done')).toEqual({ code: 1000, reason: 'done' });
    await expect(WebSocketClient.open(wsUrl(server, '/guarded'))).rejects.toMatchObject({ status: 401 });
  });
});

describe('many WebSockets', () => {
  const many = 1000;
  const server = useServer({ apps: [app], threads: many + 24, vhosts: [{ directives: (s) => `WSGIScriptAlias / ${s.app(app)}` }] }, addWs);

  it('keeps 1,000 idle ones, and serves requests beside them', async () => {
    expect((await server.get('/clients')).text).toBe('0');
    const clients: WebSocketClient[] = [];
    for (let i = 0; i < many; i += 50) {
      clients.push(...(await Promise.all(Array.from({ length: 50 }, () => WebSocketClient.open(wsUrl(server, '/echo'))))));
    }
    expect((await server.get('/clients')).text).toBe(String(many));
    const answers = await Promise.all(clients.map((client, i) => client.ask(String(i))));
    expect(answers).toEqual(clients.map((_, i) => String(i)));
    await server.get('/close');
    for (const client of clients) expect(await client.end()).toEqual({ code: 1001, reason: 'closing' });
    await waitFor('no clients', async () => (await server.get('/clients')).text === '0');
  });
});

describe('the end of a server with WebSockets', () => {
  const options = { apps: [app], vhosts: [{ directives: (s: HttpdServer) => `WSGIScriptAlias / ${s.app(app)}` }] };

  it('a stop ends them at once', async () => {
    await withServer({ ...options }, async (server) => {
      addWs(server);
      const client = await WebSocketClient.open(wsUrl(server, '/echo'));
      await server.stop();
      expect((await client.end()).code).toBe(1006);
    });
  });

  /** Opens one, replaces its environment, and tells how that one ended. */
  const endBy = (replace: (server: HttpdServer) => unknown, environment: readonly string[]): Promise<{ code: number; reason: string }> =>
    withServer({ ...options, directives: [...environment, 'WSGIApplicationGroup shared'] }, async (server) => {
      addWs(server);
      const before = await WebSocketClient.open(wsUrl(server, '/echo'));
      expect(await before.ask('old')).toBe('old');
      await replace(server);
      const end = await before.end();
      const after = await WebSocketClient.open(wsUrl(server, '/echo'));
      expect(await after.ask('new')).toBe('new');
      await after.close();
      return end;
    });

  it.each([
    ['a changed script', (server: HttpdServer) => appendFileSync(server.app(app), '\n// changed\n')],
    ['a graceful restart', (server: HttpdServer) => server.graceful()],
  ])('%s closes them; an application that listens for SIGTERM says goodbye', async (_, replace) => {
    const [closed, told] = await Promise.all([endBy(replace, []), endBy(replace, ['WSGIApplicationEnv SAYS_GOODBYE=1'])]);
    expect(closed.code).toBe(1006);
    expect(told).toEqual({ code: 1012, reason: 'come back later' });
  });

  it('server.close() waits for them', async () => {
    await withServer({ ...options }, async (server) => {
      addWs(server);
      const client = await WebSocketClient.open(wsUrl(server, '/echo'));
      await server.get('/stop-listening');
      expect((await server.get('/page')).status).toBe(503);
      expect(await client.ask('still open')).toBe('still open');
      expect(server.log()).not.toContain('the server has closed');
      await client.close();
      await server.expectLog('the server has closed');
    });
  });
});
