import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { FetchHandler } from '../../src/fetch/application.js';
import { Event } from '../../src/native.js';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest, FakeResponse } from '../../src/testing/fake-host.js';
import { turn } from './helpers/serve.js';

type Body = NonNullable<ConstructorParameters<typeof Response>[0]>;
type Handle = (...given: Parameters<FetchHandler['fetch']>) => unknown;

const hostOf = (fetch: Handle) => new FakeHost({ fetch } as FetchHandler);
const serve = (fetch: Handle, request?: FakeRequest): Promise<FakeResponse> => hostOf(fetch).fetch(request);

describe('a Response', () => {
  it('is sent in one call with its length', async () => {
    const response = await serve(() => new Response('héllo', { status: 201, headers: { 'X-Test': 'a' } }));
    expect(response.log).toEqual([]);
    expect(response.calls).toEqual(['respond', 'release']);
    expect(response.status).toBe('201 Created');
    expect(response.get('content-length')).toBe('6');
    expect(response.get('content-type')).toBe('text/plain;charset=UTF-8');
    expect(response.get('x-test')).toBe('a');
    expect(response.text).toBe('héllo');
  });

  it('calls the handler as a method with three arguments', async () => {
    let seen: unknown[] = [];
    const handler = {
      name: 'it',
      fetch(this: { name: string }, ...given: unknown[]) {
        seen = [this.name, given.length];
        return Promise.resolve(new Response(null));
      },
    };
    await new FakeHost(handler as unknown as FetchHandler).fetch();
    expect(seen).toEqual(['it', 3]);
  });

  it.each<[string, () => unknown]>([
    ['a string', () => 'body'], ['a Uint8Array', () => Buffer.from('body')], ['an ArrayBuffer', () => Uint8Array.from(Buffer.from('body')).buffer],
    ['a Blob', () => new Blob(['bo', 'dy']) ], ['URLSearchParams', () => new URLSearchParams({ body: '' })],
    ['a stream of one block', () => new ReadableStream({ start(c) { c.enqueue(Buffer.from('body')); c.close(); } })],
    ['a stream through a transformation', () => new Blob(['body']).stream().pipeThrough(new TransformStream()) as unknown ],
  ])('has %s as body', async (_name, body) => {
    const response = await serve(async () => new Response(body() as Body));
    expect(response.log).toEqual([]);
    expect(response.text.replace('=', '')).toBe('body');
  });

  it('keeps Set-Cookie headers apart', async () => {
    const headers = new Headers([['Set-Cookie', 'a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT'], ['Set-Cookie', 'b=2'], ['Vary', 'a'], ['Vary', 'b']]);
    const response = await serve(() => new Response('x', { headers }));
    expect(response.all('set-cookie')).toEqual(['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2']);
    expect(response.all('vary')).toEqual(['a, b']);
  });

  it.each([[204, undefined], [304, undefined], [205, undefined]])('has no body with status %i', async (status) => {
    const response = await serve(() => new Response(null, { status, headers: { ETag: '"1"' } }));
    expect(response.calls).toEqual(['respond', 'release']);
    expect(response.status).toMatch(new RegExp(`^${status} \\w`));
    expect(response.get('etag')).toBe('"1"');
    expect(response.get('content-length')).toBe(status === 205 ? '0' : undefined);
  });

  it('has its own status text', async () => {
    expect((await serve(() => new Response('', { status: 299, statusText: 'Fine by me' }))).status).toBe('299 Fine by me');
    expect((await serve(() => new Response('', { status: 599 }))).status).toBe('599 Unknown');
  });

  it('to HEAD has the length that it tells and no body', async () => {
    let cancelled = false;
    const response = await serve(
      () => new Response(new ReadableStream({ cancel() { cancelled = true; } }), { headers: { 'Content-Length': '7' } }),
      { method: 'HEAD' },
    );
    expect(response.get('content-length')).toBe('7');
    expect(response.body.length).toBe(0);
    expect(cancelled).toBe(true);
  });

  it('redirects', async () => {
    const response = await serve(() => Response.redirect('http://localhost/there', 303));
    expect([response.status, response.get('location'), response.get('content-length')]).toEqual(['303 See Other', 'http://localhost/there', '0']);
  });
});

describe('what fetch() got', () => {
  it('is passed on without the headers of how it came', async () => {
    const upstream = createServer((_request, response) => {
      const body = gzipSync('decoded');
      response.writeHead(203, { 'Content-Encoding': 'gzip', 'Content-Length': body.length, 'Set-Cookie': ['a=1', 'b=2'], ETag: '"1"' }).end(body);
    });
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    try {
      const response = await serve(() => fetch(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}/`));
      expect(response.log).toEqual([]);
      expect([response.status, response.text, response.get('content-encoding'), response.get('etag')]).toEqual(['203 Non-Authoritative Information', 'decoded', undefined, '"1"']);
      expect([undefined, '7']).toContain(response.get('content-length'));
      expect(response.all('set-cookie')).toEqual(['a=1', 'b=2']);
    } finally {
      upstream.close();
      upstream.closeAllConnections();
    }
  });
});

describe('a streamed Response', () => {
  it('has its head sent before the first block, and each block at once', async () => {
    let push!: (text: string) => void;
    let close!: () => void;
    const host = hostOf(() => new Response(new ReadableStream({ start(c) { push = (text) => c.enqueue(Buffer.from(text)); close = () => c.close(); } })));
    const { response, released } = host.begin();
    await turn();
    expect(response.calls).toEqual(['head']);
    push('one');
    await turn();
    expect(response.text).toBe('one');
    push('two');
    await turn();
    expect(response.calls).toEqual(['head', 'write', 'write']);
    close();
    await released;
    expect(response.calls).toEqual(['head', 'write', 'write', 'end', 'release']);
  });

  it('waits for a slow client', async () => {
    let pulled = 0;
    const host = hostOf(() => new Response(new ReadableStream({ pull(c) { pulled++; c.enqueue(Buffer.alloc(64 * 1024)); if (pulled === 20) c.close(); } }, { highWaterMark: 0 })));
    host.bridge.slowClient = true;
    const { handle, response, released } = host.begin();
    for (let i = 0; i < 5; i++) await turn();
    expect(pulled).toBeLessThan(6);
    const timer = setInterval(() => host.bridge.drain(handle), 1);
    await released;
    clearInterval(timer);
    expect(response.body.length).toBe(20 * 64 * 1024);
  });

  it('is cancelled when the client leaves', async () => {
    let reason: unknown;
    const host = hostOf(() => new Response(new ReadableStream({ cancel(given) { reason = given; } })));
    const { handle, released } = host.begin();
    await turn();
    host.bridge.abortRequest(handle);
    await released;
    expect(reason).toMatchObject({ name: 'AbortError' });
  });

  it('that fails looks incomplete', async () => {
    const response = await serve(() => new Response(new ReadableStream({ async pull(c) { c.enqueue(Buffer.from('some')); await turn(); c.error(new Error('stream broke')); } })));
    expect(response.calls).toEqual(['head', 'write', 'abort', 'release']);
    expect(response.log.join()).toMatch(/NWSGI2202.*stream broke/);
  });

  it('that fails at once is answered by 500', async () => {
    const response = await serve(() => new Response(new ReadableStream({ pull(c) { c.error(new Error('no data')); } })));
    expect(response.failure).toMatchObject({ status: 500, code: 'NWSGI2201' });
  });

  it.each([[3, 'NWSGI2234'], [9, 'NWSGI2234']])('with Content-Length %i and six bytes fails', async (length, code) => {
    const body = () => new ReadableStream({ async pull(c) { await turn(); c.enqueue(Buffer.from('abcdef')); c.close(); } });
    const response = await serve(() => new Response(body(), { headers: { 'Content-Length': String(length) } }));
    expect(response.calls.at(-2)).toBe('abort');
    expect(response.log.join()).toContain(code);
  });
});

describe('a handler that fails', () => {
  it.each<[string, Handle, string]>([
    ['throws', () => { throw new Error('thrown'); }, 'NWSGI2201'],
    ['rejects', () => Promise.reject(new Error('rejected')), 'NWSGI2201'],
    ['returns undefined', () => undefined, 'NWSGI2231'],
    ['returns a string', () => 'text', 'NWSGI2231'],
    ['returns Response.error()', () => Response.error(), 'NWSGI2232'],
    ['returns a value that HTTP forbids', () => new Response('', { headers: { 'X-Bell': '\x07' } }), 'NWSGI2232'],
    ['returns a used Response', async () => { const r = new Response('x'); await r.text(); return r; }, 'NWSGI2233'],
    ['returns a locked Response', () => { const r = new Response('x'); r.body?.getReader(); return r; }, 'NWSGI2233'],
    ['announces the wrong length', () => new Response('abc', { headers: { 'Content-Length': '5' } }), 'NWSGI2234'],
    ['has blocks of numbers', () => new Response(new ReadableStream<unknown>({ start(c) { c.enqueue(1); c.close(); } }) as Body), 'NWSGI2205'],
  ])('%s', async (_name, handle, code) => {
    const response = await serve(handle, { path: '/where' });
    expect(response.failure).toMatchObject({ status: 500, code });
    expect(response.log.join()).toContain('GET /where');
  });
});

describe('waitUntil', () => {
  it('keeps the request alive after its response', async () => {
    let finish!: () => void;
    const work = new Promise<void>((resolve) => { finish = resolve; });
    const host = hostOf((_request, _env, ctx) => { ctx.waitUntil(work); return new Response('now'); });
    const response = await host.fetch();
    expect(response.text).toBe('now');
    let idle = false;
    void host.dispatcher.idle().then(() => { idle = true; });
    await turn();
    expect([host.dispatcher.inFlight, idle]).toEqual([1, false]);
    finish();
    await turn();
    expect([host.dispatcher.inFlight, idle]).toEqual([0, true]);
  });

  it('logs a rejection with the place', async () => {
    const host = hostOf((_request, _env, ctx) => { ctx.waitUntil(turn().then(() => { throw new Error('later'); })); return new Response('now'); });
    await host.fetch({ path: '/here' });
    await host.dispatcher.idle();
    expect(host.bridge.siteLog.join()).toMatch(/NWSGI2235.*later.*GET \/here/);
  });
});

describe('requests of one turn', () => {
  it('do not share their asynchronous context', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const host = hostOf(async (request) => {
      seen.push(storage.getStore());
      storage.enterWith(new URL(request.url).pathname);
      await turn();
      return new Response(storage.getStore());
    });
    const answers = await Promise.all([host.fetch({ path: '/a' }), host.fetch({ path: '/b' }), host.fetch({ path: '/c' })]);
    expect(seen).toEqual([undefined, undefined, undefined]);
    expect(answers.map(({ text }) => text)).toEqual(['/a', '/b', '/c']);
    expect(storage.getStore()).toBeUndefined();
  });

  it('are given up when the handler ignores the abort', async () => {
    const host = hostOf(() => new Promise(() => {}));
    const { handle, released } = host.begin();
    host.bridge.notify(handle, Event.Aborted);
    await released;
    await host.dispatcher.idle();
  });
});
