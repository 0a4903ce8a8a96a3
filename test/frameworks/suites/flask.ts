/** What the Flask application does. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { arrivals, eventData, leaveEarly } from '../harness/arrivals.js';
import type { PythonApp, PythonServer, PythonTarget as Place } from '../harness/python.js';
import { Visitor } from '../harness/visitor.js';

// MarkupSafe 2 keeps objects of one interpreter for all, which Python 3.12 and newer notice; below the prefix is another one.
const inOneInterpreterOnly = spawnSync('/usr/bin/python3', ['-c', 'import sys, markupsafe; sys.exit(sys.version_info >= (3, 12) and markupsafe.__version__ < "3")']).status === 1;

export const flask: PythonApp = { name: 'flask', script: 'shop.wsgi', chunked: 'On', mountable: !inOneInterpreterOnly };

/** Any of them. */
type PythonTarget = Place<PythonServer>;

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The part that is quick enough for every run. */
export function flaskSuite(target: PythonTarget): void {
  describe('requests', () => requests(target));
  describe('sessions', () => sessions(target));
  describe('bodies', () => bodies(target));
  describe('streams', () => streams(target));
  describe('files', () => files(target));
  describe('faults and the log', () => faults(target));
}

function requests(target: PythonTarget): void {
  it('are routed', async () => {
    const page = await target.get('/');
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(page.text).toContain('<li>&lt;two&gt;</li>');
    expect(page.text).toContain(`href="${target.path('/me')}"`);
    expect((await target.get('/users/gr%C3%BC%C3%9Fe')).json()).toEqual({ name: 'grüße' });
    expect((await target.get('/items/12')).json()).toEqual({ number: 12 });
    expect((await target.get('/paths/a/b%20c/')).json()).toEqual({ rest: 'a/b c/' });
    expect([(await target.get('/items/x')).status, (await target.get('/nothing')).json()]).toEqual([404, { error: 'there is no such page' }]);
  });

  it.skipIf(!target.direct)('are seen as they were sent', async () => {
    const response = await target.get('/request?a=1&b=x%20y&a=%C3%A4', { Host: 'example.org:8080', 'X-Test': 'yes', 'User-Agent': 'test/1', Cookie: 'a=b; c="d e"' });
    expect(response.json()).toMatchObject({
      method: 'GET',
      path: '/request',
      url: `http://example.org:8080${target.path('/request')}?a=1&b=x%20y&a=ä`,
      host: 'example.org:8080',
      script_root: target.mount,
      url_root: `http://example.org:8080${target.path('/')}`,
      scheme: 'http',
      secure: false,
      args: { a: ['1', 'ä'], b: ['x y'] },
      remote: '127.0.0.1',
      agent: 'test/1',
      test: 'yes',
      cookies: { a: 'b', c: 'd e' },
      length: null,
      terminated: true,
    });
    const put = await target.request('/request', { method: 'PUT', body: '{}', headers: { 'Content-Type': 'application/json; charset=utf-8' } });
    expect(put.json()).toMatchObject({ method: 'PUT', length: 2, type: 'application/json' });
  });

  it('have the methods that the route has', async () => {
    const options = await target.request('/hello', { method: 'OPTIONS' });
    expect([options.status, options.headers.allow?.split(', ').sort()]).toEqual([200, ['GET', 'HEAD', 'OPTIONS']]);
    expect((await target.post('/hello', '')).status).toBe(405);
    const head = await target.request('/hello', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '16', 0]);
  });

  it('get links that name the mount', async () => {
    const links = (await target.get('/links', { Host: 'shop.example' })).json();
    expect(links).toEqual({
      home: target.path('/'),
      item: target.path('/items/7'),
      style: target.path('/static/style.css'),
      whole: `http://shop.example${target.path('/users/gr%C3%BC%C3%9Fe')}`,
    });
    const away = await target.get('/away');
    expect([away.status, away.headers.location]).toEqual([302, target.path('/items/3')]);
  });

  it('are answered without a body, and with 304', async () => {
    const empty = await target.get('/empty');
    expect([empty.status, empty.body.length]).toEqual([204, 0]);
    const first = await target.get('/fresh');
    expect([first.status, first.headers.etag]).toEqual([200, '"constant"']);
    const again = await target.get('/fresh', { 'If-None-Match': '"constant"' });
    expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, '"constant"']);
  });

  it('end with their hooks', async () => {
    const name = randomBytes(4).toString('hex');
    await target.get(`/hooks?name=${name}`);
    const finished = async () => ((await target.get('/finished')).json() as string[]).filter((line) => line.endsWith(name));
    await expect.poll(finished).toEqual([`torn down ${name}`, `closed ${name}`]);
  });
}

function sessions(target: PythonTarget): void {
  it('are kept in a signed cookie', async () => {
    const visitor = new Visitor(target);
    expect((await visitor.get('/visits')).json()).toEqual({ visits: 1 });
    expect((await visitor.get('/visits')).json()).toEqual({ visits: 2 });
    visitor.cookies.set('session', `${visitor.cookies.get('session')}x`);
    expect((await visitor.get('/visits')).json()).toEqual({ visits: 1 });
  });

  it('remember who logged in, and messages for the next page', async () => {
    const visitor = new Visitor(target);
    expect((await visitor.get('/me')).status).toBe(401);
    expect((await visitor.post('/login', new URLSearchParams({ name: 'ada', password: 'wrong' }))).status).toBe(403);
    const login = await visitor.post('/login', new URLSearchParams({ name: 'ada', password: 'lovelace' }));
    expect([login.status, login.headers.location]).toEqual([302, target.path('/me')]);
    expect((await visitor.get(visitor.behind(login))).json()).toEqual({ name: 'ada', messages: ['Welcome, ada'] });
    expect((await visitor.get('/me')).json()).toEqual({ name: 'ada', messages: [] });
  });

  it('and several cookies of one response are separate', async () => {
    const cookies = (await target.get('/cookies')).all('set-cookie');
    expect(cookies).toHaveLength(2);
    expect(cookies[1]).toContain(`Path=${target.mount || '/'}`);
  });
}

function bodies(target: PythonTarget): void {
  it('are parsed', async () => {
    const json = await target.postJson('/json', { a: ['ä'] });
    expect([json.status, json.json()]).toEqual([201, { got: { a: ['ä'] } }]);
    expect((await target.post('/json', '{', { 'Content-Type': 'application/json' })).status).toBe(400);
    expect((await target.postForm('/form', new URLSearchParams([['a', 'b c'], ['a', 'ä']]))).json()).toEqual({ got: { a: ['b c', 'ä'] } });
  });

  it('are uploaded, as forms do and with more than memory keeps', async () => {
    const bytes = randomBytes(2 * 1024 * 1024 + 7);
    const form = new FormData();
    form.set('title', 'Holidays – ä');
    form.set('file', new Blob([bytes], { type: 'image/png' }), 'picture.png');
    const response = await target.postForm('/files/upload', form);
    expect([response.status, response.json()]).toEqual([201, { name: 'picture.png', type: 'image/png', title: 'Holidays – ä', size: bytes.length, sha256: sha256(bytes) }]);
  });

  it('are read in blocks, whole or by lines', async () => {
    const bytes = randomBytes(1024 * 1024 + 1);
    expect((await target.post('/files/received', bytes)).json()).toEqual({ size: bytes.length, most: 65536, sha256: sha256(bytes) });
    expect((await target.post('/length', bytes)).json()).toEqual({ length: bytes.length, sha256: sha256(bytes) });
    expect((await target.post('/files/lines', 'one\ntwo\n\nlast')).json()).toEqual(['one\n', 'two\n', '\n', 'last']);
  });

  it.skipIf(!target.direct)('are sent back while they arrive', async () => {
    const bytes = randomBytes(512 * 1024);
    expect((await target.post('/files/echo', bytes)).body.equals(bytes)).toBe(true);
  });

  it('may come in chunks', async () => {
    const blocks = Array.from({ length: 20 }, () => randomBytes(10_000));
    async function* chunks() {
      yield* blocks;
    }
    const whole = Buffer.concat(blocks);
    expect((await target.post('/length', chunks())).json()).toEqual({ length: whole.length, sha256: sha256(whole) });
    expect((await target.post('/files/received', chunks())).json()).toMatchObject({ size: whole.length, sha256: sha256(whole) });
  });

  it.skipIf(!target.direct)('may be refused before they are sent', async () => {
    const headers = { 'Content-Length': String(64 * 1024 * 1024), Expect: '100-continue' };
    const { request, response, interim } = await target.open('/files/refuse', { method: 'POST', headers });
    expect([response.statusCode, interim]).toEqual([413, []]);
    request.destroy();
  });
}

function streams(target: PythonTarget): void {
  it('arrive block by block', async () => {
    const [lines, events] = await Promise.all([arrivals(target, '/streams/lines?who=me'), arrivals(target, '/streams/events')]);
    expect(lines.text).toBe([0, 1, 2, 3, 4].map((number) => `line ${number} for me\n`).join(''));
    expect(lines.spread).toBeGreaterThan(250);
    expect(events.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(eventData(events.text)).toEqual(['event 0', 'event 1', 'event 2', 'event 3', 'event 4']);
    expect(events.spread).toBeGreaterThan(250);
  });

  it('may be large, of known length and not', async () => {
    const large = await target.get('/streams/large/8');
    expect([large.complete, large.body.length, sha256(large.body)]).toEqual([true, 8 * 1024 * 1024, sha256(Buffer.from('0123456789abcdef'.repeat(512 * 1024)))]);
    const sized = await target.get('/streams/sized');
    expect([sized.complete, sized.headers['content-length'], sized.headers['transfer-encoding'], sized.body.length]).toEqual([true, '1048576', undefined, 1_048_576]);
  });

  it('stop when their client leaves', async () => {
    const name = target.mount.slice(1) || 'root';
    await leaveEarly(target, `/streams/endless/${name}`, async () => ((await target.get('/streams/gone')).json() as string[]).includes(name));
  });
}

function files(target: PythonTarget): void {
  const alphabet = readFileSync(new URL('../apps/python/flask/shop/static/alphabet.txt', import.meta.url));

  it('are sent, with what a cache needs', async () => {
    const file = await target.get('/files/alphabet');
    expect([file.status, file.body.equals(alphabet), file.headers['content-length']]).toEqual([200, true, String(alphabet.length)]);
    expect(file.headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'public, max-age=60' });
    const { etag = '', 'last-modified': modified = '' } = file.headers;
    const byTag = await target.get('/files/alphabet', { 'If-None-Match': etag });
    expect([byTag.status, byTag.body.length, byTag.headers.etag]).toEqual([304, 0, etag]);
    expect((await target.get('/files/alphabet', { 'If-Modified-Since': modified })).status).toBe(304);
    const head = await target.request('/files/alphabet', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, String(alphabet.length), 0]);
  });

  it.each([
    ['bytes=3-9', 206, 3, 10],
    ['bytes=27-', 206, 27, undefined],
    ['bytes=-5', 206, -5, undefined],
  ])('are sent in part: %s', async (Range, status, start, end) => {
    for (const [path, whole] of [['/files/alphabet', alphabet], ['/files/memory', Buffer.from('0123456789'.repeat(1000))]] as const) {
      const part = await target.get(path, { Range });
      const expected = whole.subarray(start, end);
      expect([part.status, part.text, part.headers['content-length']]).toEqual([status, expected.toString(), String(expected.length)]);
      expect(part.headers['content-range']).toMatch(new RegExp(`^bytes \\d+-\\d+/${whole.length}$`));
    }
  });

  it('refuse a part that is not there', async () => {
    const part = await target.get('/files/alphabet', { Range: 'bytes=100000-' });
    expect([part.status, part.headers['content-range']]).toEqual([416, `bytes */${alphabet.length}`]);
  });

  it('are downloaded under their name', async () => {
    const file = await target.get('/files/download');
    expect(file.headers['content-disposition']).toBe("attachment; filename=grue.txt; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt");
    const style = await target.get('/static/style.css');
    expect([style.text, style.headers['content-type']]).toEqual(['h1 { color: teal; }\n', 'text/css; charset=utf-8']);
  });

  it('may be large', async () => {
    const bytes = randomBytes(6 * 1024 * 1024 + 13);
    target.server.writeFile(join('apps', 'flask', 'data', 'large.bin'), bytes);
    const whole = await target.get('/files/data/large.bin');
    expect([whole.complete, whole.body.length, whole.body.equals(bytes)]).toEqual([true, bytes.length, true]);
    const part = await target.get('/files/data/large.bin', { Range: 'bytes=1000000-4999999' });
    expect([part.status, part.body.equals(bytes.subarray(1_000_000, 5_000_000))]).toEqual([206, true]);
    expect((await target.get('/files/data/../shop/views.py')).status).toBe(404);
  });
}

function faults(target: PythonTarget): void {
  it('of a view are a page of Flask, and a traceback in the log', async () => {
    const since = target.server.mark();
    const response = await target.get('/error');
    expect([response.status, response.headers['content-type']]).toEqual([500, 'text/html; charset=utf-8']);
    expect(response.text).toContain('<h1>Internal Server Error</h1>');
    await target.expectLogged('error', /Exception on \/error \[GET\]/, since);
    await target.server.expectLog(/LookupError: the view failed/, { since });
    expect((await target.get('/teapot')).json()).toEqual({ error: 'short and stout' });
    expect((await target.get('/hello')).text).toBe('Hello from Flask');
  });

  it.skipIf(!target.direct)('of a stream cut the answer, or are 500 before it', async () => {
    const since = target.server.mark();
    const broken = await target.get('/streams/broken');
    expect([broken.status, broken.complete, broken.text]).toEqual([200, false, 'a beginning']);
    await target.server.expectLog(/LookupError: the stream failed/, { since });
    expect((await target.get('/streams/broken-early')).status).toBe(500);
    await target.server.expectLog(/LookupError: the stream never began/, { since });
  });

  it.each([
    ['debug', 'debug'],
    ['info', 'info'],
    ['warning', 'warn'],
    ['error', 'error'],
    ['critical', 'crit'],
  ])('are logged: %s', async (level, apache) => {
    const since = target.server.mark();
    await target.get(`/log/${level}`);
    await target.expectLogged(apache, new RegExp(`by the application at ${level}: (ä|\\\\xc3\\\\xa4|\\\\xe4)`), since);
  });

  it('and what is printed is logged', async () => {
    const since = target.server.mark();
    await target.get('/print');
    await target.expectLogged('notice', /printed by the application/, since);
    await target.expectLogged('error', /told to standard error/, since);
    await target.expectLogged('error', /told to wsgi\.errors/, since);
  });
}
