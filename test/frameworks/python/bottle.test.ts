import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { arrivals, leaveEarly } from '../harness/arrivals.js';
import { describePython, everyPlace } from '../harness/python.js';
import { Visitor } from '../harness/visitor.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describePython({ name: 'bottle', script: 'app.py', chunked: 'Buffered' }, everyPlace, (target) => {
  it('routes, and sees the request', async () => {
    const home = await target.get('/?who=%3Cyou%3E');
    expect([home.text, home.headers['x-served-by']]).toEqual(['<h1>Hello, &lt;you&gt;</h1>', 'bottle']);
    expect((await target.get('/users/gr%C3%BC%C3%9Fe')).json()).toEqual({ name: 'grüße', number: null });
    expect((await target.get('/items/12')).json()).toEqual({ name: null, number: 12 });
    const seen = await target.get('/request?a=%C3%A4', { Host: 'example.org', 'X-Test': 'yes' });
    expect(seen.json()).toEqual({
      method: 'GET',
      path: '/request',
      script: target.path('/'),
      full: target.path('/request'),
      url: `http://example.org${target.path('/request')}?a=%C3%A4`,
      remote: '127.0.0.1',
      query: { a: 'ä' },
      test: 'yes',
    });
    expect([(await target.get('/nothing')).status, (await target.post('/items/1', '')).status]).toEqual([404, 405]);
    const away = await target.get('/away', { Host: 'example.org' });
    expect([away.status, away.headers.location]).toEqual([303, `http://example.org${target.path('/items/3')}`]);
  });

  it('takes forms, JSON and uploads', async () => {
    expect((await target.postForm('/form', new URLSearchParams({ a: 'b ä' }))).json()).toEqual({ a: 'b ä' });
    expect((await target.postJson('/json', { a: ['ä'] })).json()).toEqual({ got: { a: ['ä'] } });
    const bytes = randomBytes(1_000_000);
    const form = new FormData();
    form.set('file', new Blob([bytes]), 'picture.png');
    expect((await target.postForm('/upload', form)).json()).toEqual({ name: 'picture.png', size: bytes.length, sha256: sha256(bytes) });
    expect((await target.post('/body', bytes)).json()).toEqual({ size: bytes.length, sha256: sha256(bytes), chunked: false });
  });

  // Bottle wants to undo the chunks itself where it sees Transfer-Encoding, which mod_wsgi leaves there.
  it.skipIf(!target.ours)('takes a body in chunks', async () => {
    const blocks = Array.from({ length: 30 }, () => randomBytes(12_345));
    async function* chunks() {
      yield* blocks;
    }
    const whole = Buffer.concat(blocks);
    expect((await target.post('/body', chunks())).json()).toEqual({ size: whole.length, sha256: sha256(whole), chunked: false });
  });

  it('keeps a signed cookie', async () => {
    const visitor = new Visitor(target);
    await visitor.get('/cookie');
    expect((await visitor.get('/cookie')).json()).toEqual({ count: 2 });
  });

  it('sends files, whole and in part', async () => {
    const bytes = randomBytes(3_000_000);
    writeFileSync(join(target.folder, 'data', 'large.bin'), bytes, { mode: 0o644 });
    const whole = await target.get('/files/large.bin');
    expect([whole.status, whole.body.equals(bytes), whole.headers['content-length']]).toEqual([200, true, '3000000']);
    const part = await target.get('/files/large.bin', { Range: 'bytes=1000000-1999999' });
    expect([part.status, part.body.equals(bytes.subarray(1_000_000, 2_000_000)), part.headers['content-range']]).toEqual([206, true, 'bytes 1000000-1999999/3000000']);
    const fresh = await target.get('/files/large.bin', { 'If-Modified-Since': whole.headers['last-modified'] as string });
    expect([fresh.status, fresh.body.length]).toEqual([304, 0]);
    expect((await target.get('/open')).body.equals(bytes)).toBe(true);
    const head = await target.request('/files/large.bin', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '3000000', 0]);
  });

  it('streams, and notices a client that leaves', async () => {
    const stream = await arrivals(target, '/stream');
    expect([stream.text, stream.spread > 250]).toEqual(['line 0\nline 1\nline 2\nline 3\nline 4\n', true]);
    const name = target.mount.slice(1) || 'root';
    await leaveEarly(target, `/endless/${name}`, async () => ((await target.get('/gone')).json() as { gone: string[] }).gone.includes(name));
  });

  it('has pages for errors, and a traceback in the log', async () => {
    const teapot = await target.get('/teapot');
    expect([teapot.status, teapot.text]).toEqual([418, 'short and stout']);
    expect((await target.get('/forbidden')).text).toContain('not for you');
    const since = target.server.mark();
    expect((await target.get('/error')).status).toBe(500);
    await target.server.expectLog(/LookupError: the handler failed/, { since });
  });
});
