/** What the Hono application does, as a fetch handler and behind @hono/node-server. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { arrivals, eventData, leaveEarly } from '../harness/arrivals.js';
import type { Target } from '../harness/targets.js';

/** `adapter`: @hono/node-server 1 is in between, which answers HEAD with 500 and with an old Node joins cookies. */
export function honoSuite(target: Target, adapter: boolean): void {
  describe('requests', () => honoRequests(target));
  describe('streams', () => honoStreams(target));
  describe('responses', () => honoResponses(target, adapter));
}

function honoRequests(target: Target): void {
  it('answers', async () => {
    const response = await target.get('/');
    expect([response.status, response.text]).toEqual([200, 'Hello from Hono']);
    expect(response.headers['x-content-type-options']).toBe('nosniff');
    expect((await target.get('/users/gr%C3%BC%C3%9Fe')).json()).toEqual({ id: 'grüße' });
  });

  it('sees the request', async () => {
    const response = await target.get('/request?a=1&b=x%20y', { Host: 'example.org:8080', 'X-Test': 'yes' });
    const seen = response.json() as { url: string };
    expect(seen).toMatchObject({ method: 'GET', query: { a: '1', b: 'x y' }, headers: { 'x-test': 'yes', host: 'example.org:8080' } });
    expect(new URL(seen.url).host).toBe('example.org:8080');
    expect(new URL(seen.url).search).toBe('?a=1&b=x%20y');
  });

  it('reads bodies', async () => {
    const json = await target.postJson('/json', { a: 'ä' });
    expect([json.status, json.json()]).toEqual([201, { got: { a: 'ä' } }]);
    expect((await target.postForm('/form', new URLSearchParams({ a: 'b c' }))).json()).toEqual({ got: { a: 'b c' } });
  });

  it('takes an upload of 5 MiB', async () => {
    const bytes = randomBytes(5 * 1024 * 1024);
    const form = new FormData();
    form.set('title', 'Holidays');
    form.set('file', new Blob([bytes], { type: 'image/png' }), 'picture.png');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const expected = { name: 'picture.png', type: 'image/png', title: 'Holidays', size: bytes.length, sha256 };
    expect((await target.postForm('/upload', form)).json()).toEqual(expected);
  });

  it('sends a request body back as a stream', async () => {
    const bytes = randomBytes(3 * 1024 * 1024);
    const response = await target.post('/echo', bytes);
    expect(response.body.equals(bytes)).toBe(true);
  });
}

function honoStreams(target: Target): void {
  it('streams text, events and much', async () => {
    const text = await arrivals(target, '/stream');
    expect(text.text).toBe('line 0\nline 1\nline 2\nline 3\nline 4\n');
    expect(text.spread).toBeGreaterThan(400);
    const events = await arrivals(target, '/events');
    expect(events.headers['content-type']).toBe('text/event-stream');
    expect(eventData(events.text)).toEqual(['event 0', 'event 1', 'event 2', 'event 3', 'event 4']);
    expect(events.spread).toBeGreaterThan(400);
    const large = await target.get('/large');
    expect([large.complete, large.body.length]).toEqual([true, 16 * 1024 * 1024]);
  });

  it('notices a client that leaves', async () => {
    const gone = async () => ((await target.get('/aborted')).json() as string[]).includes('one');
    await leaveEarly(target, '/endless/one', gone);
  });
}

function honoResponses(target: Target, adapter: boolean): void {
  const because = adapter ? ' (not with @hono/node-server 1)' : '';

  it.skipIf(adapter)(`keeps cookies apart${because}`, async () => {
    const response = await target.get('/cookies', { Cookie: 'a=1; b=2' });
    expect(response.all('set-cookie')).toEqual(['one=1; Path=/; HttpOnly', 'two=2; Path=/']);
    expect(response.json()).toEqual({ a: '1', b: '2' });
  });

  it.skipIf(adapter)(`answers HEAD without a body${because}`, async () => {
    const whole = await target.request('/', { method: 'HEAD' });
    expect([whole.status, whole.body.length]).toEqual([200, 0]);
  });

  it('answers conditional requests, redirects and without a body', async () => {
    const { headers } = await target.get('/etag');
    const again = await target.get('/etag', { 'If-None-Match': headers.etag as string });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    const redirect = await target.get('/redirect');
    expect([redirect.status, redirect.headers.location]).toEqual([302, '/users/7']);
    const empty = await target.get('/no-content');
    expect([empty.status, empty.body.length]).toEqual([204, 0]);
    expect((await target.get('/html')).headers['content-type']).toBe('text/html; charset=UTF-8');
  });

  it('answers a preflight request', async () => {
    const headers = { Origin: 'https://example.com', 'Access-Control-Request-Method': 'PUT' };
    const response = await target.request('/api/cors', { method: 'OPTIONS', headers });
    expect(response.status).toBe(204);
    expect(response.headers['access-control-allow-origin']).toBe('https://example.com');
    expect(response.headers['access-control-allow-methods']).toContain('PUT');
  });

  it('handles errors', async () => {
    const teapot = await target.get('/teapot');
    expect([teapot.status, teapot.text]).toEqual([418, 'short and stout']);
    const error = await target.get('/error');
    expect([error.status, error.json()]).toEqual([500, { error: 'it failed' }]);
    const missing = await target.get('/nothing');
    expect([missing.status, missing.json()]).toEqual([404, { error: 'nothing here' }]);
  });

  it('serves many requests at a time', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => target.get(`/users/${i}`)));
    expect(answers.map((answer) => (answer.json() as { id: string }).id)).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
  });
}
