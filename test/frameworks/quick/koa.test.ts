import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { apps } from '../harness/apps.js';
import { arrivals, leaveEarly } from '../harness/arrivals.js';
import { describeTargets, type Target } from '../harness/targets.js';

describeTargets(apps.koa, (target) => {
  it('answers with text and JSON', async () => {
    const text = await target.get('/');
    expect([text.status, text.text, text.headers['content-type']]).toEqual([200, 'Hello from Koa', 'text/plain; charset=utf-8']);
    expect(text.headers['x-response-time']).toMatch(/^\d+ms$/);
    const json = await target.get('/json?a=1', { Host: 'example.org' });
    expect(json.json()).toMatchObject({ url: '/json?a=1', host: 'example.org', protocol: 'http', writable: true });
    expect((json.json() as { ip: string }).ip).toMatch(/127\.0\.0\.1$/);
  });

  it('parses bodies', async () => {
    const json = await target.postJson('/body', { a: ['ä'] });
    expect([json.status, json.json()]).toEqual([201, { got: { a: ['ä'] } }]);
    const form = await target.postForm('/body', new URLSearchParams({ a: 'b c' }));
    expect(form.json()).toEqual({ got: { a: 'b c' } });
    expect((await target.postJson('/length', 'x'.repeat(4_000_000).split('y'))).json()).toEqual({ length: 4_000_004 });
    expect((await target.post('/body', '{', { 'Content-Type': 'application/json' })).status).toBe(400);
  });

  it('streams a file and a slow stream', async () => {
    const file = await target.get('/file');
    expect(file.body.equals(readFileSync(apps.koa.script))).toBe(true);
    const stream = await arrivals(target, '/stream');
    expect(stream.text).toBe('line 0\nline 1\nline 2\nline 3\nline 4\n');
    expect(stream.spread).toBeGreaterThan(400);
  });

  it('notices a client that leaves', async () => {
    const gone = async () => ((await target.get('/aborted')).json() as string[]).includes('one');
    await leaveEarly(target, '/endless/one', gone);
  });

  it('keeps a session', async () => {
    const first = await target.get('/session');
    const Cookie = first.all('set-cookie').map((cookie) => cookie.split(';')[0]).join('; ');
    expect((await target.get('/session', { Cookie })).json()).toEqual({ views: 2 });
  });

  it('redirects, sends nothing, and 304', async () => {
    const redirect = await target.get('/redirect');
    expect([redirect.status, redirect.headers.location]).toEqual([302, '/json']);
    const empty = await target.get('/empty');
    expect([empty.status, empty.body.length]).toEqual([204, 0]);
    const fresh = await target.get('/fresh', { 'If-None-Match': '"constant"' });
    expect([fresh.status, fresh.body.length, fresh.headers.etag]).toEqual([304, 0, '"constant"']);
    const whole = await target.request('/', { method: 'HEAD' });
    expect([whole.status, whole.headers['content-length'], whole.body.length]).toEqual([200, '14', 0]);
  });

  it('handles errors', async () => {
    const teapot = await target.get('/teapot');
    expect([teapot.status, teapot.json()]).toEqual([418, { error: 'short and stout' }]);
    const error = await target.get('/error');
    expect([error.status, error.text]).toEqual([500, 'Internal Server Error']);
    expect((await target.get('/nothing')).status).toBe(404);
    const method = await target.request('/session', { method: 'DELETE' });
    expect([method.status, method.headers.allow]).toEqual([405, 'HEAD, GET']);
  });

  it('leaves the response to Node where the application wants that', () => takenOver(target));
});

async function takenOver(target: Target): Promise<void> {
  const raw = await target.get('/raw');
  expect([raw.status, raw.statusText, raw.headers['x-raw'], raw.text]).toEqual([202, 'Taken Over', 'yes', 'by hand']);
  expect((await target.get('/status-message')).statusText).toBe('Very Well');
}
