/** A Next.js site: as `next build` with `output: "standalone"` leaves it, and with a server of its own. */
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { arrivals, eventData } from './harness/arrivals.js';
import { describeTargets, type Target } from './harness/targets.js';

function site(target: Target): void {
  const assetOf = async () => /"(\/_next\/static\/[^"]+\.js)"/.exec((await target.get('/')).text)?.[1] as string;

  it('renders a page on the server', async () => {
    const page = await target.get('/?who=Apache', { 'User-Agent': 'tests' });
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(page.text.replaceAll('<!-- -->', '')).toMatch(/<h1>Hello, Apache<\/h1><p id="agent">tests<\/p>/);
    expect(page.headers['x-powered-by']).toBe('Next.js');
    expect(page.headers['cache-control']).toContain('no-store');
  });

  it('compresses the page', async () => {
    const page = await target.get('/', { 'Accept-Encoding': 'gzip' });
    expect(page.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(page.body).toString()).toContain('</html>');
  });

  it('serves its assets with ranges, 304 and for ever', async () => {
    const asset = await assetOf();
    const whole = await target.get(asset);
    expect(whole.headers['content-type']).toBe('application/javascript; charset=UTF-8');
    expect(whole.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect((await target.get(asset, { 'If-None-Match': whole.headers.etag as string })).status).toBe(304);
    const part = await target.get(asset, { Range: 'bytes=0-9' });
    expect([part.status, part.body.length]).toEqual([206, 10]);
    const robots = await target.get('/robots.txt');
    expect([robots.status, robots.text]).toEqual([200, 'User-agent: *\nAllow: /\n']);
  });

  it('has routes of an API', async () => {
    const get = await target.get('/api/hello?name=Ada', { 'User-Agent': 'tests' });
    expect(get.json()).toEqual({ greeting: 'Hello, Ada', agent: 'tests' });
    expect(get.all('set-cookie')).toEqual(['visited=yes; Path=/; HttpOnly']);
    const post = await target.postJson('/api/hello', { name: 'Grace' });
    expect([post.status, post.json()]).toEqual([201, { greeting: 'Hello, Grace' }]);
    expect((await target.request('/api/hello', { method: 'DELETE' })).status).toBe(405);
  });

  it('takes an upload of 5 MiB', async () => {
    const bytes = randomBytes(5 * 1024 * 1024);
    const form = new FormData();
    form.set('file', new Blob([bytes]), 'file.bin');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect((await target.postForm('/api/upload', form)).json()).toEqual({ name: 'file.bin', size: bytes.length, sha256 });
  });

  it('streams events and what a page waits for', async () => {
    const events = await arrivals(target, '/api/stream');
    expect(eventData(events.text)).toEqual(['0', '1', '2', '3', '4']);
    expect(events.spread).toBeGreaterThan(500);
    const page = await arrivals(target, '/slow');
    expect(page.text).toMatch(/The early part[^]*Loading[^]*The late part/);
    expect(page.spread).toBeGreaterThan(400);
  });

  it('runs a server action of a form without JavaScript', async () => {
    const name = /name="(\$ACTION_ID_\w+)"/.exec((await target.get('/')).text)?.[1] as string;
    const form = new FormData();
    form.set(name, '');
    form.set('name', 'Somebody <b>');
    const signed = await target.postForm('/', form, { Origin: new URL(target.url('/')).origin });
    expect(signed.status).toBe(200);
    expect((await target.get('/')).text).toContain('<li>Somebody &lt;b&gt;</li>');
  });

  it('redirects, and knows what it does not have', async () => {
    const go = await target.get('/go');
    expect([go.status, go.headers.location]).toEqual([307, '/slow']);
    expect((await target.get('/slow/')).headers.location).toBe('/slow');
    const missing = await target.get('/missing');
    expect([missing.status, missing.text.includes('This page could not be found.')]).toEqual([404, true]);
    expect((await target.get('/nothing/here')).status).toBe(404);
  });
}

describeTargets(apps.next, site);
describeTargets(apps.nextCustom, site);
