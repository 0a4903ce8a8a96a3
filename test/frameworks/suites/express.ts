/** What the Express applications do, whichever version and module format. */
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { head, RawClient } from '../../integration/harness/index.js';
import { arrivals, eventData, leaveEarly, leaveUnanswered } from '../harness/arrivals.js';
import type { Target } from '../harness/targets.js';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const alphabet = 'abcdefghijklmnopqrstuvwxyz\n'.repeat(40);
const cookies = (values: readonly string[]) => values.map((value) => value.split(';')[0]).join('; ');

export function expressSuite(target: Target): void {
  describe('bodies', () => expressBodies(target));
  describe('responses', () => expressResponses(target));
  describe('requests', () => expressRequests(target));
  describe('statuses', () => expressStatuses(target));
  describe('files', () => expressFiles(target));
  describe('sessions', () => expressSessions(target));
  describe('errors', () => expressErrors(target));
  describe('streams', () => expressStreams(target));
}

function expressBodies(target: Target): void {
  it('parses JSON', async () => {
    const response = await target.postJson('/json', { name: 'Ünï', list: [1, null] });
    expect(response.json()).toEqual({ got: { name: 'Ünï', list: [1, null] } });
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
  });

  it('refuses malformed JSON', async () => {
    const response = await target.post('/json', '{"a":', { 'Content-Type': 'application/json' });
    expect(response.status).toBe(400);
    expect((response.json() as { error: string }).error).toMatch(/JSON/);
  });

  it('parses forms with nested fields', async () => {
    const response = await target.postForm('/form', new URLSearchParams([['a[b]', '1'], ['c[]', 'x'], ['c[]', 'y z']]));
    expect(response.json()).toEqual({ got: { a: { b: '1' }, c: ['x', 'y z'] } });
  });

  it('takes text and large binary bodies, with a length and chunked', async () => {
    const text = 'grüße '.repeat(100_000);
    expect((await target.post('/text', text, { 'Content-Type': 'text/plain; charset=utf-8' })).text).toBe(text);
    const bytes = randomBytes(8 * 1024 * 1024);
    const expected = { length: bytes.length, sha256: digest(bytes) };
    const type = { 'Content-Type': 'application/octet-stream' };
    expect((await target.post('/raw', bytes, type)).json()).toEqual(expected);
    async function* parts() {
      for (let i = 0; i < bytes.length; i += 100_000) yield bytes.subarray(i, i + 100_000);
    }
    expect((await target.post('/raw', parts(), type)).json()).toEqual(expected);
  });

  it('takes a compressed body', async () => {
    const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' };
    expect((await target.post('/json', gzipSync('{"packed":true}'), headers)).json()).toEqual({ got: { packed: true } });
  });

  it('stores an upload of 5 MiB', async () => {
    const bytes = randomBytes(5 * 1024 * 1024);
    const form = new FormData();
    form.set('title', 'Holidays');
    form.set('file', new Blob([bytes], { type: 'image/png' }), 'picture.png');
    const response = await target.postForm('/upload', form);
    expect(response.status).toBe(201);
    const expected = { name: 'picture.png', type: 'image/png', size: bytes.length, sha256: digest(bytes), title: 'Holidays' };
    expect(response.json()).toEqual(expected);
  });

  it('counts a body that is read as a stream', async () => {
    expect((await target.post('/streams/count', Buffer.alloc(6_000_000))).json()).toEqual({ bytes: 6_000_000 });
    expect((await target.post('/streams/count', '')).json()).toEqual({ bytes: 0 });
  });

  it('answers without reading the body', async () => {
    const response = await target.post('/no-such-page', Buffer.alloc(100_000));
    expect(response.status).toBe(404);
  });
}

function expressResponses(target: Target): void {
  it('renders a view with a partial', async () => {
    const response = await target.get('/');
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(response.text).toMatch(/<title>Welcome<\/title>\s*<ul><li>one<\/li><li>&lt;two&gt;<\/li><\/ul>/);
    expect(Number(response.headers['content-length'])).toBe(response.body.length);
  });

  it('has the headers of helmet', async () => {
    const { headers } = await target.get('/etag');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['x-powered-by']).toBeUndefined();
  });

  it('compresses what is large enough', async () => {
    const response = await target.get('/large', { 'Accept-Encoding': 'gzip' });
    expect(response.headers['content-encoding']).toBe('gzip');
    expect(response.headers.vary).toContain('Accept-Encoding');
    expect(gunzipSync(response.body).toString()).toBe('0123456789abcdef'.repeat(16 * 1024));
    const plain = await target.get('/large');
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(plain.body.length).toBe(256 * 1024);
    expect((await target.get('/etag', { 'Accept-Encoding': 'gzip' })).headers['content-encoding']).toBeUndefined();
  });

  it('redirects', async () => {
    const response = await target.get('/redirect');
    expect([response.status, response.headers.location]).toEqual([302, '/elsewhere?a=1']);
    expect(response.text).toBe('Found. Redirecting to /elsewhere?a=1');
    const permanent = await target.get('/redirect-permanent');
    expect([permanent.status, permanent.headers.location]).toEqual([301, 'https://example.com/']);
  });

  it('sets several cookies', async () => {
    const response = await target.get('/cookies');
    const expired = 'three=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT';
    const own = response.all('set-cookie').filter((value) => !value.startsWith('session'));
    expect(own).toEqual(['one=1; Path=/; HttpOnly', 'two=a%20b; Path=/', expired]);
  });

  it('answers a conditional request with 304', async () => {
    const { headers, text } = await target.get('/etag');
    expect(text).toBe('the same text every time');
    const again = await target.get('/etag', { 'If-None-Match': headers.etag as string });
    expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, headers.etag]);
    expect((await target.get('/etag', { 'If-None-Match': 'W/"other"' })).status).toBe(200);
  });

  it('answers HEAD with the headers of GET and no body', async () => {
    const get = await target.get('/etag');
    const response = await target.request('/etag', { method: 'HEAD' });
    expect([response.status, response.body.length]).toEqual([200, 0]);
    for (const name of ['content-length', 'content-type', 'etag']) expect(response.headers[name]).toBe(get.headers[name]);
  });
}

function expressRequests(target: Target): void {
  it('gets the request as the client sent it', async () => {
    const response = await target.request('/request?a=1&b=%20', {
      headers: ['Host', 'example.org:8080', 'X-Custom', 'one', 'x-custom', 'two', 'X_Under', 'score', 'Cookie', 'a=1', 'Cookie', 'b=2'],
    });
    expect(response.json()).toMatchObject({
      method: 'GET',
      url: '/request?a=1&b=%20',
      originalUrl: `${target.mount}/request?a=1&b=%20`,
      path: '/request',
      hostname: 'example.org',
      protocol: 'http',
      secure: false,
      httpVersion: '1.1',
      headers: { host: 'example.org:8080', 'x-custom': 'one, two', x_under: 'score', cookie: 'a=1; b=2' },
    });
    expect((response.json() as { ip: string }).ip).toMatch(/^(::ffff:)?127\.0\.0\.1$/);
  });

  it('decodes parameters and queries', async () => {
    const response = await target.get('/params/gr%C3%BC%C3%9Fe%20dich%3F?q=a+b&list=1&list=2');
    expect(response.json()).toEqual({ name: 'grüße dich?', query: { q: 'a b', list: ['1', '2'] } });
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])('answers %s', async (method) => {
    const response = await target.request('/method', { method });
    expect([response.status, response.text, response.headers['x-method']]).toEqual([200, method, method]);
  });

  it('negotiates the content', async () => {
    expect((await target.get('/format', { Accept: 'application/json' })).json()).toEqual({ format: 'json' });
    expect((await target.get('/format', { Accept: 'text/html' })).text).toBe('<p>html</p>');
    expect((await target.get('/format', { Accept: 'image/png' })).status).toBe(406);
  });
}

function expressStatuses(target: Target): void {
  it.each([
    [201, 'Created'],
    [404, 'Not Found'],
    [418, "I'm a Teapot"],
    [503, 'Service Unavailable'],
  ])('sends status %i', async (code, text) => {
    const response = await target.get(`/status/${code}`);
    expect([response.status, response.text]).toEqual([code, text]);
    expect(response.statusText).toBe(text);
  });

  it('sends 204 without a body', async () => {
    const response = await target.get('/no-content');
    expect([response.status, response.body.length]).toEqual([204, 0]);
    expect(response.headers['content-length']).toBeUndefined();
  });

  it('serves many requests at a time, and one after the other on a connection', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => target.get(`/params/${i}`)));
    expect(answers.map((answer) => (answer.json() as { name: string }).name)).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    const client = await RawClient.connect(target.port);
    try {
      for (let i = 0; i < 3; i++) {
        await client.send(head(`GET ${target.mount}/params/${i} HTTP/1.1`, 'Host: localhost'));
        expect(JSON.parse((await client.readResponse()).text)).toMatchObject({ name: String(i) });
      }
    } finally {
      client.close();
    }
  });
}

function expressFiles(target: Target): void {
  it('serves a static file with validators', async () => {
    const response = await target.get('/public/alphabet.txt');
    expect(response.text).toBe(alphabet);
    expect(response.headers).toMatchObject({
      'content-type': expect.stringMatching(/^text\/plain; charset=utf-8$/i) as string,
      'cache-control': 'public, max-age=3600',
      'accept-ranges': 'bytes',
      'content-length': String(alphabet.length),
      etag: expect.stringMatching(/^W\//) as string,
      'last-modified': expect.stringMatching(/ GMT$/) as string,
    });
  });

  it('answers 304 to a client that has it', async () => {
    const { headers } = await target.get('/public/alphabet.txt');
    const byTag = await target.get('/public/alphabet.txt', { 'If-None-Match': headers.etag as string });
    expect([byTag.status, byTag.body.length]).toEqual([304, 0]);
    const byTime = await target.get('/public/alphabet.txt', { 'If-Modified-Since': headers['last-modified'] as string });
    expect(byTime.status).toBe(304);
    expect((await target.get('/public/alphabet.txt', { 'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).status).toBe(200);
  });

  it('serves ranges', async () => {
    const first = await target.get('/public/alphabet.txt', { Range: 'bytes=2-5' });
    expect([first.status, first.text, first.headers['content-range']]).toEqual([206, 'cdef', `bytes 2-5/${alphabet.length}`]);
    const last = await target.get('/file', { Range: 'bytes=-3' });
    expect([last.status, last.text]).toEqual([206, 'yz\n']);
    const none = await target.get('/public/alphabet.txt', { Range: 'bytes=99999-' });
    expect([none.status, none.headers['content-range']]).toEqual([416, `bytes */${alphabet.length}`]);
    const stale = await target.get('/public/alphabet.txt', { Range: 'bytes=0-1', 'If-Range': '"another"' });
    expect([stale.status, stale.text]).toEqual([200, alphabet]);
  });

  it('answers HEAD for a file', async () => {
    const response = await target.request('/public/style.css', { method: 'HEAD' });
    expect([response.status, response.body.length]).toEqual([200, 0]);
    expect(response.headers['content-type']).toMatch(/^text\/css; charset=utf-8$/i);
    expect(response.headers['content-length']).toBe('21');
  });

  it('redirects a folder to its URL with a slash', async () => {
    const response = await target.get('/public');
    expect([response.status, response.headers.location]).toEqual([301, `${target.mount}/public/`]);
  });

  it('sends a file as a download', async () => {
    const response = await target.get('/download?as=letters%20%C3%A4.txt');
    expect(response.text).toBe(alphabet);
    // Express 4 sends Latin-1, Express 5 the encoded form.
    const forms = ['attachment; filename="letters ä.txt"', `attachment; filename="letters ?.txt"; filename*=UTF-8''letters%20%C3%A4.txt`];
    expect(forms).toContain(response.headers['content-disposition']);
  });

  it('does not leave its folder', async () => {
    for (const path of ['/public/..%2fserver.js', '/public/%2e%2e/server.js', '/public/missing.txt']) {
      expect((await target.get(path)).status).toBeGreaterThanOrEqual(403);
    }
  });
}

function expressSessions(target: Target): void {
  it('keeps a session in signed cookies', async () => {
    const first = await target.get('/session');
    expect(first.json()).toEqual({ views: 1 });
    expect(first.all('set-cookie')).toHaveLength(2);
    const second = await target.get('/session', { Cookie: cookies(first.all('set-cookie')) });
    expect(second.json()).toEqual({ views: 2 });
    const forged = cookies(first.all('set-cookie')).replace(/session\.sig=..../, 'session.sig=AAAA');
    expect((await target.get('/session', { Cookie: forged })).json()).toEqual({ views: 1 });
  });

  it('logs a user in and out', async () => {
    expect((await target.get('/me')).status).toBe(401);
    const wrong = await target.postForm('/login', new URLSearchParams({ name: 'ada', password: 'byron' }));
    expect([wrong.status, wrong.text]).toEqual([401, 'Unauthorized']);
    const right = await target.postForm('/login', new URLSearchParams({ name: 'ada', password: 'lovelace' }));
    expect([right.status, right.headers.location]).toEqual([302, '/me']);
    const Cookie = cookies(right.all('set-cookie'));
    expect((await target.get('/me', { Cookie })).json()).toEqual({ id: 7, name: 'ada' });
    const out = await target.post('/logout', '', { Cookie });
    expect(out.status).toBe(204);
    expect((await target.get('/me', { Cookie: cookies(out.all('set-cookie')) })).status).toBe(401);
  });
}

function expressErrors(target: Target): void {
  it.each([
    ['/error', 500, 'the handler failed'],
    ['/async-error', 418, 'the promise failed'],
  ])('hands errors to the error middleware: %s', async (path, status, error) => {
    const response = await target.get(path);
    expect([response.status, response.json()]).toEqual([status, { error }]);
  });

  it('has a plain page for other errors', async () => {
    const response = await target.get('/default-error');
    expect(response.status).toBe(500);
    expect(response.headers['content-security-policy']).toBe("default-src 'none'");
    expect(response.text).toContain('<pre>Internal Server Error</pre>');
  });

  it('answers for what it does not have', async () => {
    const response = await target.get('/nothing?here');
    expect([response.status, response.json()]).toEqual([404, { error: `nothing at ${target.mount}/nothing?here` }]);
  });

  it('cuts off a response that fails in the middle', async () => {
    const response = await target.get('/streams/broken');
    expect([response.status, response.text, response.complete]).toEqual([200, 'the first half\n', false]);
  });
}

function expressStreams(target: Target): void {
  const notes = async (id: string) => (await target.get(`/streams/notes/${id}`)).json() as string[];

  it.each(['identity', 'gzip'])('sends events as they happen (%s)', async (encoding) => {
    const { response } = await target.open('/streams/events', { headers: { Accept: 'text/event-stream', 'Accept-Encoding': encoding } });
    expect(response.headers['content-type']).toBe('text/event-stream');
    let first = 0;
    const parts: Buffer[] = [];
    for await (const chunk of response) {
      first ||= performance.now();
      parts.push(chunk as Buffer);
    }
    expect(performance.now() - first).toBeGreaterThan(400);
    const body = Buffer.concat(parts);
    const text = response.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    expect(eventData(text.toString())).toEqual(['event 0', 'event 1', 'event 2', 'event 3', 'event 4']);
  });

  it('streams 24 MiB', async () => {
    const result = await target.get('/streams/large/24');
    expect([result.complete, result.body.length]).toEqual([true, 24 * 1024 * 1024]);
  });

  it('notices a client that leaves in the middle of a response', async () => {
    await leaveEarly(target, '/streams/endless/early', async () => (await notes('early')).includes('close false'));
    expect((await notes('early')).filter((note) => note.startsWith('close'))).toEqual(['close false']);
  });

  it('notices a client that leaves before the response', async () => {
    await leaveUnanswered(target, '/streams/silent/before', async () => (await notes('before')).includes('close false'));
    expect(await notes('before')).not.toContain('finish');
  });

  it('notices a client that leaves in the middle of its upload', async () => {
    const client = await RawClient.connect(target.port);
    const lines = ['Host: localhost', 'Content-Length: 100000'];
    await client.send(`${head(`POST ${target.mount}/streams/interrupted/upload HTTP/1.1`, ...lines)}only the beginning`);
    await expect.poll(() => target.get('/streams/notes/upload').then(({ text }) => text), { timeout: 5000 }).toBe('[]');
    client.close();
    await expect.poll(() => notes('upload'), { timeout: 5000 }).toEqual(expect.arrayContaining(['aborted', 'close false']));
  });

  it('serves others while responses are open', async () => {
    const streams = Array.from({ length: 5 }, () => arrivals(target, '/streams/events'));
    const between = await target.get('/etag');
    expect(between.status).toBe(200);
    for (const { text } of await Promise.all(streams)) expect(eventData(text)).toHaveLength(5);
  });
}
