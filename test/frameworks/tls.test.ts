/** What applications see of TLS and HTTP/2, which httpd ends for them, and WebSockets on both. */
import { describe, expect, it } from 'vitest';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { useServer, within } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { eventData } from './harness/arrivals.js';
import { Socket } from './harness/websocket.js';

const served = [apps.express5, apps.ws, apps.fastify];
const [express, ws, fastify] = [0, 1, 2] as const;

const server = useServer({
  threads: 16,
  directives: [`<Directory "${apps.express5.folder}">`, '  Require all granted', '</Directory>'],
  vhosts: served.map(({ script }) => ({ tls: true, http2: true, directives: ['H2WebSockets on', `WSGIScriptAlias / "${script}"`] })),
});

/** A masked text frame with the mask 0, for a text below 126 bytes. */
const frame = (text: string) => Buffer.concat([Buffer.from([0x81, 0x80 | Buffer.byteLength(text), 0, 0, 0, 0]), Buffer.from(text)]);

describe('over TLS', () => {
  it('is a secure request for Express', async () => {
    const seen = (await server.request('/request', { host: express })).json();
    expect(seen).toMatchObject({ protocol: 'https', secure: true, httpVersion: '1.1' });
  });

  it('talks over a WebSocket', async () => {
    const socket = await Socket.open(`wss://127.0.0.1:${server.ports[ws]}/echo`, { rejectUnauthorized: false });
    expect(JSON.parse(await socket.ask('who am I'))).toMatchObject({ encrypted: true });
    const bytes = Buffer.alloc(16 * 1024 * 1024, 'x');
    socket.send(bytes);
    expect((await socket.message(20_000)).data.equals(bytes)).toBe(true);
    expect(await socket.close(1000)).toEqual({ code: 1000, reason: '' });
  });
});

describe('over HTTP/2', () => {
  // Requests have the form of HTTP/1.1, as behind any proxy.
  it('serves Express', async () => {
    const client = await server.http2(express);
    const answer = await client.request('/request?x=1', { headers: { cookie: ['a=1', 'b=2'] } });
    expect(JSON.parse(answer.text)).toMatchObject({ protocol: 'https', secure: true, httpVersion: '1.1', url: '/request?x=1' });
    expect(JSON.parse(answer.text)).toMatchObject({ headers: { host: `127.0.0.1:${server.ports[express]}`, cookie: 'a=1; b=2' } });
    const upload = await client.request('/streams/count', { body: Buffer.alloc(3_000_000) });
    expect(upload.text).toBe('{"bytes":3000000}');
    const events = await client.request('/streams/events');
    expect(eventData(events.text)).toHaveLength(5);
    client.close();
  });

  it('serves Fastify, many requests on one connection', async () => {
    const client = await server.http2(fastify);
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.request('/items')));
    expect(answers.every(({ text }) => text === '[{"id":1,"name":"first"}]')).toBe(true);
    client.close();
  });

  it('carries a WebSocket', async () => {
    const client = await server.http2(ws);
    await extendedConnect(client.session);
    const stream = client.stream('/echo?id=h2', {
      ':method': 'CONNECT',
      ':scheme': 'https',
      ':protocol': 'websocket',
      'sec-websocket-version': '13',
    });
    expect((await responseOf(stream))[':status']).toBe(200);
    const received: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => received.push(chunk));
    stream.write(frame('over HTTP/2'));
    const expected = Buffer.concat([Buffer.from([0x81, 11]), Buffer.from('over HTTP/2')]);
    await expect.poll(() => Buffer.concat(received).equals(expected), { timeout: 5000 }).toBe(true);
    // A close frame with the code 1000.
    stream.end(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
    await expect.poll(() => Buffer.concat(received).subarray(13).toString('hex'), { timeout: 5000 }).toBe('880203e8');
    client.close();
  });
});

/** Waits until the server has said that it takes extended CONNECT requests. */
async function extendedConnect(session: ClientHttp2Session): Promise<void> {
  if (session.remoteSettings.enableConnectProtocol) return;
  await within(5000, 'the settings of the server', new Promise((resolve) => session.once('remoteSettings', resolve)));
  expect(session.remoteSettings.enableConnectProtocol).toBe(true);
}

const responseOf = (stream: ClientHttp2Stream): Promise<Record<string, unknown>> =>
  within(10_000, 'the response to CONNECT', new Promise((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
  }));
