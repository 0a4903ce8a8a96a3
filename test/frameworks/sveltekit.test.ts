/** A SvelteKit site, as adapter-node builds it. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { arrivals, eventData } from './harness/arrivals.js';
import { describeTargets } from './harness/targets.js';

describeTargets(apps.sveltekit, (target) => {
  // Without ORIGIN adapter-node takes the site for one with TLS.
  const browser = () => ({ Origin: `https://127.0.0.1:${target.port}`, Accept: 'text/html' });

  it('renders a page on the server', async () => {
    const page = await target.get('/?who=Apache', { Cookie: 'visits=4' });
    expect(page.text).toContain('<h1>Hello, Apache</h1>');
    expect(page.text).toContain('Visit 5 from 127.0.0.1, production');
    expect(page.all('set-cookie')).toEqual(['visits=5; Path=/; HttpOnly; SameSite=Lax']);
    expect((await target.request('/', { method: 'HEAD' })).body.length).toBe(0);
  });

  it('serves its assets', async () => {
    const asset = /\.(\/_app\/immutable\/entry\/start[^"]+\.js)/.exec((await target.get('/')).text)?.[1] as string;
    const script = await target.get(asset);
    expect(script.headers['cache-control']).toBe('public,max-age=31536000,immutable');
    expect(script.headers['content-type']).toBe('text/javascript');
    expect((await target.get(asset, { 'If-None-Match': script.headers.etag as string })).status).toBe(304);
    expect((await target.get(asset, { Range: 'bytes=0-4' })).body.length).toBe(5);
    expect((await target.get('/robots.txt')).text).toBe('User-agent: *\n');
  });

  it('runs form actions', async () => {
    const added = await target.postForm('/notes?/add', new URLSearchParams({ text: 'Größe' }), browser());
    expect([added.status, added.headers.location]).toEqual([303, '/notes']);
    expect((await target.get('/notes')).text).toContain('<li>Größe</li>');
    const failed = await target.postForm('/notes?/add', new URLSearchParams({ text: '' }), browser());
    expect([failed.status, failed.text.includes('A note needs a text.')]).toEqual([400, true]);
    expect((await target.postForm('/notes?/add', new URLSearchParams({ text: 'x' }), { Origin: 'https://evil.example' })).status).toBe(403);
  });

  it('takes a body up to its limit', async () => {
    const bytes = randomBytes(400_000);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const type = { 'Content-Type': 'application/octet-stream' };
    expect((await target.post('/api/echo', bytes, type)).json()).toEqual({ length: bytes.length, sha256 });
    expect((await target.post('/api/echo', Buffer.alloc(600_000), type)).status).toBe(413);
  });

  it('streams', async () => {
    const events = await arrivals(target, '/stream');
    expect(eventData(events.text)).toEqual(['0', '1', '2', '3', '4']);
    expect(events.spread).toBeGreaterThan(400);
  });

  it('handles errors and redirects', async () => {
    const gone = await target.get('/gone');
    expect([gone.status, gone.text.includes('It is gone')]).toEqual([410, true]);
    expect((await target.get('/nothing')).status).toBe(404);
    const old = await target.get('/old');
    expect([old.status, old.headers.location]).toEqual([308, '/?who=moved']);
  });
});
