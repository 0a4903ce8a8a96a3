/** The requests of Web-standard handlers, as clients send them. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, request, sleep, useServer, waitFor } from './harness/index.js';
import { upload } from './harness/transfer.js';
import { appsServer, newRun, notesOf, waitForNotes } from './support/mounts.js';

const MiB = 1024 * 1024;
const digest = (bytes: Uint8Array) => ({ length: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') });

describeEachMpm('a fetch handler in every MPM', (mpm) => {
  const server = useServer(appsServer(['fetch-requests.mjs'], { mpm, children: 1 }));

  it('answers', async () => {
    expect((await server.post('/fetch-requests/text', 'body \u00e9')).text).toBe('body \u00e9');
  });

  it('has its signal aborted when the client leaves', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(head(`GET /fetch-requests/aborted?run=${run} HTTP/1.1`, 'Host: localhost'));
    await sleep(300); // A prefork child cannot be asked whether the handler runs.
    client.reset();
    expect(await waitForNotes(server, run, (notes) => notes.length > 1)).toEqual(['waits', 'AbortError']);
  });
});

describe('the request of a fetch handler', () => {
  const server = useServer(appsServer(['fetch-requests.mjs'], {
    vhosts: [{}, { tls: true, http2: true }],
    directives: (s) => `WSGIScriptAlias /deep/mount ${s.app('fetch-requests.mjs')}`,
  }));

  it.each(['text', 'arrayBuffer', 'bytes', 'blob', 'echo', 'again'])('has its body as %s', async (name) => {
    const response = await server.post(`/fetch-requests/${name}`, 'body \u00e9', { 'Content-Type': 'text/x-test' });
    expect([response.status, response.text]).toEqual([200, 'body \u00e9']);
  });

  it('can be cloned', async () => {
    expect((await server.post('/fetch-requests/clone', 'twice')).text).toBe('twicetwice');
  });

  it('has its body as JSON', async () => {
    const response = await server.post('/fetch-requests/json', '{"a":[1,"\u00e9"]}');
    expect(response.json()).toEqual({ a: [1, '\u00e9'] });
    expect(response.headers['content-type']).toBe('application/json');
    expect((await server.post('/fetch-requests/json', '{')).status).toBe(500);
  });

  it('has a form with a file', async () => {
    const file = randomBytes(300_000);
    const data = new FormData();
    data.append('name', 'v\u00e4lue');
    data.append('file', new Blob([file], { type: 'image/x-test' }) as never, 'p\u00efcture.bin');
    const encoded = new Response(data);
    const body = Buffer.from(await encoded.arrayBuffer());
    const response = await server.post('/fetch-requests/form', body, { 'Content-Type': encoded.headers.get('content-type') as string });
    expect(response.json()).toEqual([['name', 'v\u00e4lue'], ['file', 'p\u00efcture.bin', 'image/x-test', digest(file)]]);
  });

  it('has a form of an HTML page', async () => {
    const response = await server.post('/fetch-requests/form', 'a=1&b=%C3%A9+x', { 'Content-Type': 'application/x-www-form-urlencoded' });
    expect(response.json()).toEqual([['a', '1'], ['b', '\u00e9 x']]);
  });

  it.each(['digest', 'whole'])('takes 16 MiB by %s', async (name) => {
    await upload(server, `/fetch-requests/${name}`, 16 * MiB);
  });

  it('passes 16 MiB back as they come', async () => {
    const body = randomBytes(16 * MiB);
    const response = await server.request('/fetch-requests/echo', { method: 'POST', body, headers: { 'Content-Type': 'a/b' }, timeout: 60_000 });
    expect(digest(response.body)).toEqual(digest(body));
    expect([response.headers['content-type'], response.complete]).toEqual(['a/b', true]);
  });

  it('gives blocks to the handler, and its answer to the client, before the body has ended', async () => {
    const client = await server.raw();
    await client.send(head('POST /fetch-requests/echo HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked', 'Connection: close'));
    for (const text of ['one', 'two']) {
      await client.send(`3\r\n${text}\r\n`);
      await client.readUntil(`3\r\n${text}\r\n`);
    }
    await client.send('0\r\n\r\n');
    expect((await client.readAll()).toString()).toBe('0\r\n\r\n');
    client.close();
  });

  it('may have a body that nobody reads', async () => {
    expect((await server.post('/fetch-requests/ignore', Buffer.alloc(2 * MiB))).text).toBe('not read');
  });

  it('has no body with GET, whatever is sent', async () => {
    const response = await server.request('/fetch-requests/facts', { method: 'GET', body: 'abc' });
    expect(response.json()).toMatchObject({ method: 'GET', hasBody: false });
  });

  it('tells method, URL, headers and where it comes from', async () => {
    const response = await server.request('/fetch-requests/facts?a=b&c=%20', { method: 'PROPFIND', headers: { Host: 'Example.org:8080', 'X-Under_Score': '1', 'X-Many': ['a', 'b'], Cookie: 'c=1; d=2', Authorization: 'Basic eDp5' } });
    const facts = response.json() as { headers: [string, string][] };
    expect(facts).toMatchObject({
      isRequest: true, method: 'PROPFIND', url: 'http://example.org:8080/facts?a=b&c=%20', mount: '/fetch-requests', remoteAddress: '127.0.0.1', hasPort: true,
      script: '/fetch-requests', path: '/facts', hasBody: false,
    });
    const headers = new Map(facts.headers);
    expect([headers.get('host'), headers.get('x-many'), headers.get('cookie'), headers.get('authorization')]).toEqual(['Example.org:8080', 'a, b', 'c=1; d=2', 'Basic eDp5']);
  });

  it('tells the mount, which is no part of the URL', async () => {
    const facts = (await server.get('/deep/mount/facts')).json() as { url: string; mount: string };
    expect([facts.mount, new URL(facts.url).pathname]).toEqual(['/deep/mount', '/facts']);
  });

  it('finds the globals of Web-standard platforms', async () => {
    expect((await server.post('/fetch-requests/globals', 'abc')).json()).toEqual([digest(Buffer.from('abc')).sha256, true, 36]);
  });

  it('over TLS has an https URL', async () => {
    const facts = (await request(server.url('/fetch-requests/facts', 1))).json() as { url: string };
    expect(facts.url).toMatch(/^https:/);
  });

  it('over HTTP/2 has a body and a host', async () => {
    const client = await server.http2(1);
    const response = await client.request('/fetch-requests/echo', { body: 'over h2' });
    const facts = JSON.parse((await client.request('/fetch-requests/facts?x')).text) as { url: string };
    client.close();
    expect(response.text).toBe('over h2');
    expect(facts.url).toBe(server.url('/facts?x', 1));
  });

  it('fails to read when the client leaves in the middle of the body', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(head(`POST /fetch-requests/cutOff?run=${run} HTTP/1.1`, 'Host: localhost', 'Content-Length: 100') + 'some');
    await waitFor('the handler to run', async () => (await notesOf(server, run)).length === 0);
    client.reset();
    await waitForNotes(server, run, (notes) => notes.length > 0);
  });

  it('is one of many at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => server.post(`/fetch-requests/${['text', 'echo', 'blob', 'clone'][i % 4]}`, `body ${i} `.repeat(i * 50))));
    answers.forEach(({ text }, i) => expect(text).toBe(`body ${i} `.repeat(i * 50 * (i % 4 === 3 ? 2 : 1))));
  });
});
