import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { StartResponse, WsgiApplication, Write } from '../../src/wsgi/types.js';
import { counted, PLAIN, returning, serve, turn } from './helpers/serve.js';

describe('calling the application', () => {
  it('passes two arguments and no this (W-01)', async () => {
    let seen: unknown[] = [];
    await serve(function (this: unknown, ...given: unknown[]) {
      seen = [this, given.length];
      (given[1] as StartResponse)('200 OK', []);
      return [];
    });
    expect(seen).toEqual([undefined, 2]);
  });

  it.each<[string, unknown]>([
    ['an arrow function', returning(['body'])],
    ['an async function', async (_e: unknown, start: StartResponse) => (start('200 OK', PLAIN), ['body'])],
    ['a generator function (W-06)', function* (_e: unknown, start: StartResponse) { start('200 OK', PLAIN); yield 'body'; }],
    ['an async generator function (W-06)', async function* (_e: unknown, start: StartResponse) { await turn(); start('200 OK', PLAIN); yield 'body'; }],
    ['a bound function', returning(['body']).bind(null)],
    ['a Proxy', new Proxy(returning(['body']), {})],
  ])('accepts %s (W-02)', async (_name, application) => {
    const response = await serve(application);
    expect([response.status, response.text]).toEqual(['200 OK', 'body']);
  });

  it.each<[string, unknown]>([
    ['an array', ['a', 'b']], ['an array of Uint8Arrays', [Uint8Array.of(97), Buffer.from('b')]], ['a Set', new Set(['a', 'b'])],
    ['a generator', (function* () { yield 'a'; yield Buffer.from('b'); })()], ['an async generator', (async function* () { yield 'a'; await turn(); yield 'b'; })()],
    ['a Readable', Readable.from(['a', 'b'])], ['a promise of an array', Promise.resolve(['a', 'b'])], ['a promise of a generator', Promise.resolve((function* () { yield 'ab'; })())],
    ['a thenable', { then: (resolve: (value: unknown) => void) => resolve(['ab']) }], ['a custom iterable', counted(['a', 'b'])],
  ])('delivers %s (W-05)', async (_name, body) => {
    const response = await serve(returning(body));
    expect(response.log).toEqual([]);
    expect(response.text).toBe('ab');
  });

  it('prefers asynchronous iteration', async () => {
    const both = { *[Symbol.iterator]() { yield 'sync'; }, async *[Symbol.asyncIterator]() { yield 'async'; } };
    expect((await serve(returning(both))).text).toBe('async');
  });

  it.each<[string, unknown]>([
    ['undefined', undefined], ['null', null], ['a number', 5], ['a string (W-90)', 'abc'], ['a Uint8Array (W-90)', new Uint8Array(3)], ['a plain object', {}], ['an object with a length', { length: 1, 0: 'a' }],
  ])('answers 500 to %s as result (W-09)', async (_name, body) => {
    const response = await serve(returning(body));
    expect(response.failure).toMatchObject({ status: 500, code: 'NWSGI2204' });
    expect(response.log.join()).toContain('NWSGI2204');
  });

  it.each<[string, unknown]>([
    ['an array', ['x']], ['an empty array', []], ['a generator', (function* () { yield 'x'; })()], ['an empty generator', (function* () {})()],
  ])('answers 500 to %s without startResponse (W-07)', async (_name, body) => {
    const response = await serve(() => body);
    expect(response.failure).toMatchObject({ status: 500, code: 'NWSGI2203' });
  });

  it('uses iteration and close of a result only (W-08)', async () => {
    const touched = new Set<PropertyKey>();
    const body = new Proxy((function* () { yield 'a'; })(), {
      get(target, key) {
        touched.add(key);
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    });
    expect((await serve(returning(body))).text).toBe('a');
    const allowed: PropertyKey[] = ['then', 'close', Symbol.iterator, Symbol.asyncIterator];
    expect([...touched].filter((key) => !allowed.includes(key))).toEqual([]);
  });
});

describe('fast path', () => {
  it('answers an array with one call (W-102)', async () => {
    const response = await serve(returning(['hé']));
    expect(response.calls).toEqual(['respond', 'release']);
    expect(response.get('Content-Length')).toBe('3');
  });

  it('is over when the application has returned', () => {
    const { response } = new FakeHost(returning(['x'])).begin();
    expect(response.calls).toEqual(['respond', 'release']);
  });

  it('keeps the Content-Length of the application', async () => {
    const response = await serve(returning([Buffer.from('abc')], [['content-length', '3']]));
    expect(response.all('content-length')).toEqual(['3']);
  });

  it('says Content-Length: 0 for an empty array or iterable (W-107)', async () => {
    expect((await serve(returning([]))).get('Content-Length')).toBe('0');
    expect((await serve(returning((function* () {})()))).get('Content-Length')).toBe('0');
  });

  it('leaves the header list of the application alone (W-74)', async () => {
    const host = new FakeHost(((environ, start) => (start('200 OK', PLAIN), [environ.QUERY_STRING])) as WsgiApplication);
    expect((await host.fetch({ query: 'long' })).get('Content-Length')).toBe('4');
    expect((await host.fetch({ query: 'x' })).get('Content-Length')).toBe('1');
    expect(PLAIN).toEqual([['Content-Type', 'text/plain']]);
  });

  it('sends a large array block by block, with its length', async () => {
    const response = await serve(returning([Buffer.alloc(50_000), Buffer.alloc(50_000)]));
    expect(response.calls).toEqual(['head', 'write', 'write', 'end', 'release']);
    expect(response.get('Content-Length')).toBe('100000');
  });

  it('closes an array that has close()', async () => {
    let closed = 0;
    await serve(returning(Object.assign(['x'], { close: () => closed++ })));
    expect(closed).toBe(1);
  });
});

describe('startResponse', () => {
  it('sends nothing before the first non-empty block (W-66)', async () => {
    const response = await serve(function* (_e: unknown, start: StartResponse) {
      start('200 OK', [['X-A', '1']]);
      yield '';
      yield new Uint8Array(0);
      start('503 Busy', [['X-B', '2']], new Error('changed'));
      yield 'busy';
    });
    expect([response.status, response.headers]).toEqual(['503 Busy', [['X-B', '2']]]);
  });

  it('throws when called twice (W-67), also after a failed call', async () => {
    for (const first of ['200 OK', 'nonsense']) {
      const codes: unknown[] = [];
      const response = await serve((_e: unknown, start: StartResponse) => {
        for (const status of [first, '200 OK']) {
          try {
            start(status, []);
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
        }
        start('500 Replaced', [], new Error('why'));
        return ['x'];
      });
      expect(codes.at(-1)).toBe('NWSGI2208');
      expect(response.status).toBe('500 Replaced');
    }
  });

  it('replaces status and all headers with excInfo (W-68)', async () => {
    const response = await serve((_e: unknown, start: StartResponse) => {
      start('200 OK', [['X-A', '1'], ['Content-Length', '99']]);
      start('500 Oops', [['X-B', '2']], new Error('x'));
      return ['y'];
    });
    expect([response.status, response.headers]).toEqual(['500 Oops', [['X-B', '2'], ['Content-Length', '1']]]);
  });

  it.each([['the error itself', (e: Error) => e], ['a triple', (e: Error) => ['Error', e, null]]])('throws %s again after the head was sent (W-69)', async (_name, wrap) => {
    const original = new Error('original');
    let thrown: unknown;
    const response = await serve(function* (_e: unknown, start: StartResponse) {
      start('200 OK', []);
      yield 'a';
      try {
        start('500 Oops', [], wrap(original));
      } catch (error) {
        thrown = error;
        throw error;
      }
    });
    expect(thrown).toBe(original);
    expect(response.calls).toContain('abort');
  });

  it.each([undefined, null])('takes excInfo %s as absent', async (none) => {
    const response = await serve((_e: unknown, start: StartResponse) => (start('200 OK', [], none), start('200 OK', [], none), ['x']));
    expect(response.failure?.code).toBe('NWSGI2208');
  });

  it('lets the application answer after an invalid call (W-78)', async () => {
    const response = await serve((_e: unknown, start: StartResponse) => {
      try {
        start('200 OK', [['Bad Name', 'x']]);
      } catch (error) {
        start('500 Bad', [], error);
      }
      return ['sorry'];
    });
    expect([response.status, response.text]).toEqual(['500 Bad', 'sorry']);
  });

  it('throws after the end and touches no other request (W-84)', async () => {
    let kept: StartResponse | undefined;
    let keptWrite: Write | undefined;
    const host = new FakeHost(((_e, start) => {
      if (kept === undefined) {
        kept = start;
        keptWrite = start('200 OK', []);
      } else {
        start('200 OK', []);
        expect(() => kept?.('500 Late', [], new Error('x'))).toThrow(expect.objectContaining({ code: 'NWSGI2209' }));
        expect(() => keptWrite?.('late')).toThrow(expect.objectContaining({ code: 'NWSGI2209' }));
      }
      return ['x'];
    }) as WsgiApplication);
    await host.fetch();
    expect((await host.fetch()).text).toBe('x');
  });
});

describe('exceptions', () => {
  it.each<[string, unknown]>([
    ['the callable', () => { throw new Error('boom'); }],
    ['the callable after startResponse (W-96)', (_e: unknown, start: StartResponse) => { start('200 OK', PLAIN); throw new Error('boom'); }],
    ['an async callable', async () => { await turn(); throw new Error('boom'); }],
    ['the first step', function* () { throw new Error('boom'); }],
    ['a step after an empty block (W-66)', function* (_e: unknown, start: StartResponse) { start('200 OK', PLAIN); yield ''; throw new Error('boom'); }],
  ])('answers 500 when %s throws, and logs the stack (W-95)', async (_name, application) => {
    const response = await serve(application);
    expect(response.calls).toEqual(['fail', 'release']);
    expect(response.failure).toMatchObject({ status: 500, code: 'NWSGI2201' });
    expect(response.log.join('\n')).toMatch(/NWSGI2201 .*boom.*\/app\.mjs.*\n.*at .*response\.test/s);
  });

  it('aborts when a step throws after the first block (W-97)', async () => {
    const response = await serve(function* (_e: unknown, start: StartResponse) {
      start('200 OK', PLAIN);
      yield 'part';
      throw new Error('boom');
    });
    expect(response.calls).toEqual(['head', 'write', 'abort', 'release']);
    expect(response.log.join()).toContain('NWSGI2202');
  });

  it.each<[string, unknown]>([
    ['null', null], ['undefined', undefined], ['a string', 'text'], ['a number', 5], ['an object', { message: 'x' }], ['a bare object', Object.create(null)],
    ['an error whose stack cannot be read', Object.defineProperty(new Error('x'), 'stack', { get() { throw new Error('y'); } })],
    ['an object that cannot be shown', new Proxy({}, { getPrototypeOf() { throw new Error('y'); } })],
  ])('copes with %s thrown', async (_name, thrown) => {
    const response = await serve(() => { throw thrown; });
    expect(response.failure?.code).toBe('NWSGI2201');
  });

  it('logs the chain of causes', async () => {
    const response = await serve(() => { throw new Error('outer', { cause: new TypeError('inner') }); });
    expect(response.log.join()).toContain('caused by: TypeError: inner');
  });
});
