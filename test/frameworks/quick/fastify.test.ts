import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { apps } from '../harness/apps.js';
import { arrivals, leaveEarly } from '../harness/arrivals.js';
import { describeTargets, type Target } from '../harness/targets.js';
import { Socket } from '../harness/websocket.js';

describeTargets(apps.fastify, (target) => {
  describe('requests', () => requests(target));
  describe('plugins', () => plugins(target));
  describe('websocket', () => sockets(target));
});

function requests(target: Target): void {
  it('answers with JSON, after its hooks', async () => {
    const response = await target.get('/');
    expect([response.status, response.json(), response.headers['x-hook']]).toEqual([200, { hello: 'world' }, 'onSend']);
    expect(response.headers['content-length']).toBe('17');
  });

  it('sees the request', async () => {
    const response = await target.get('/request?x=%20', { Host: 'example.org:81', 'X-Test': 'yes' });
    expect(response.json()).toMatchObject({
      method: 'GET',
      url: '/request?x=%20',
      host: 'example.org:81',
      hostname: 'example.org',
      protocol: 'http',
      ip: '127.0.0.1',
      headers: { 'x-test': 'yes' },
    });
  });

  it('validates and serialises by schema', async () => {
    expect((await target.get('/items')).json()).toEqual([{ id: 1, name: 'first' }]);
    expect((await target.get('/items/1')).json()).toEqual({ id: 1, name: 'first' });
    const bad = await target.get('/items/one');
    expect([bad.status, (bad.json() as { message: string }).message]).toEqual([400, 'params/id must be integer']);
    const added = await target.postJson('/items', { name: 'second' });
    expect([added.status, added.json()]).toEqual([201, { id: 2, name: 'second' }]);
    const refused = await target.postJson('/items', { name: 'x' });
    expect((refused.json() as { message: string }).message).toBe('body/name must NOT have fewer than 2 characters');
    expect((await target.post('/items', 'name', { 'Content-Type': 'text/unknown' })).status).toBe(415);
  });

  it('streams', async () => {
    const slow = await arrivals(target, '/stream');
    expect(slow.text).toBe('line 0\nline 1\nline 2\nline 3\nline 4\n');
    expect(slow.spread).toBeGreaterThan(400);
    const large = await target.get('/large');
    expect([large.complete, large.body.length]).toEqual([true, 16 * 1024 * 1024]);
  });

  it('sends a web Response', async () => {
    const response = await target.get('/web');
    expect([response.status, response.text, response.headers['x-web']]).toEqual([201, 'a web response', 'yes']);
  });

  it('notices a client that leaves', async () => {
    const gone = async () => ((await target.get('/aborted')).json() as string[]).includes('one');
    await leaveEarly(target, '/endless/one', gone);
  });

  it('handles errors', async () => {
    const teapot = await target.get('/teapot');
    expect([teapot.status, (teapot.json() as { message: string }).message]).toEqual([418, 'short and stout']);
    expect((await target.get('/error')).json()).toEqual({ statusCode: 500, error: 'Internal Server Error', message: 'it failed' });
    const missing = await target.get('/missing');
    expect([missing.status, (missing.json() as { message: string }).message]).toEqual([404, 'Route GET:/missing not found']);
    const redirect = await target.get('/redirect');
    expect([redirect.status, redirect.headers.location]).toEqual([302, '/items']);
    expect((await target.request('/', { method: 'HEAD' })).headers['content-length']).toBe('17');
  });
}

function plugins(target: Target): void {
  it('takes an upload of 6 MiB', async () => {
    const bytes = randomBytes(6 * 1024 * 1024);
    const form = new FormData();
    form.set('photo', new Blob([bytes]), 'photo.jpg');
    const expected = { name: 'photo.jpg', field: 'photo', size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
    expect((await target.postForm('/upload', form)).json()).toEqual(expected);
  });

  it('serves files, ranges and 304', async () => {
    const whole = await target.get('/public/alphabet.txt');
    expect([whole.status, whole.body.length]).toEqual([200, 27 * 40]);
    const part = await target.get('/public/alphabet.txt', { Range: 'bytes=1-3' });
    expect([part.status, part.text]).toEqual([206, 'bcd']);
    expect((await target.get('/public/alphabet.txt', { 'If-None-Match': whole.headers.etag as string })).status).toBe(304);
  });

  it('signs cookies', async () => {
    const first = await target.get('/cookies');
    const set = first.all('set-cookie');
    expect(set[0]).toBe('plain=value; Path=/; SameSite=Lax');
    const Cookie = set.map((cookie) => cookie.split(';')[0]).join('; ');
    expect((await target.get('/cookies', { Cookie })).json()).toMatchObject({ got: { plain: 'value' }, valid: true });
  });
}

function sockets(target: Target): void {
  it('echoes text and binary', async () => {
    const socket = await Socket.open(target.url('/echo?name=fastify', 'ws'));
    expect(await socket.text()).toBe('hello fastify');
    expect(await socket.ask('Ünïcode')).toBe('Ünïcode');
    const bytes = randomBytes(1024 * 1024);
    socket.send(bytes);
    const back = await socket.message();
    expect([back.binary, back.data.equals(bytes)]).toEqual([true, true]);
    expect(await socket.close(1000)).toEqual({ code: 1000, reason: '' });
  });

  it('serves one path over HTTP and WebSocket', async () => {
    expect((await target.get('/both')).text).toBe('over HTTP');
    const socket = await Socket.open(target.url('/both', 'ws'));
    expect(await socket.text()).toBe('over a WebSocket');
    expect(await socket.end()).toEqual({ code: 4001, reason: 'that was all' });
  });

  it('answers an upgrade of a path that has none with 404', async () => {
    await expect(Socket.open(target.url('/nowhere', 'ws'))).rejects.toMatchObject({ status: 404 });
  });
}
