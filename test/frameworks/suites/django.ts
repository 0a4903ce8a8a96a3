/** What the Django site does, its admin site among it. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { prepared } from '../harness/apps.js';
import { arrivals, leaveEarly } from '../harness/arrivals.js';
import type { PythonApp, PythonTarget } from '../harness/python.js';
import { fieldOf, Visitor } from '../harness/visitor.js';

export const django: PythonApp = {
  name: 'django',
  script: 'bookshop/wsgi.py',
  source: join(prepared, 'django'),
  chunked: 'Buffered',
  directives: (folder, mount) => [
    `Alias ${mount}/static "${folder}/static"`,
    `Alias ${mount}/media "${folder}/data/media"`,
    `Alias /favicon.ico "${folder}/static/admin/img/icon-yes.svg"`,
    ...[['css', 'text/css'], ['js', 'text/javascript'], ['svg|ico', 'image/svg+xml']].flatMap(([name, type]) => [`<FilesMatch "\\.(${name})$">`, `  ForceType ${type}`, '</FilesMatch>']),
  ],
};

/** The administrator that scripts/lib/frameworks.mjs made. */
export const administrator = { username: 'admin', password: 'lovelace' };

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export function djangoSuite(target: PythonTarget): void {
  describe('requests', () => requests(target));
  describe('the admin site', () => admin(target));
  describe('bodies', () => bodies(target));
  describe('streams', () => streams(target));
  describe('files', () => files(target));
  describe('faults and the log', () => faults(target));
}

function requests(target: PythonTarget): void {
  it('are routed and seen', async () => {
    const hello = await target.get('/');
    expect([hello.status, hello.text, hello.headers['x-frame-options'], hello.headers['content-length']]).toEqual([200, 'Hello from Django', 'DENY', '17']);
    const seen = await target.get('/request/?a=1&b=x%20y&a=%C3%A4', { Host: 'shop.example.org:8080', 'X-Test': 'yes', Cookie: 'a=b' });
    expect(seen.json()).toEqual({
      method: 'GET',
      path: target.path('/request/'),
      path_info: '/request/',
      full: `${target.path('/request/')}?a=1&b=x%20y&a=%C3%A4`,
      url: `http://shop.example.org:8080${target.path('/request/')}?a=1&b=x%20y&a=%C3%A4`,
      scheme: 'http',
      host: 'shop.example.org:8080',
      secure: false,
      query: { a: ['1', 'ä'], b: ['x y'] },
      remote: '127.0.0.1',
      script: target.mount,
      test: 'yes',
      reverse: target.path('/books/7/'),
      cookies: { a: 'b' },
    });
    expect((await target.get('/', { Host: 'evil.example' })).status).toBe(400);
  });

  it('are redirected below the mount', async () => {
    const slash = await target.get('/books?a=1');
    expect([slash.status, slash.headers.location]).toEqual([301, `${target.path('/books/')}?a=1`]);
    const login = await target.get('/admin/');
    expect([login.status, login.headers.location]).toEqual([302, `${target.path('/admin/login/')}?next=${target.path('/admin/')}`]);
  });

  it('have sessions, conditions, compression and methods', async () => {
    const visitor = new Visitor(target);
    expect([(await visitor.get('/visits/')).json(), (await visitor.get('/visits/')).json()]).toEqual([{ visits: 1 }, { visits: 2 }]);
    const fresh = await target.get('/fresh/', { 'If-None-Match': '"constant"' });
    expect([fresh.status, fresh.body.length, fresh.headers.etag]).toEqual([304, 0, '"constant"']);
    const compressed = await target.get('/compressed/', { 'Accept-Encoding': 'gzip' });
    expect(compressed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(gunzipSync(compressed.body).toString()).toBe('0123456789abcdef'.repeat(1000));
    expect((await target.post('/', '')).status).toBe(403);
    const head = await target.request('/', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '17', 0]);
  });
}

/** Logs in to the admin site. */
async function loggedIn(target: PythonTarget): Promise<Visitor> {
  const visitor = new Visitor(target);
  const page = await visitor.get('/admin/login/?next=/');
  const csrfmiddlewaretoken = fieldOf(page.text, 'csrfmiddlewaretoken');
  const answer = await visitor.post(`/admin/login/`, new URLSearchParams({ csrfmiddlewaretoken, ...administrator, next: target.path('/admin/') }));
  expect([answer.status, visitor.behind(answer)]).toEqual([302, '/admin/']);
  return visitor;
}

function admin(target: PythonTarget): void {
  it('lets nobody in without the token or with a wrong password', async () => {
    const visitor = new Visitor(target);
    const page = await visitor.get('/admin/login/');
    expect(page.text).toContain('Django administration');
    const fields = { username: 'admin', password: 'wrong' };
    expect((await visitor.post('/admin/login/', new URLSearchParams(fields))).status).toBe(403);
    const refused = await visitor.post('/admin/login/', new URLSearchParams({ ...fields, csrfmiddlewaretoken: fieldOf(page.text, 'csrfmiddlewaretoken') }));
    expect([refused.status, refused.text]).toEqual([200, expect.stringContaining('Please enter the correct username and password')]);
  });

  it('adds a record with a file, changes it, and deletes it', async () => {
    const visitor = await loggedIn(target);
    const name = `Author in ${target.place}${target.mount} – ä`;
    const author = await addAuthor(visitor, name);
    const cover = randomBytes(400_000);
    const title = `Book of ${name}`;
    const added = await post(visitor, '/admin/library/book/add/', { title, author, published: '1843-10-01', cover: new Blob([cover], { type: 'image/png' }) });
    expect([added.status, visitor.behind(added)]).toEqual([302, '/admin/library/book/']);
    const list = await visitor.get('/admin/library/book/');
    expect(list.text).toContain('was added successfully');
    const number = new RegExp(`/admin/library/book/(\\d+)/change/">${title}<`).exec(list.text)?.[1];
    const page = await visitor.get(`/books/${number}/`);
    const image = /<img src="([^"]+)"/.exec(page.text)?.[1] as string;
    // Apache itself sends what was uploaded.
    expect((await visitor.get(image.slice(target.mount.length))).body.equals(cover)).toBe(true);
    expect(image.startsWith(target.path('/media/covers/'))).toBe(true);

    const change = `/admin/library/book/${number}/change/`;
    expect(fieldOf((await visitor.get(change)).text, 'published')).toBe('1843-10-01');
    const changed = await post(visitor, change, { title: `${title}, 2nd edition`, author, published: '' });
    expect([changed.status, visitor.behind(changed)]).toEqual([302, '/admin/library/book/']);
    expect((await target.get('/books/')).text).toContain(`<a href="${target.path(`/books/${number}/`)}">${title}, 2nd edition</a>`);

    expect((await post(visitor, `/admin/library/book/${number}/delete/`, { post: 'yes' })).status).toBe(302);
    expect((await target.get(`/books/${number}/`)).status).toBe(404);
  });

  it('has its static files from Apache, at the paths that Django names', async () => {
    const page = await target.get('/admin/login/');
    const style = /href="([^"]+\/base\.css)"/.exec(page.text)?.[1] as string;
    expect(style).toBe(target.path('/static/admin/css/base.css'));
    const css = await target.get('/static/admin/css/base.css');
    expect([css.status, css.headers['content-type'], css.text]).toEqual([200, 'text/css', expect.stringContaining('DJANGO Admin styles')]);
  });

  it('logs out', async () => {
    const visitor = await loggedIn(target);
    expect((await visitor.get('/admin/')).text).toContain('Site administration');
    // By POST: newer versions take nothing else.
    const form = new FormData();
    form.set('csrfmiddlewaretoken', fieldOf((await visitor.get('/admin/password_change/')).text, 'csrfmiddlewaretoken'));
    expect((await visitor.post('/admin/logout/', form)).status).toBe(200);
    expect((await visitor.get('/admin/')).status).toBe(302);
  });

  it('and a form of the site has its token and messages', async () => {
    const visitor = await loggedIn(target);
    const author = await addAuthor(visitor, `Writer in ${target.place}${target.mount}`);
    const invalid = await post(visitor, '/books/add/', { title: '', author });
    expect([invalid.status, invalid.text]).toEqual([422, expect.stringContaining('This field is required.')]);
    const added = await post(visitor, '/books/add/', { title: 'Notes', author });
    expect((await visitor.get(visitor.behind(added))).text).toMatch(/<p class="success">Notes was added<\/p>[^]*<h1>Notes<\/h1>/);
  });
}

/** Fills in and sends the form of a page. */
async function post(visitor: Visitor, path: string, fields: Record<string, string | Blob>): Promise<Awaited<ReturnType<Visitor['get']>>> {
  const form = new FormData();
  form.set('csrfmiddlewaretoken', fieldOf((await visitor.get(path)).text, 'csrfmiddlewaretoken'));
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.set(name, value);
    else form.set(name, value, 'cover.png');
  }
  return visitor.post(path, form);
}

/** Adds an author; returns its number. */
async function addAuthor(visitor: Visitor, name: string): Promise<string> {
  expect((await post(visitor, '/admin/library/author/add/', { name })).status).toBe(302);
  const list = await visitor.get('/admin/library/author/?o=-1');
  return new RegExp(`/admin/library/author/(\\d+)/change/">${name}<`).exec(list.text)?.[1] as string;
}

function bodies(target: PythonTarget): void {
  it.each([
    ['in memory', 10_000, 'InMemoryUploadedFile'],
    ['in a temporary file', 3_000_000, 'TemporaryUploadedFile'],
  ])('are uploaded: %s', async (_, size, kind) => {
    const bytes = randomBytes(size);
    const form = new FormData();
    form.set('title', 'Holidays – ä');
    form.set('file', new Blob([bytes], { type: 'image/png' }), 'grüße.png');
    const response = await target.postForm('/upload/', form);
    expect(response.json()).toEqual({ name: 'grüße.png', type: 'image/png', size, sha256: sha256(bytes), kind, title: 'Holidays – ä' });
  });

  it('are read whole, and by lines', async () => {
    const bytes = randomBytes(2_000_000);
    expect((await target.post('/body/', bytes)).json()).toMatchObject({ length: bytes.length, sha256: sha256(bytes), said: '2000000' });
    expect((await target.post('/received/', 'one\ntwo\n\nlast')).text).toBe('> one\n> two\n> \n> last');
    expect((await target.post('/body/', randomBytes(9 * 1024 * 1024))).status).toBe(400);
  });

  // Without a length Django reads nothing; mod_wsgi cannot help.
  it.skipIf(!target.ours)('may come in chunks', async () => {
    for (const count of [1, 100]) {
      const blocks = Array.from({ length: count }, () => randomBytes(7777));
      async function* chunks() {
        yield* blocks;
      }
      const whole = Buffer.concat(blocks);
      const expected = { length: whole.length, sha256: sha256(whole), said: String(whole.length), encoding: null };
      expect((await target.post('/body/', chunks())).json()).toEqual(expected);
    }
  });

  it.skipIf(!target.ours)('may come in chunks as a form', async () => {
    const bytes = randomBytes(500_000);
    const form = new FormData();
    form.set('file', new Blob([bytes]), 'a.bin');
    const encoded = new Response(form);
    const body = new Uint8Array(await encoded.arrayBuffer());
    async function* chunks() {
      for (let at = 0; at < body.length; at += 50_000) yield body.subarray(at, at + 50_000);
    }
    const response = await target.post('/upload/', chunks(), { 'Content-Type': encoded.headers.get('content-type') as string });
    expect(response.json()).toMatchObject({ size: bytes.length, sha256: sha256(bytes) });
  });
}

function streams(target: PythonTarget): void {
  it('arrive block by block, and may be large', async () => {
    const [stream, large] = await Promise.all([arrivals(target, '/stream/'), target.get('/large/')]);
    expect(stream.text).toBe('line 0\nline 1\nline 2\nline 3\nline 4\n');
    expect(stream.spread).toBeGreaterThan(250);
    expect([large.complete, large.body.length]).toEqual([true, 8 * 1024 * 1024]);
  });

  it('stop when their client leaves', async () => {
    const name = target.mount.slice(1) || 'root';
    await leaveEarly(target, `/endless/${name}/`, async () => ((await target.get('/gone/')).json() as string[]).includes(name));
  });

  it('that fail are cut', async () => {
    const since = target.server.mark();
    const broken = await target.get('/broken/');
    expect([broken.status, broken.complete, broken.text]).toEqual([200, false, 'a beginning']);
    await target.server.expectLog(/LookupError: the stream failed/, { since });
  });
}

function files(target: PythonTarget): void {
  it('are sent from disk and from memory', async () => {
    const bytes = randomBytes(5_000_000);
    writeFileSync(join(target.folder, 'data', 'picture.png'), bytes, { mode: 0o644 });
    const file = await target.get('/files/cover/?name=picture.png');
    expect([file.complete, file.body.equals(bytes)]).toEqual([true, true]);
    expect(file.headers).toMatchObject({ 'content-type': 'image/png', 'content-length': '5000000', 'content-disposition': 'inline; filename="picture.png"' });
    const download = await target.get('/files/download/?name=picture.png');
    expect([download.body.length, download.headers['content-disposition']]).toEqual([5_000_000, "attachment; filename*=utf-8''gr%C3%BC%C3%9Fe.bin"]);
    const text = await target.get('/files/text/');
    expect([text.text, text.headers['content-type']]).toEqual(['0123456789'.repeat(1000), 'text/plain']);
    const head = await target.request('/files/cover/?name=picture.png', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '5000000', 0]);
  });
}

function faults(target: PythonTarget): void {
  it('of a view are a page of Django, and a traceback in the log', async () => {
    const since = target.server.mark();
    const response = await target.get('/error/');
    expect([response.status, response.text]).toEqual([500, expect.stringContaining('<h1>Server Error (500)</h1>')]);
    await target.expectLogged('error', new RegExp(`django\\.request: Internal Server Error: ${target.path('/error/')}`), since);
    await target.server.expectLog(/LookupError: the view failed/, { since });
  });

  it.each([
    ['debug', 'debug'],
    ['info', 'info'],
    ['warning', 'warn'],
    ['error', 'error'],
    ['critical', 'crit'],
  ])('are logged: %s', async (level, apache) => {
    const since = target.server.mark();
    await target.get(`/log/${level}/`);
    await target.expectLogged(apache, new RegExp(`library: by the application at ${level}: (ä|\\\\xc3\\\\xa4|\\\\xe4)`), since);
  });

  it('and what is printed is logged, and what Django warns of', async () => {
    const since = target.server.mark();
    await target.get('/print/');
    await target.expectLogged('notice', /printed by the application/, since);
    await target.expectLogged('error', /told to standard error/, since);
    await target.expectLogged('error', /told to wsgi\.errors/, since);
    await target.get('/nothing/');
    await target.expectLogged('warn', new RegExp(`django\\.request: Not Found: ${target.path('/nothing/')}`), since);
  });
}
