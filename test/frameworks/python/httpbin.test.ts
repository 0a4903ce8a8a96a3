import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { arrivals } from '../harness/arrivals.js';
import { describePython, everyPlace, type PythonTarget } from '../harness/python.js';
import { Visitor } from '../harness/visitor.js';

const app = { name: 'httpbin', script: 'httpbin.wsgi', directives: () => ['WSGIPassAuthorization On'] };

interface Seen {
  args: Record<string, string>;
  data: string;
  files: Record<string, string>;
  form: Record<string, string>;
  headers: Record<string, string>;
  json: unknown;
  method: string;
  origin: string;
  url: string;
}

describePython(app, everyPlace, (target) => {
  describe('says what it got', () => saysWhatItGot(target));
  describe('answers', () => answers(target));
  describe('asks who is there', () => authentication(target));
});

function saysWhatItGot(target: PythonTarget): void {
  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])('%s', async (method) => {
    const body = method === 'GET' || method === 'DELETE' ? undefined : '{"a":"ä"}';
    const headers = { Host: 'example.org', 'X-Test': 'yes', 'Content-Type': 'application/json', ...(body ? { 'Content-Length': String(Buffer.byteLength(body)) } : {}) };
    const seen = (await target.request('/anything/x?b=c%20d', { method, headers, ...(body ? { body } : {}) })).json() as Seen;
    expect(seen).toMatchObject({ method, args: { b: 'c d' }, origin: '127.0.0.1', url: `http://example.org${target.path('/anything/x')}?b=c%20d` });
    expect(seen.headers).toMatchObject({ Host: 'example.org', 'X-Test': 'yes' });
    expect(seen.json).toEqual(body ? { a: 'ä' } : null);
  });

  it('forms and files', async () => {
    const form = new FormData();
    form.set('title', 'ä b');
    form.set('file', new Blob(['some text']), 'a.txt');
    expect((await target.postForm('/post', form)).json()).toMatchObject({ form: { title: 'ä b' }, files: { file: 'some text' } });
    const bytes = randomBytes(1000);
    const sent = (await target.post('/post', bytes, { 'Content-Type': 'application/octet-stream' })).json() as Seen;
    expect(sent.data).toBe(`data:application/octet-stream;base64,${bytes.toString('base64')}`);
  });

  it('cookies', async () => {
    const visitor = new Visitor(target);
    const set = await visitor.get('/cookies/set?a=b&c=d');
    expect([set.status, set.all('set-cookie').length, visitor.behind(set)]).toEqual([302, 2, '/cookies']);
    expect((await visitor.get('/cookies')).json()).toEqual({ cookies: { a: 'b', c: 'd' } });
    await visitor.get('/cookies/delete?a');
    expect((await visitor.get('/cookies')).json()).toEqual({ cookies: { c: 'd' } });
  });
}

function answers(target: PythonTarget): void {
  it.each([200, 201, 204, 301, 304, 400, 402, 404, 406, 418, 429, 500, 503])('with status %i', async (status) => {
    const response = await target.get(`/status/${status}`);
    expect([response.status, response.complete]).toEqual([status, true]);
  });

  it('with redirects, one after the other', async () => {
    let path = '/redirect/4';
    let hops = 0;
    const visitor = new Visitor(target);
    for (let response = await visitor.get(path); response.status === 302; response = await visitor.get(path)) {
      path = visitor.behind(response);
      hops += 1;
    }
    expect([path, hops]).toEqual(['/get', 4]);
    const absolute = await target.get('/absolute-redirect/1', { Host: 'example.org' });
    expect(absolute.headers.location).toBe(`http://example.org${target.path('/get')}`);
  });

  it('encoded', async () => {
    const gzip = await target.get('/gzip');
    expect([gzip.headers['content-encoding'], JSON.parse(gunzipSync(gzip.body).toString())]).toEqual(['gzip', expect.objectContaining({ gzipped: true })]);
    const deflate = await target.get('/deflate');
    expect([deflate.headers['content-encoding'], JSON.parse(inflateSync(deflate.body).toString())]).toEqual(['deflate', expect.objectContaining({ deflated: true })]);
  });

  it('in pieces', async () => {
    const lines = await target.get('/stream/20');
    expect(lines.text.trimEnd().split('\n').map((line) => (JSON.parse(line) as { id: number }).id)).toEqual(Array.from({ length: 20 }, (_, index) => index));
    const [one, two] = [await target.get('/stream-bytes/100000?seed=7&chunk_size=1000'), await target.get('/stream-bytes/100000?seed=7')];
    expect([one.body.length, one.body.equals(two.body), one.headers['transfer-encoding']]).toEqual([100_000, true, 'chunked']);
    const drip = await arrivals(target, '/drip?duration=0.5&numbytes=10&delay=0');
    expect([drip.status, drip.text, drip.spread > 300]).toEqual([200, '*'.repeat(10), true]);
    const started = performance.now();
    expect((await target.get('/delay/0.4')).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThan(390);
  });

  it('in part', async () => {
    const whole = await target.get('/range/1024');
    expect([whole.status, whole.body.length]).toEqual([200, 1024]);
    const part = await target.get('/range/1024', { Range: 'bytes=10-19' });
    expect([part.status, part.text, part.headers['content-range']]).toEqual([206, 'klmnopqrst', 'bytes 10-19/1024']);
    expect((await target.get('/range/1024', { Range: 'bytes=2000-' })).status).toBe(416);
  });

  it('for caches', async () => {
    const cached = await target.get('/cache/60');
    expect(cached.headers['cache-control']).toBe('public, max-age=60');
    expect((await target.get('/cache', { 'If-None-Match': 'x' })).status).toBe(304);
    const tag = await target.get('/etag/abc', { 'If-None-Match': '"abc"' });
    expect([tag.status, tag.headers.etag]).toEqual([304, 'abc']);
    expect((await target.get('/etag/abc', { 'If-Match': '"other"' })).status).toBe(412);
  });

  it('with bytes, pictures, and headers that were asked for', async () => {
    const [one, two] = [await target.get('/bytes/5000?seed=1'), await target.get('/bytes/5000?seed=1')];
    expect([one.body.length, one.body.equals(two.body)]).toEqual([5000, true]);
    const digest = (body: Buffer) => createHash('sha256').update(body).digest('hex');
    expect(digest(one.body)).toBe(digest(two.body));
    const headers = await target.get('/response-headers?X-One=1&X-Two=a&X-Two=b');
    expect([headers.headers['x-one'], headers.all('x-two')]).toEqual(['1', ['a', 'b']]);
    expect((await target.request('/get', { method: 'HEAD' })).status).toBe(200);
    expect((await target.request('/get', { method: 'OPTIONS' })).headers.allow?.split(', ').sort()).toEqual(['GET', 'HEAD', 'OPTIONS']);
  });
}

function authentication(target: PythonTarget): void {
  it('Basic and Bearer', async () => {
    const asked = await target.get('/basic-auth/ada/lovelace');
    expect([asked.status, asked.headers['www-authenticate']]).toEqual([401, 'Basic realm="Fake Realm"']);
    const basic = (name: string) => ({ Authorization: `Basic ${Buffer.from(name).toString('base64')}` });
    expect((await target.get('/basic-auth/ada/lovelace', basic('ada:lovelace'))).json()).toEqual({ authenticated: true, user: 'ada' });
    expect((await target.get('/hidden-basic-auth/ada/lovelace', basic('ada:wrong'))).status).toBe(404);
    expect((await target.get('/bearer', { Authorization: 'Bearer abc' })).json()).toMatchObject({ authenticated: true });
  });

  it('Digest', async () => {
    const path = target.path('/digest-auth/auth/ada/lovelace/MD5');
    const asked = await target.get('/digest-auth/auth/ada/lovelace/MD5');
    expect(asked.status).toBe(401);
    const challenge = asked.headers['www-authenticate'] as string;
    const field = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1] as string;
    const md5 = (text: string) => createHash('md5').update(text).digest('hex');
    const [realm, nonce, opaque] = ['realm', 'nonce', 'opaque'].map(field) as [string, string, string];
    const answer = md5(`${md5(`ada:${realm}:lovelace`)}:${nonce}:00000001:abc:auth:${md5(`GET:${path}`)}`);
    const Authorization = `Digest username="ada", realm="${realm}", nonce="${nonce}", uri="${path}", algorithm=MD5, qop=auth, nc=00000001, cnonce="abc", response="${answer}", opaque="${opaque}"`;
    const cookies = asked.all('set-cookie').map((cookie) => cookie.split(';')[0]).join('; ');
    expect((await target.get('/digest-auth/auth/ada/lovelace/MD5', { Authorization, Cookie: cookies })).json()).toEqual({ authenticated: true, user: 'ada' });
  });
}
