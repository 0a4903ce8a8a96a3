/** Servers of node:http2 that were taken over: streams, and the compatibility API, whatever the client speaks. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { head, useServer, waitFor } from './harness/index.js';

describe('servers with streams', () => {
  const app = 'node/http2-streams.mjs';
  const server = useServer({
    apps: [app],
    threads: 16,
    vhosts: [{ directives: (s) => [`WSGIScriptAlias /below ${s.app(app)}`, `WSGIScriptAlias / ${s.app(app)}`] }, { tls: true, http2: true, directives: (s) => `WSGIScriptAlias / ${s.app(app)}` }],
  });

  it('get the requests of HTTP/1 clients as streams', async () => {
    const facts = (await server.get('/facts?a=b', { 'X-Some': 'Value', cookie: 'a=1' })).json() as Record<string, unknown>;
    expect(facts).toMatchObject({ remoteAddress: '127.0.0.1', localPort: 'number', encrypted: false, socketEncrypted: false, alpn: 'h2c' });
    expect(facts.headers).toMatchObject({ ':method': 'GET', ':path': '/facts?a=b', ':scheme': 'http', ':authority': `127.0.0.1:${server.port}`, 'x-some': 'Value', cookie: 'a=1' });
    expect(facts.headers).not.toHaveProperty('connection');
    expect(facts.headers).not.toHaveProperty('host');
  });

  it('get the requests of HTTP/2 clients as streams', async () => {
    const client = await server.http2(1);
    const facts = JSON.parse((await client.request('/facts')).text) as Record<string, unknown>;
    client.close();
    expect(facts).toMatchObject({ remoteAddress: '127.0.0.1', encrypted: true, socketEncrypted: true, alpn: 'h2' });
    expect(facts.headers).toMatchObject({ ':scheme': 'https', ':authority': `127.0.0.1:${server.ports[1]}` });
  });

  it('have one session for each connection', async () => {
    const one = await server.http2(1);
    const other = await server.http2(1);
    const counts = [];
    for (const client of [one, other, one, one, other]) counts.push((await client.request('/session')).text);
    one.close();
    other.close();
    expect(counts).toEqual(['1', '1', '2', '3', '2']);
  });

  it('see the path below their mount', async () => {
    expect((await server.get('/below/facts')).json()).toMatchObject({ headers: { ':path': '/facts' } });
  });

  it('cannot push', async () => {
    expect((await server.get('/push')).text).toBe('false ERR_HTTP2_PUSH_DISABLED');
  });

  it('respond with files', async () => {
    const response = await server.get('/file');
    expect(response.text).toBe(readFileSync(server.app(app), 'utf8'));
    expect(response.headers['content-length']).toBe(String(response.body.length));
    const missing = await server.get('/missing-file');
    expect([missing.status, missing.text]).toEqual([404, 'ENOENT']);
  });

  it('send early hints and repeated headers', async () => {
    const client = await server.raw();
    await client.send(head('GET /hints HTTP/1.1', 'Host: localhost', 'Connection: close'));
    expect((await client.readUntil('\r\n\r\n')).toString()).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style.css>; rel=preload\r\n/i);
    const response = await client.readResponse();
    client.close();
    expect(response.text).toBe('hinted');
    expect(response.all('set-cookie')).toEqual(['a=1', 'b=2']);
  });

  it('send trailers', async () => {
    const client = await server.http2(1);
    const response = await client.request('/trailers');
    client.close();
    expect(response.text).toBe('body');
    expect(response.trailers).toMatchObject({ 'x-checksum': 'abc' });
  });

  it('get the trailers of requests', async () => {
    const client = await server.raw();
    await client.send(`${head('POST /request-trailers HTTP/1.1', 'Host: localhost', 'Connection: close', 'Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n`);
    expect(JSON.parse((await client.readResponse()).text)).toMatchObject({ 'x-sum': '1' });
    client.close();
  });

  it.each([0, 1])('carry large bodies both ways (host %i)', async (host) => {
    const body = randomBytes(4 * 1024 * 1024 + 17);
    const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    const response = await server.request('/echo', { method: 'POST', body, host });
    expect(sha(response.body)).toBe(sha(body));
    expect((await server.request('/large', { host })).body.length).toBe(8 * 1024 * 1024);
  });

  it('answer without a body', async () => {
    expect((await server.get('/no-content')).status).toBe(204);
    expect((await server.get('/unknown')).status).toBe(404);
    const response = await server.request('/facts', { method: 'HEAD' });
    expect([response.status, response.text]).toEqual([200, '']);
  });

  it('reset streams, and what they leave incomplete looks so', async () => {
    await expect(server.get('/reset')).rejects.toMatchObject({ code: 'ECONNRESET' });
    const half = await server.raw();
    await half.send(head('GET /half HTTP/1.1', 'Host: localhost', 'Connection: close'));
    expect(await half.readResponse()).toMatchObject({ status: 200, text: 'part', complete: false });
    half.close();
  });

  it('learn that the client has left', async () => {
    const client = await server.raw();
    await client.send(head('GET /waits HTTP/1.1', 'Host: localhost'));
    const notes = async (): Promise<string[]> => (await server.get('/notes')).json() as string[];
    await waitFor('the request', async () => (await notes()).includes('waits'));
    client.close();
    await waitFor('the end of the stream', async () => (await notes()).includes('closed 8'));
    expect(await notes()).toContain('aborted');
  });

  it('may close a session: the next request gets another', async () => {
    const client = await server.http2(1);
    expect((await client.request('/session')).text).toBe('1');
    expect((await client.request('/goaway')).text).toBe('last one');
    expect((await client.request('/session')).text).toBe('1');
    client.close();
  });

  it('have one request fail when a listener throws', async () => {
    const mark = server.mark();
    const [failed, other] = await Promise.all([server.get('/throws'), server.get('/facts')]);
    expect([failed.status, other.status]).toEqual([500, 200]);
    expect(server.log(mark)).toMatch(/NWSGI2201 .*thrown by a listener/);
  });

  it('serve many at a time', async () => {
    const client = await server.http2(1);
    const texts = await Promise.all(Array.from({ length: 200 }, (_, i) => client.request('/echo', { body: `body ${i}` })));
    client.close();
    expect(texts.map(({ text }) => text)).toEqual(Array.from({ length: 200 }, (_, i) => `body ${i}`));
  });
});

describe('secure servers with allowHTTP1', () => {
  const app = 'node/http2-secure.cjs';
  const server = useServer({ apps: [app], vhosts: [{ tls: true, http2: true, directives: (s) => `WSGIScriptAlias / ${s.app(app)}` }, { directives: (s) => `WSGIScriptAlias / ${s.app(app)}` }] });

  it('get HTTP/2 requests as the objects of http2', async () => {
    const client = await server.http2();
    const response = await client.request('/x?y', { headers: { cookie: 'a=1' } });
    const hints = await client.request('/hints');
    const failed = await client.request('/throws');
    const body = await client.request('/body', { body: Buffer.alloc(300_000) });
    client.close();
    expect(response.headers['x-kind']).toBe('http2');
    expect(JSON.parse(response.text)).toEqual({ version: '2.0', url: '/x?y', authority: `127.0.0.1:${server.port}`, scheme: 'https', stream: 'number', cookie: 'a=1', remoteAddress: '127.0.0.1', encrypted: true });
    expect([hints.status, failed.status]).toEqual([200, 500]);
    expect(body.text).toBe('300000');
  });

  it.each([0, 1])('get HTTP/1 requests as those of http (host %i)', async (host) => {
    const response = await server.request('/x?y', { host });
    expect(response.headers['x-kind']).toBe('http1');
    expect(response.json()).toEqual({ version: '1.1', url: '/x?y', host: `127.0.0.1:${server.ports[host]}`, stream: 'undefined', remoteAddress: '127.0.0.1', encrypted: host === 0 });
  });
});
