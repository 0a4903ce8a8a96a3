// Reading wsgi.input over TLS and HTTP/2: W-47, W-49, W-56 to W-58, W-60 and W-112 (PEP 3333).
import { createHash, randomBytes } from 'node:crypto';
import type { ClientHttp2Stream } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { head, useServer, within } from './harness/index.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The next block of a stream's body, as latin-1 text. */
const nextBlock = (stream: ClientHttp2Stream) =>
  within(5000, 'a block of the response', new Promise<string>((resolve) => stream.once('data', (block: Buffer) => resolve(block.toString('latin1')))));

describe('reading wsgi.input over TLS and HTTP/2', () => {
  const apps = ['digest-body.mjs', 'echo-body.mjs', 'ignore-body.cjs', 'report-read-error.ts', 'show-environ.mjs', 'read-after-first-block.mjs'];
  const server = useServer({
    apps,
    directives: (s) => ['WSGIApplicationGroup %{GLOBAL}', ...apps.map((name) => `WSGIScriptAlias /${name.replace(/\..*/, '')} ${s.app(name)}`)],
    vhosts: [{ tls: true, http2: true }, { http2: true }],
  });

  it('W-47: a random body of 1 MiB arrives unaltered over TLS', async () => {
    const body = randomBytes(1 << 20);
    expect((await server.post('/digest-body?sized', body)).json()).toEqual({ bytes: body.length, sha256: sha256(body) });
  });

  it('W-49, W-60: over TLS an unread body and the next request are kept apart', async () => {
    const client = await server.raw();
    const smuggled = head('GET /ignore-body?smuggled HTTP/1.1', 'Host: localhost');
    await client.send(
      `${head('POST /ignore-body?unread HTTP/1.1', 'Host: localhost', `Content-Length: ${smuggled.length}`)}${smuggled}` +
        head('GET /ignore-body?follower HTTP/1.1', 'Host: localhost', 'Connection: close'),
    );
    expect((await client.readResponse()).text).toBe('ignored POST unread');
    expect((await client.readResponse()).text).toBe('ignored GET follower');
    client.close();
  });

  it.each([
    ['over TLS', 0],
    ['with prior knowledge', 1],
  ])('W-47: HTTP/2 %s: random bodies of several streams at once arrive unaltered', async (_, host) => {
    const client = await server.http2(host);
    const bodies = [0, 1, 70_000, 1 << 20].map((size) => randomBytes(size));
    const responses = await Promise.all(bodies.map((body) => client.request('/digest-body?chunks', { method: 'POST', body })));
    client.close();
    expect(responses.map((response) => JSON.parse(response.text) as unknown)).toEqual(bodies.map((body) => ({ bytes: body.length, sha256: sha256(body) })));
  });

  it('W-57: HTTP/2 without Content-Length: no length is made up, and the body ends with the stream', async () => {
    const client = await server.http2(0);
    const environ = JSON.parse((await client.request('/show-environ', { method: 'POST', body: 'abc' })).text) as Record<string, unknown>;
    const told = JSON.parse((await client.request('/show-environ', { method: 'POST', body: 'abc', headers: { 'content-length': '3' } })).text) as Record<string, unknown>;
    const echo = await client.request('/echo-body', { method: 'POST', body: 'abc' });
    client.close();
    expect(environ).not.toHaveProperty('CONTENT_LENGTH');
    expect(environ['wsgi.input_terminated']).toBe(true);
    expect(told.CONTENT_LENGTH).toBe('3');
    expect(echo.text).toBe('abc');
  });

  it('W-56: HTTP/2: the application has the first bytes before the last ones are sent', async () => {
    const client = await server.http2(0);
    const stream = client.stream('/echo-body', { ':method': 'POST' });
    stream.write('first');
    expect(await nextBlock(stream)).toBe('first');
    const last = nextBlock(stream);
    stream.end('-last');
    expect(await last).toBe('-last');
    client.close();
  });

  it('W-58: HTTP/2: a stream that is reset in its body makes the read fail, and the connection lives on', async () => {
    const client = await server.http2(0);
    // The script has to be loaded: an application is not called for a client that has left before.
    await client.request('/report-read-error');
    const since = server.mark();
    const stream = client.stream('/report-read-error', { ':method': 'POST', 'content-length': '50' });
    stream.on('error', () => {});
    stream.write('abcde');
    await new Promise((resolve) => setTimeout(resolve, 300));
    stream.close(8);
    await server.expectLog(/read error report: start \w+, then failed NWSGI\d+, then failed NWSGI\d+/, { since });
    expect((await client.request('/ignore-body?after')).text).toBe('ignored GET after');
    client.close();
  });

  it('W-60: HTTP/2: a body that was not read disturbs neither this response nor the next', async () => {
    const client = await server.http2(0);
    const response = await client.request('/ignore-body?unread', { method: 'POST', body: randomBytes(30_000) });
    expect(response.text).toBe('ignored POST unread');
    expect((await client.request('/ignore-body?next')).text).toBe('ignored GET next');
    client.close();
  });

  it('W-112: HTTP/2: the body may be read after the response has begun', async () => {
    const client = await server.http2(0);
    const stream = client.stream('/read-after-first-block', { ':method': 'POST' });
    const interim: unknown[] = [];
    stream.on('headers', (headers) => interim.push(headers[':status']));
    expect(await nextBlock(stream)).toBe('first\n');
    const last = nextBlock(stream);
    stream.end('abcde');
    expect(await last).toBe('abcde');
    expect(interim).toEqual([]);
    client.close();
  });
});
