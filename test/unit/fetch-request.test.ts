import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { FetchKind } from '../../src/fetch/application.js';
import type { FetchHandler } from '../../src/fetch/application.js';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest } from '../../src/testing/fake-host.js';
import { turn } from './helpers/serve.js';

type Handle = FetchHandler['fetch'];

const hostOf = (fetch: Handle) => new FakeHost(new FetchKind({ fetch }, '1.2.3'));

/** What `look` sees of a request. */
async function seen<T>(look: (...given: Parameters<Handle>) => T | Promise<T>, request: FakeRequest = {}): Promise<T> {
  let result: T | undefined;
  const response = await hostOf(async (...given) => {
    result = await look(...given);
    return new Response(null);
  }).fetch(request);
  expect(response.log).toEqual([]);
  return result as T;
}

const post = (body: FakeRequest['body'], headers: Record<string, string> = {}): FakeRequest => ({ method: 'POST', headers, ...(body === undefined ? {} : { body }) });
const rejection = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'no error', (error: unknown) => (error as Error).name);

describe('the request of a fetch handler', () => {
  it('is a Request', async () => {
    const facts = await seen((request) => [request instanceof Request, request.constructor === Request, Object.prototype.toString.call(request), Object.keys(request)]);
    expect(facts).toEqual([true, true, '[object Request]', []]);
  });

  it('has every member of a Request, with the values of a fresh one', async () => {
    const plain = new Request('http://localhost/a?b=c', { method: 'PUT', headers: { 'x-test': '1' } });
    const facts = (request: Request): unknown[] =>
      Object.keys(Object.getOwnPropertyDescriptors(Request.prototype))
        .map((key) => [key, Reflect.get(request, key) as unknown])
        .map(([key, value]) => [key, typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) : typeof value === 'function' ? value.name : value])
        .filter(([key]) => key !== 'attribute');
    expect(await seen(facts, { method: 'PUT', path: '/a', query: 'b=c' })).toEqual(facts(plain));
  });

  it('is shown like a Request', async () => {
    expect(await seen((request) => inspect(request), { path: '/shown' })).toMatch(/^Request \{[^]*http:\/\/localhost\/shown/);
  });

  it('works through a Proxy', async () => {
    const facts = await seen(async (request) => {
      const proxy = new Proxy(request, {});
      return [proxy.method, proxy.url, proxy.headers.get('x-test'), await proxy.clone().text(), await new Request(proxy).text()];
    }, { ...post('abc', { 'X-Test': 'yes' }), path: '/p' });
    expect(facts).toEqual(['POST', 'http://localhost/p', 'yes', 'abc', 'abc']);
  });

  it('may be given properties', async () => {
    expect(await seen((request) => Object.assign(request, { params: 5, user: 'me' }).params)).toBe(5);
  });
});

describe('its url', () => {
  const urlOf = (path: string, more: FakeRequest = {}): Promise<string> => seen((request) => request.url, { ...more, environ: { REQUEST_URI: path, ...more.environ } });

  it.each([
    ['/', 'http://localhost/'], ['/a/b?c=d&e', 'http://localhost/a/b?c=d&e'], ['/a%20b/%C3%A9', 'http://localhost/a%20b/%C3%A9'],
    ['/a/../b/./c', 'http://localhost/b/c'], ['/a/%2e%2e/b', 'http://localhost/b'], ['/.well-known/x', 'http://localhost/.well-known/x'],
    ['//host/path', 'http://localhost//host/path'], ["/a?b='c'", 'http://localhost/a?b=%27c%27'], ['/a|b', 'http://localhost/a|b'], ['/a"b', 'http://localhost/a%22b'],
    ['/\xc3\xa9?\xc3\xa9', 'http://localhost/%C3%A9?%C3%A9'], ['http://other.example/x?y', 'http://other.example/x?y'], ['http://other.example', 'http://other.example/'],
    ['http://other.example?y', 'http://other.example/?y'], ['*', 'http://localhost/'], ['/?', 'http://localhost/?'], ['/a\\b', 'http://localhost/a/b'],
  ])('of the target %j is %s', async (path, url) => {
    expect(await urlOf(path)).toBe(url);
    expect(new URL(url).href).toBe(url);
  });

  it.each([
    ['Example.ORG', 'http://example.org/'], ['localhost:80', 'http://localhost/'], ['localhost:8080', 'http://localhost:8080/'], ['[::1]:81', 'http://[::1]:81/'],
    ['user@evil', 'http://site.example:81/'], ['a b', 'http://site.example:81/'], ['', 'http://site.example:81/'], ['evil/path', 'http://site.example:81/'], ['a:99999', 'http://site.example:81/'],
  ])('with the Host %j is %s', async (host, url) => {
    expect(await urlOf('/', { headers: { Host: host }, environ: { SERVER_NAME: 'site.example', SERVER_PORT: '81' } })).toBe(url);
  });

  it('has the scheme of the connection, and is that below the mount', async () => {
    const environ = { 'wsgi.url_scheme': 'https', SCRIPT_NAME: '/shop', PATH_INFO: '/cart', HTTP_HOST: 'a:443' };
    expect(await urlOf('/shop/cart?x', { environ })).toBe('https://a/cart?x');
    expect(await seen((_request, env) => env.mount, { environ })).toBe('/shop');
  });
});

describe('its headers', () => {
  it('are a Headers object that is made once', async () => {
    const facts = await seen((request) => [request.headers instanceof Headers, request.headers === request.headers, request.headers.get('X-A'), request.headers.get('host')], { headers: { 'X-A': 'b, c' } });
    expect(facts).toEqual([true, true, 'b, c', 'localhost']);
  });

  it('may be changed, and their copies know it', async () => {
    const facts = await seen((request) => {
      request.headers.set('x-a', 'new');
      const before = request.clone().headers.get('x-a');
      request.headers.delete('x-a');
      return [before, request.clone().headers.get('x-a'), new Request(request).headers.get('x-a'), request.headers.get('x-a')];
    }, { headers: { 'X-A': 'old' } });
    expect(facts).toEqual(['new', null, null, null]);
  });
});

describe('its body', () => {
  const form = '--b\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontents\r\n--b--\r\n';

  it.each<[string, (request: Request) => Promise<unknown>, unknown]>([
    ['text', (request) => request.text(), '[1,2]'],
    ['json', (request) => request.json(), [1, 2]],
    ['arrayBuffer', async (request) => Buffer.from(await request.arrayBuffer()).toString(), '[1,2]'],
    ['bytes', async (request) => Buffer.from(await (request as unknown as { bytes(): Promise<Uint8Array> }).bytes()).toString(), '[1,2]'],
    ['blob', async (request) => { const blob = await request.blob(); return [await blob.text(), blob.type]; }, ['[1,2]', 'application/json']],
    ['a stream', async (request) => { let text = ''; for await (const block of request.body as never as AsyncIterable<Uint8Array>) text += Buffer.from(block).toString(); return text; }, '[1,2]'],
    ['a stream with buffers of its own', readWithBuffer, '[1,2]'],
    ['text, after looking at body', async (request) => [request.body instanceof ReadableStream, await request.text(), request.bodyUsed], [true, '[1,2]', true]],
    ['a clone', async (request) => [await request.clone().text(), await request.text()], ['[1,2]', '[1,2]']],
    ['a new Request', async (request) => [await new Request(request).text(), request.bodyUsed], ['[1,2]', true]],
    ['a new Request at another URL', async (request) => { const made = new Request('http://a/', request as never); return [made.method, made.headers.get('content-type'), await made.text()]; }, ['POST', 'application/json', '[1,2]']],
    ['a Request of a class of its own', async (request) => { class Mine extends Request {} const mine = new Mine(request); return [mine instanceof Mine, await mine.text()]; }, [true, '[1,2]']],
  ])('is read as %s', async (_name, read, expected) => {
    expect(await seen(read, post(['[1', ',2]'], { 'Content-Type': 'application/json' }))).toEqual(expected);
  });

  it('is read as a form with a file', async () => {
    const facts = await seen(async (request) => {
      const data = await request.formData();
      const file = data.get('file') as unknown as Blob & { name: string };
      return [data.get('field'), file.name, file.type, await file.text()];
    }, post([form.slice(0, 70), form.slice(70)], { 'Content-Type': 'multipart/form-data; boundary=b' }));
    expect(facts).toEqual(['value', 'a.txt', 'text/plain', 'contents']);
  });

  it('is read as a form of an HTML page', async () => {
    expect(await seen(async (request) => [...(await request.formData())], post('a=1&b=%C3%A9', { 'Content-Type': 'application/x-www-form-urlencoded' }))).toEqual([['a', '1'], ['b', 'é']]);
  });

  it('is read once', async () => {
    const facts = await seen(async (request) => {
      const before = request.bodyUsed;
      await request.text();
      return [before, request.bodyUsed, await rejection(request.text()), await rejection(request.json()), request.body?.locked, thrown(() => request.clone()), thrown(() => new Request(request))];
    }, post('abc'));
    expect(facts).toEqual([false, true, 'TypeError', 'TypeError', false, 'TypeError', 'TypeError']);
  });

  it('cannot be read while its stream is', async () => {
    expect(await seen(async (request) => { request.body?.getReader(); return [request.bodyUsed, await rejection(request.text()), thrown(() => request.clone())]; }, post('abc'))).toEqual([false, 'TypeError', 'TypeError']);
  });

  it('drops a byte order mark from text', async () => {
    expect(await seen((request) => request.text(), post(Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff])))).toBe('a\ufffd');
    expect(await rejection(seen((request) => request.json(), post('{')))).not.toBe('no error');
  });

  it.each(['GET', 'HEAD'])('of %s is null', async (method) => {
    expect(await seen(async (request) => [request.body, await request.text(), await request.text(), request.bodyUsed], { ...post('abc'), method })).toEqual([null, '', '', false]);
  });

  it('without bytes is null', async () => {
    expect(await seen(async (request) => [request.body, await request.text(), request.bodyUsed], post(undefined))).toEqual([null, '', false]);
  });

  it('is taken from the server only as it is read', async () => {
    const host = hostOf(async (request) => {
      const reader = (request.body as ReadableStream<Uint8Array>).getReader();
      const first = await reader.read();
      await turn();
      return new Response(`${Buffer.from(first.value as Uint8Array)}`);
    });
    let reads = 0;
    const read = host.bridge.read.bind(host.bridge);
    host.bridge.read = (...given) => (reads++, read(...given));
    expect((await host.fetch(post(['one', 'two', 'three']))).text).toBe('one');
    expect(reads).toBe(1);
  });

  it('comes while the response goes', async () => {
    const host = hostOf((request) => new Response(request.body));
    const { handle, response, released } = host.begin({ ...post([]), openBody: true });
    for (const text of ['one ', 'two ', 'three']) {
      host.bridge.pushBody(handle, text);
      await turn();
      expect(response.text.endsWith(text)).toBe(true);
    }
    host.bridge.endBody(handle);
    await released;
    expect(response.text).toBe('one two three');
  });

  it.each<[string, (request: Request) => Promise<unknown>]>([
    ['text()', (request) => request.text()],
    ['its stream', async (request) => { for await (const _ of request.body as never as AsyncIterable<Uint8Array>); }],
    ['a clone', (request) => request.clone().text()],
  ])('fails for %s when the client leaves', async (_name, read) => {
    let error: unknown;
    const host = hostOf(async (request) => { await read(request).catch((caught: unknown) => { error = caught; }); return new Response(''); });
    const { handle, released } = host.begin({ ...post(['some']), openBody: true });
    await turn();
    host.bridge.abortRequest(handle);
    await released;
    expect(error).toMatchObject({ name: 'AbortError' });
  });

  it('fails when it is malformed', async () => {
    let code: unknown;
    const host = hostOf(async (request) => { await request.text().catch((error: { code: unknown }) => { code = error.code; }); return new Response(''); });
    const { handle, released } = host.begin({ ...post(['some']), openBody: true });
    await turn();
    host.bridge.endBody(handle, 'bad chunk');
    await released;
    expect(code).toBe('NWSGI2301');
  });
});

describe('its signal', () => {
  it('is aborted when the client leaves, also that of a clone', async () => {
    const events: unknown[] = [];
    const host = hostOf(async (request, _env, ctx) => {
      request.clone().signal.addEventListener('abort', () => events.push('clone'));
      request.signal.addEventListener('abort', () => events.push((request.signal.reason as Error).name));
      events.push(request.signal === request.signal, ctx.signal === request.signal, request.signal.aborted);
      await turn();
      await turn();
      return new Response('');
    });
    const { handle, released } = host.begin();
    host.bridge.abortRequest(handle);
    await released;
    expect(events.slice(0, 3)).toEqual([true, true, false]);
    expect(events.slice(3).sort()).toEqual(['AbortError', 'clone']);
  });

  it('stays as it is when the response was sent', async () => {
    let signal: AbortSignal | undefined;
    await seen((request) => { signal = request.signal; });
    await turn();
    expect(signal?.aborted).toBe(false);
  });
});

describe('the other arguments', () => {
  it('tell what only the server knows', async () => {
    const environ = { REMOTE_ADDR: '192.0.2.7', REMOTE_PORT: '4711', HTTP_X_FOO: 'bar', SERVER_PROTOCOL: 'HTTP/2.0' };
    const facts = await seen((_request, env, ctx) => [env.remoteAddress, env.remotePort, env.mount, env.environ.HTTP_X_FOO, ctx.environ === env.environ, env.environ['nwsgi.version'], ctx.passThroughOnException()], { environ });
    expect(facts).toEqual(['192.0.2.7', 4711, '', 'bar', true, '1.2.3', undefined]);
  });
});

describe('fetch()', () => {
  it('takes the request', async () => {
    const text = await seen(async (request) => rejection(fetch(new Request(request, { signal: AbortSignal.abort(new TypeError('stopped')) }))));
    expect(text).toBe('TypeError');
    expect(await seen((request) => rejection(fetch(request, { signal: AbortSignal.abort(new RangeError('stopped')) })), post('abc'))).toBe('RangeError');
  });
});

function thrown(work: () => unknown): string {
  try {
    work();
    return 'no error';
  } catch (error) {
    return (error as Error).name;
  }
}

async function readWithBuffer(request: Request): Promise<string> {
  const reader = (request.body as unknown as ReadableStream<Uint8Array>).getReader({ mode: 'byob' } as never) as unknown as { read(view: Uint8Array): Promise<{ done: boolean; value?: Uint8Array }> };
  let text = '';
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(2));
    if (done) return text;
    text += Buffer.from(value as Uint8Array).toString();
  }
}
