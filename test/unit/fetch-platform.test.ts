/** The globals that the gateway wraps behave as the platform's own: each observation is made with both and compared. */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { prepareRequests } from '../../src/fetch/globals.js';

const platform = { Response, Request, fetch };
prepareRequests();
const wrapped = { Response, Request, fetch };

type Platform = typeof platform;
type Init = ConstructorParameters<typeof Response>[1];

/** The result, or the error, of `look`; comparable. */
async function outcome(look: () => unknown): Promise<unknown> {
  try {
    const value = await look();
    if (value instanceof Blob) return ['Blob', value.type, await value.text()];
    if (value instanceof ArrayBuffer) return ['ArrayBuffer', Buffer.from(value).toString()];
    if (value instanceof FormData) return ['FormData', ...value];
    if (value instanceof Response) return ['Response', await facts(value)];
    return value;
  } catch (error) {
    return [(error as Error).name, (error as Error).message];
  }
}

async function facts(response: Response): Promise<unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed, headers } = response;
  return [status, statusText, ok, type, url, redirected, bodyUsed, [...headers], response.body instanceof ReadableStream, await outcome(() => response.text()), response.bodyUsed];
}

const same = async (look: (globals: Platform) => unknown): Promise<unknown> => {
  const expected = await outcome(() => look(platform));
  expect(await outcome(() => look(wrapped))).toEqual(expected);
  return expected;
};

const bodies: [string, () => unknown][] = [
  ['no body', () => undefined], ['null', () => null], ['an empty string', () => ''], ['a string', () => 'héllo \ud800'], ['bytes', () => Buffer.from('a=1&b=2')],
  ['an empty Uint8Array', () => new Uint8Array(0)], ['a number', () => 5], ['an object', () => ({})], ['a Blob', () => new Blob(['x'], { type: 'a/b' })],
  ['URLSearchParams', () => new URLSearchParams({ a: '1' })], ['a stream', () => new Blob(['x']).stream()], ['an ArrayBuffer', () => new ArrayBuffer(3)],
  ['a Uint16Array', () => Uint16Array.of(0x4141)], ['a String object', () => new String('text')],
];

const inits: [string, () => unknown][] = [
  ['none', () => undefined], ['a status', () => ({ status: 404, statusText: 'Nope' })], ['headers', () => ({ headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'X-A': 'b' } })],
  ['Headers', () => ({ headers: new Headers([['a', 'b'], ['set-cookie', '1'], ['set-cookie', '2']]) })], ['pairs', () => ({ headers: [['a', '1'], ['a', '2']] })],
  ['204', () => ({ status: 204 })], ['304', () => ({ status: 304 })], ['101', () => ({ status: 101 })], ['99', () => ({ status: 99 })], ['700', () => ({ status: 700 })], ['"201"', () => ({ status: '201' })],
  ['a bad header name', () => ({ headers: { 'a b': 'c' } })], ['a bad header value', () => ({ headers: { a: 'b\nc' } })], ['a bad status text', () => ({ statusText: 'a\r\nb' })],
  ['another Response', () => new platform.Response('x', { status: 402, headers: { b: 'c' } })], ['a string', () => 'init'], ['null', () => null],
];

describe.each(bodies)('a Response of %s', (_name, body) => {
  it.each(inits)('with %s as init', async (_init, init) => {
    await same(({ Response }) => new Response(body() as never, init() as Init));
  });

  it.each(['text', 'json', 'arrayBuffer', 'blob', 'formData'] as const)('read by %s()', async (name) => {
    await same(({ Response }) => new Response(body() as never, { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } })[name]());
    await same(({ Response }) => new Response(body() as never)[name]());
  });

  it('read twice, cloned, locked', async () => {
    await same(async ({ Response }) => { const r = new Response(body() as never); await r.text(); return r.text(); });
    await same(async ({ Response }) => { const r = new Response(body() as never); await r.text(); return r.clone(); });
    await same(({ Response }) => { const r = new Response(body() as never); r.body?.getReader(); return r.clone(); });
    await same(async ({ Response }) => { const r = new Response(body() as never); r.body?.getReader(); return [r.bodyUsed, await outcome(() => r.json())]; });
    await same(({ Response }) => new Response(body() as never, { status: 201, headers: { a: 'b' } }).clone());
    await same(({ Response }) => new Response(body() as never).clone().clone());
    await same(async ({ Response }) => { const r = new Response(body() as never); const c = r.clone(); return [await r.text(), await c.text(), r.bodyUsed]; });
    await same(async ({ Response }) => { const r = new Response(body() as never); void r.body; return [await r.clone().text(), await r.text()]; });
    await same(async ({ Response }) => { const r = new Response(body() as never); await r.body?.cancel(); return [r.bodyUsed, await outcome(() => r.text())]; });
  });

  it('made again from itself', async () => {
    await same(({ Response }) => { const r = new Response(body() as never, { status: 201 }); return new Response(r.body, r); });
    await same(({ Response }) => { const r = new Response(body() as never, { status: 201 }); r.headers.set('content-type', 'a/b'); r.headers.append('x', 'y'); return r; });
  });

  it('of a derived class', async () => {
    await same(async ({ Response }) => {
      class Mine extends (Response as unknown as new (body: unknown) => { status: number; text(): Promise<string>; clone(): unknown }) {
        extra = 5;
        override async text(): Promise<string> { return `mine: ${await super.text()}`; }
      }
      const mine = new Mine(body());
      return [mine instanceof Mine, mine instanceof Response, mine.extra, mine.status, mine.constructor === Mine, await mine.text(), mine.clone() instanceof Mine];
    });
  });
});

describe('Response', () => {
  it('copies its bytes', async () => {
    await same(({ Response }) => { const bytes = Buffer.from('abc'); const r = new Response(bytes); bytes[0] = 0x78; return r; });
  });

  it.each<[string, unknown[]]>([
    ['an object', [{ a: [1] }]], ['with an init', [{ a: 1 }, { status: 201, headers: { 'Content-Type': 'a/b' } }]], ['a string', ['x']], ['null', [null]], ['undefined', [undefined]], ['nothing', []],
    ['a function', [() => 1]], ['a bigint', [1n]], ['status 204', [1, { status: 204 }]], ['status 1', [1, { status: 1 }]],
  ])('json() of %s', async (_name, given) => {
    await same(({ Response }) => (Response.json as (...given: unknown[]) => unknown)(...given));
  });

  it('has the statics, names and prototypes of the platform', async () => {
    await same(({ Response }) => Response.redirect('http://a/b', 302));
    await same(({ Response }) => Response.error());
    await same(({ Response, Request, fetch }) => [Response.name, Response.length, Request.name, Request.length, fetch.name, fetch.length, typeof Response, Object.getOwnPropertyNames(Response).sort()]);
    await same(({ Response }) => (Response as unknown as (body: string) => unknown)('x'));
    await same(({ Request, Response }) => [new Request('http://a/').constructor === globalThis.Request, Response.prototype === globalThis.Response.prototype, new Response() instanceof globalThis.Response]);
    expect([new Response('x').constructor === Response, new platform.Response('x') instanceof Response, new Response('x') instanceof platform.Response]).toEqual([true, true, true]);
    await same(({ Response }) => Object.getOwnPropertyDescriptor(Response.prototype, 'text')?.value.name);
    await same(() => Reflect.get(Response.prototype, 'body'));
    await same(() => Response.prototype.text.call({} as Response));
    await same(({ Response }) => Object.keys(new Response('x')));
  });

  it('is shown as that of the platform', async () => {
    await same(({ Response }) => inspect(new Response('x', { status: 201 })).replace(/\[Symbol[^]*/, ''));
  });

  it('works through a Proxy where that of the platform does', async () => {
    const works = await outcome(() => new Proxy(new platform.Response('x'), {}).text());
    if (works === 'x') await same(async ({ Response }) => { const r = new Response('x'); return [new Proxy(r, {}).status, await new Proxy(r, {}).text(), r.bodyUsed]; });
  });
});

describe('Request', () => {
  it.each<[string, unknown[]]>([
    ['a URL', ['http://a/b?c#d']], ['a URL object', [new URL('http://a/')]], ['an init', ['http://a/', { method: 'post', body: 'text', headers: { a: 'b' } }]],
    ['nothing', []], ['a bad URL', ['/b']], ['a bad method', ['http://a/', { method: 'a b' }]], ['GET with a body', ['http://a/', { body: 'x' }]], ['null', [null]],
    ['another Request', [new platform.Request('http://a/', { method: 'PUT', headers: { a: 'b' } }), { headers: { c: 'd' } }]],
  ])('of %s', async (_name, given) => {
    await same(async ({ Request }) => {
      const request = new (Request as unknown as new (...given: unknown[]) => Request)(...given);
      return [request.method, request.url, [...request.headers], request.signal.aborted, await request.text(), request instanceof globalThis.Request];
    });
  });
});

describe('globals', () => {
  it('may be replaced', () => {
    for (const name of ['Response', 'Request', 'fetch'] as const) {
      const before = Object.getOwnPropertyDescriptor(globalThis, name) as PropertyDescriptor;
      expect(before.writable).toBe(true);
      (globalThis as Record<string, unknown>)[name] = 5;
      expect(globalThis[name]).toBe(5);
      Object.defineProperty(globalThis, name, before);
    }
  });
});
