import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { FakeHost, HIGH_WATER } from '../../src/testing/fake-host.js';
import type { FakeRequest } from '../../src/testing/fake-host.js';
import type { Header, StartResponse, WsgiApplication } from '../../src/wsgi/types.js';
import { counted, PLAIN, returning, serve, turn } from './helpers/serve.js';

describe('write()', () => {
  it('comes before the blocks of the iterable (W-87) and needs none (W-88)', async () => {
    const application = (body: unknown) => (_e: unknown, start: StartResponse) => {
      const write = start('200 OK', []);
      void write('w1-');
      void write(Buffer.from('w2'));
      return body;
    };
    expect((await serve(application(['-it']))).text).toBe('w1-w2-it');
    expect((await serve(application([]))).text).toBe('w1-w2');
  });

  it('returns a promise when the client is slow', async () => {
    const results: unknown[] = [];
    const host = new FakeHost((async (_e, start) => {
      const write = start('200 OK', []);
      results.push(write('a'), write(Buffer.alloc(HIGH_WATER + 1)));
      await results[1];
      results.push('resumed');
      return [];
    }) as WsgiApplication);
    host.bridge.slowClient = true;
    const { handle, released } = host.begin();
    await turn();
    expect(results[0]).toBeUndefined();
    expect(results[1]).toBeInstanceOf(Promise);
    expect(results).toHaveLength(2);
    host.bridge.drain(handle);
    await released;
    expect(results[2]).toBe('resumed');
  });

  it('throws for more than Content-Length and drops the excess (W-99)', async () => {
    let code: unknown;
    const response = await serve((_e: unknown, start: StartResponse) => {
      const write = start('200 OK', [['Content-Length', '5']]);
      try {
        void write('0123456789');
      } catch (error) {
        code = (error as { code: string }).code;
      }
      return [];
    });
    expect([response.text, code]).toEqual(['01234', 'NWSGI2211']);
    expect(response.calls).toContain('end');
  });

  it('throws when the client is gone', async () => {
    let error: unknown;
    const host = new FakeHost((async (_e, start) => {
      const write = start('200 OK', []);
      void write('a');
      await turn();
      try {
        void write('b');
      } catch (caught) {
        error = caught;
        throw caught;
      }
      return [];
    }) as WsgiApplication);
    const { handle, response, released } = host.begin();
    host.bridge.abortRequest(handle);
    await released;
    expect(error).toMatchObject({ code: 'NWSGI2214', name: 'AbortError' });
    expect(response.log.join()).not.toContain('NWSGI22' + '02');
  });
});

describe('body', () => {
  it('hands over each block before it asks for the next (W-85)', async () => {
    const seen: string[] = [];
    const body = counted(['a', 'b', 'c'], () => seen.push(response.text));
    const host = new FakeHost((_e, start) => turn().then(() => returning(body)(_e, start)) as never);
    const { response, released } = host.begin();
    await released;
    expect(seen).toEqual(['', 'a', 'ab', 'abc']);
  });

  it.each([5, {}, null, undefined, ['a'], new Uint16Array(1), new DataView(new ArrayBuffer(1)), new ArrayBuffer(2), true])('answers 500 to the block %j (W-89)', async (block) => {
    expect((await serve(returning([block]))).failure?.code).toBe('NWSGI2205');
    expect((await serve(returning(['good', block]))).failure?.code).toBe('NWSGI2205');
    expect((await serve(returning(new Set([block])))).failure?.code).toBe('NWSGI2205');
  });

  it('aborts for a bad block after a good one, and stops the iterator (W-89)', async () => {
    const body = counted(['good', 5, 'never']);
    const response = await serve(returning(body));
    expect(response.calls).toEqual(['head', 'write', 'abort', 'release']);
    expect([body.returned, body.closed]).toEqual([1, 1]);
  });

  it.each<[string, unknown[]]>([['all strings', ['\ud83d', '\udc4d']], ['with an empty block between', ['\ud83d', '', '\udc4d']], ['with bytes', ['\ud83d', '\udc4d', Buffer.alloc(0)]]])('takes each string for its own UTF-8 bytes, %s (W-89)', async (_name, blocks) => {
    const response = await serve(returning(blocks));
    expect([response.body.toString('hex'), response.get('Content-Length')]).toEqual(['efbfbdefbfbd', '6']);
  });

  it('accepts bytes of another realm', async () => {
    const { runInNewContext } = await import('node:vm');
    expect((await serve(returning(runInNewContext('[new Uint8Array([104, 105])]')))).text).toBe('hi');
  });

  it('stops iterating at Content-Length and drops the excess (W-99)', async () => {
    const body = counted(['abc', 'defg', 'h', 'i']);
    const response = await serve(returning(body, [['Content-Length', '5']]));
    expect(response.text).toBe('abcde');
    expect([body.next, body.returned, body.closed]).toEqual([2, 1, 1]);
    expect(response.calls).toContain('end');
  });

  it('truncates an array to Content-Length, counting bytes', async () => {
    expect((await serve(returning(['ééé'], [['Content-Length', '4']]))).text).toBe('éé');
  });

  it('aborts when the body is shorter than Content-Length (W-100)', async () => {
    for (const body of [['abc'], counted(['abc'])]) {
      const response = await serve(returning(body, [['Content-Length', '10']]));
      expect(response.calls).toEqual(['head', 'write', 'abort', 'release']);
      expect(response.log.join()).toContain('NWSGI2210');
    }
  });

  it('answers 500 when there is no body at all but a Content-Length', async () => {
    expect((await serve(returning([], [['Content-Length', '10']]))).failure?.code).toBe('NWSGI2210');
  });

  it('sends no body for HEAD, with the headers of GET, and closes (W-105)', async () => {
    const array = await serve(returning(['hello']), { method: 'HEAD' });
    expect([array.text, array.get('Content-Length')]).toEqual(['', '5']);
    const body = counted(['a', 'b']);
    const iterable = await serve(returning(body, [['Content-Length', '2']]), { method: 'HEAD' });
    expect([iterable.text, iterable.get('Content-Length'), body.next, body.closed]).toEqual(['', '2', 1, 1]);
    const empty = await serve(returning([]), { method: 'HEAD' });
    expect(empty.get('Content-Length')).toBeUndefined();
  });

  it.each(['204 No Content', '304 Not Modified'])('sends no body with %s (W-106)', async (status) => {
    for (const body of [['x'], counted(['x'])]) {
      const response = await serve((_e: unknown, start: StartResponse) => (start(status, [['Content-Length', '1']]), body));
      expect(response.text).toBe('');
      expect(response.get('Content-Length')).toBe(status.startsWith('204') ? undefined : '1');
      expect(response.log).toEqual([]);
    }
  });

  it('waits for a slow client', async () => {
    const body = counted(Array.from({ length: 10 }, () => Buffer.alloc(HIGH_WATER)));
    const host = new FakeHost(returning(body));
    host.bridge.slowClient = true;
    const { handle, response, released } = host.begin();
    for (let i = 0; i < 5; i++) await turn();
    expect(body.next).toBe(2);
    let done = false;
    void released.then(() => (done = true));
    while (!done) {
      host.bridge.drain(handle);
      await turn();
    }
    expect(response.body.length).toBe(10 * HIGH_WATER);
  });

  it.each<[string, () => unknown]>([
    ['a generator', function* () { for (;;) yield 'x'; }],
    ['an async generator', async function* () { for (;;) yield 'x'; }],
  ])('lets others run while %s never waits', async (_name, endless) => {
    const host = new FakeHost(returning(endless()));
    const { handle, released } = host.begin();
    await turn();
    await turn();
    host.bridge.abortRequest(handle);
    await released;
  });
});

describe('close() and return()', () => {
  it.each<[string, unknown[], FakeRequest, readonly Header[]]>([
    ['a normal end', ['a', 'b'], {}, PLAIN], ['an empty body', [], {}, PLAIN], ['HEAD', ['a'], { method: 'HEAD' }, PLAIN], ['a bad block', [1], {}, PLAIN], ['Content-Length', ['a', 'b'], {}, [['Content-Length', '1']]],
  ])('closes once after %s (W-91, W-92)', async (_name, blocks, request, headers) => {
    const body = counted(blocks);
    await serve(returning(body, headers), request);
    expect(body.closed).toBe(1);
  });

  it('closes after the last byte was handed over (W-92) and before the release', async () => {
    let calls: string[] = [];
    const host = new FakeHost(returning(Object.assign(['x'], { close: () => turn().then(() => (calls = [...response.calls])) })));
    const { response, released } = host.begin();
    await released;
    expect(calls).toEqual(['respond']);
  });

  it('awaits close() and logs its failure only (W-93)', async () => {
    const body = Object.assign(['x'], { close: async () => { await turn(); throw new Error('broken close'); } });
    const response = await serve(returning(body));
    expect(response.text).toBe('x');
    expect(response.calls).toEqual(['respond', 'release']);
    expect(response.log.join()).toMatch(/NWSGI2212.*broken close/s);
  });

  it('does not call return() after a normal end or a failed next()', async () => {
    const normal = counted(['a']);
    await serve(returning(normal));
    expect(normal.returned).toBe(0);
    const failing = counted(['a', 'b'], (i) => { if (i === 1) throw new Error('next'); });
    await serve(returning(failing));
    expect([failing.returned, failing.closed]).toEqual([0, 1]);
  });

  it('closes what is returned although the result is no iterable', async () => {
    let closed = 0;
    await serve(returning({ close: () => closed++ }));
    expect(closed).toBe(1);
  });

  it('stops an endless iterable when the client leaves (W-94)', async () => {
    let closed = 0;
    let finished = false;
    const body = Object.assign((async function* () {
      try {
        for (;;) { yield 'x'; await turn(); }
      } finally { finished = true; }
    })(), { close: () => closed++ });
    const host = new FakeHost(returning(body));
    const { handle, response, released } = host.begin();
    await turn();
    host.bridge.abortRequest(handle);
    await released;
    expect([closed, finished]).toEqual([1, true]);
    expect(response.log.join()).not.toContain('NWSGI2202');
  });

  it('tells a waiting application by the signal and by return() (W-94)', async () => {
    let reason: unknown;
    const host = new FakeHost(((environ, start) => {
      start('200 OK', []);
      const signal = environ['nwsgi.signal'];
      return (async function* () {
        yield 'first';
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        reason = signal.reason;
      })();
    }) as WsgiApplication);
    const { handle, released } = host.begin();
    await turn();
    host.bridge.abortRequest(handle, 3);
    await released;
    expect(reason).toMatchObject({ name: 'AbortError', message: 'the server stops' });
  });

  it('destroys a Readable that the client does not want any more, and one that was never read', async () => {
    const stalled = new Readable({ read() {} });
    const host = new FakeHost(returning(stalled));
    const { handle, released } = host.begin();
    await turn();
    host.bridge.abortRequest(handle);
    await released;
    expect(stalled.destroyed).toBe(true);
    const unread = Readable.from(['a']);
    await serve(() => unread);
    expect(unread.destroyed).toBe(true);
  });

  describe('when the client leaves and the application never answers', () => {
    const never = new Promise<never>(() => {});

    it('closes the result once and releases the request although next() is pending', async () => {
      const body = Object.assign(counted([]), { [Symbol.asyncIterator]: () => ({ next: () => never, return: () => never }) });
      const host = new FakeHost(returning(body));
      const { handle, released } = host.begin();
      await turn();
      host.bridge.abortRequest(handle);
      await released;
      await turn();
      expect(body.closed).toBe(1);
      expect(host.dispatcher.inFlight).toBe(0);
    });

    it('releases the request although close() is pending', async () => {
      const host = new FakeHost(returning(Object.assign([], { close: () => never })));
      const { handle, released } = host.begin();
      host.bridge.abortRequest(handle);
      await released;
    });

    it('releases the request, and closes a result that comes too late', async () => {
      let answer = (_body: unknown): void => {};
      const host = new FakeHost((() => new Promise((resolve) => (answer = resolve))) as unknown as WsgiApplication);
      const { handle, released } = host.begin();
      host.bridge.abortRequest(handle);
      await released;
      const body = counted(['a']);
      answer(body);
      await turn();
      expect([body.next, body.closed]).toEqual([0, 1]);
    });

    it('lets the application end by itself first, if it does so soon', async () => {
      const order: string[] = [];
      const body = Object.assign((async function* () {
        try {
          yield 'a';
          await turn();
          await turn();
        } finally { order.push('finally'); }
      })(), { close: () => order.push('close') });
      const host = new FakeHost(returning(body));
      const { handle, released } = host.begin();
      await Promise.resolve();
      host.bridge.abortRequest(handle);
      await released;
      expect(order).toEqual(['finally', 'close']);
    });
  });

  it('closes a result that arrives after the client left, without iterating it', async () => {
    const body = counted(['a']);
    const host = new FakeHost((async (_e: unknown, start: StartResponse) => {
      await turn();
      await turn();
      start('200 OK', []);
      return body;
    }) as unknown as WsgiApplication);
    const { handle, released } = host.begin();
    host.bridge.abortRequest(handle);
    await released;
    expect([body.next, body.closed]).toEqual([0, 1]);
  });
});

describe('wsgi.early_hints (W-130)', () => {
  const hints = (when: 'before' | 'after') => function* (environ: Record<string, unknown>, start: StartResponse) {
    const hint = environ['wsgi.early_hints'] as (headers: readonly Header[]) => void;
    if (when === 'before') hint([['Link', '</a.css>; rel=preload']]);
    start('200 OK', PLAIN);
    yield 'x';
    if (when === 'after') hint([['Link', 'x']]);
  };

  it('sends a 103 response', async () => {
    expect((await serve(hints('before'))).interims).toEqual(['103 Early Hints\nLink:</a.css>; rel=preload\n']);
  });

  it('does nothing after the head and for HTTP/1.0', async () => {
    expect((await serve(hints('after'))).interims).toEqual([]);
    expect((await serve(hints('before'), { environ: { SERVER_PROTOCOL: 'HTTP/1.0' } })).interims).toEqual([]);
  });

  it('checks the headers', async () => {
    const response = await serve((environ: Record<string, unknown>) => (environ['wsgi.early_hints'] as (headers: unknown) => void)([['a b', 'x']]));
    expect(response.failure?.code).toBe('NWSGI2207');
  });
});
