import { describe, expect, it, vi } from 'vitest';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest } from '../../src/testing/fake-host.js';
import type { Environ, InputStream, StartResponse, WsgiApplication } from '../../src/wsgi/types.js';

async function withInput<T>(request: FakeRequest, use: (input: InputStream) => Promise<T>): Promise<T> {
  let result: Promise<T> | undefined;
  const host = new FakeHost(async (environ, startResponse) => {
    result = use(environ['wsgi.input']);
    await result;
    startResponse('204 No Content', []);
    return [];
  });
  const response = await host.fetch(request);
  expect(response.failure).toBeUndefined();
  return result as Promise<T>;
}

describe('wsgi.input', () => {
  it('reads at most what it is asked for (W-47)', async () => {
    const parts = await withInput({ method: 'POST', body: ['0123456', '789abcde'] }, async (input) => [
      String(await input.read(10)), String(await input.read(10)), String(await input.read(10)),
    ]);
    expect(parts).toEqual(['0123456789', 'abcde', '']);
  });

  it.each([undefined, -1])('reads the rest with size %s (W-48)', async (size) => {
    expect(String(await withInput({ body: ['abc', 'def'] }, (input) => input.read(size)))).toBe('abcdef');
  });

  it('gives nothing, at once and again, for an empty body (W-50)', async () => {
    const sizes = await withInput({}, async (input) => [(await input.read()).length, (await input.read(5)).length, (await input.readline()).length]);
    expect(sizes).toEqual([0, 0, 0]);
  });

  it('consumes nothing with read(0) (W-51)', async () => {
    const parts = await withInput({ body: 'abc' }, async (input) => [String(await input.read(0)), String(await input.read())]);
    expect(parts).toEqual(['', 'abc']);
  });

  it('reads lines, with a limit (W-52)', async () => {
    const lines = await withInput({ body: ['ab', '\ncd', 'ef'] }, async (input) => [
      String(await input.readline(2)), String(await input.readline(2)), String(await input.readline()), String(await input.readline()),
    ]);
    expect(lines).toEqual(['ab', '\n', 'cdef', '']);
  });

  it('reads all lines, or those up to a hint (W-53)', async () => {
    const body = 'a\nbb\nccc';
    expect((await withInput({ body }, (input) => input.readlines())).map(String)).toEqual(['a\n', 'bb\n', 'ccc']);
    expect((await withInput({ body }, (input) => input.readlines(1))).map(String)).toEqual(['a\n']);
  });

  it('iterates by line (W-54)', async () => {
    const lines: string[] = [];
    await withInput({ body: ['a\nb', 'c\n', '\nd'] }, async (input) => {
      for await (const line of input) lines.push(String(line));
    });
    expect(lines).toEqual(['a\n', 'bc\n', '\n', 'd']);
  });

  it('gives blocks as they arrive, and a Readable', async () => {
    const chunks: string[] = [];
    await withInput({ body: ['ab', 'cd'] }, async (input) => {
      for await (const chunk of input.chunks()) chunks.push(String(chunk));
    });
    expect(chunks).toEqual(['ab', 'cd']);
    let text = '';
    await withInput({ body: ['ab', 'cd'] }, async (input) => {
      for await (const chunk of input.toReadable()) text += String(chunk);
    });
    expect(text).toBe('abcd');
  });

  it('is not hurt by close() (W-55)', async () => {
    const text = await withInput({ body: 'abc' }, async (input) => {
      input.close();
      return String(await input.read());
    });
    expect(text).toBe('abc');
  });

  it('serialises concurrent reads', async () => {
    const parts = await withInput({ body: 'abcdef' }, (input) => Promise.all([input.read(2), input.read(2), input.readline()]));
    expect(parts.map(String)).toEqual(['ab', 'cd', 'ef']);
  });

  it('refuses a size that is no number', async () => {
    await withInput({ body: 'a' }, async (input) => {
      await expect(input.read('1' as unknown as number)).rejects.toThrow(TypeError);
      expect(String(await input.read())).toBe('a');
    });
  });

  it('waits for blocks that arrive later', async () => {
    const host = new FakeHost(async (environ, startResponse) => {
      const body = await environ['wsgi.input'].read();
      startResponse('200 OK', []);
      return [body];
    });
    const { handle, response, released } = host.begin({ method: 'POST', openBody: true });
    await new Promise((resolve) => setImmediate(resolve));
    host.bridge.pushBody(handle, 'ab');
    await new Promise((resolve) => setImmediate(resolve));
    host.bridge.pushBody(handle, 'cd');
    host.bridge.endBody(handle);
    await released;
    expect(response.text).toBe('abcd');
  });

  it('pulls nothing before the application asks (W-56, W-109)', async () => {
    let pulls = 0;
    const host = new FakeHost((_environ, startResponse) => {
      startResponse('200 OK', []);
      return ['x'];
    });
    const read = host.bridge.read.bind(host.bridge);
    host.bridge.read = (...given) => {
      pulls++;
      return read(...given);
    };
    await host.fetch({ method: 'POST', body: 'abc' });
    expect(pulls).toBe(0);
  });

  it('rejects, and keeps rejecting, when the body breaks off (W-58, W-59)', async () => {
    const seen: unknown[] = [];
    const host = new FakeHost(async (environ, startResponse) => {
      for (let i = 0; i < 2; i++) await environ['wsgi.input'].read().catch((error: unknown) => seen.push(error));
      startResponse('400 Bad Request', []);
      return [];
    });
    const { handle, response, released } = host.begin({ method: 'POST', body: 'abc', openBody: true });
    host.bridge.endBody(handle, 'the client closed the connection');
    await released;
    expect(response.status).toBe('400 Bad Request');
    expect(seen).toHaveLength(2);
    expect(seen[0]).toMatchObject({ code: 'NWSGI2301', message: 'the client closed the connection' });
    expect(seen[1]).toBe(seen[0]);
  });

  it('rejects when the client leaves during a read', async () => {
    let error: unknown;
    const host = new FakeHost(async (environ, startResponse) => {
      await environ['wsgi.input'].read().catch((caught: unknown) => (error = caught));
      startResponse('200 OK', []);
      return [];
    });
    const { handle, released } = host.begin({ method: 'POST', openBody: true });
    await new Promise((resolve) => setImmediate(resolve));
    host.bridge.abortRequest(handle);
    await released;
    expect(error).toMatchObject({ code: 'NWSGI2214', name: 'AbortError' });
  });

  it('rejects after the request is over (W-84)', async () => {
    let kept: InputStream | undefined;
    const host = new FakeHost((environ, startResponse) => {
      kept = environ['wsgi.input'];
      startResponse('200 OK', []);
      return [];
    });
    await host.fetch({ body: 'abc' });
    await expect(kept?.read()).rejects.toMatchObject({ code: 'NWSGI2209' });
  });
});

describe('wsgi.errors', () => {
  async function logged(use: (errors: { write(text: string): void; writelines(lines: Iterable<string>): void; flush(): void }) => void): Promise<string[]> {
    const host = new FakeHost((environ, startResponse) => {
      use(environ['wsgi.errors']);
      startResponse('204 No Content', []);
      return [];
    });
    return (await host.fetch()).log;
  }

  it('passes on whole lines in order and the rest at the end (W-61, W-64)', async () => {
    const log = await logged((errors) => {
      errors.write('one ');
      errors.write('line\ntwo\n');
      errors.writelines(['three\n', 'fo']);
      errors.write('ur');
    });
    expect(log).toEqual(['one line', 'two', 'three', 'four']);
  });

  it('flushes an unfinished line', async () => {
    const log = await logged((errors) => {
      errors.write('a');
      errors.flush();
      errors.write('b\r\n');
    });
    expect(log).toEqual(['a', 'b']);
  });

  it('takes any Unicode text (W-62) and cuts endless lines', async () => {
    const log = await logged((errors) => errors.write(`日\ud800\n${'x'.repeat(20_000)}`));
    expect(log[0]).toBe('日\ud800');
    expect(log.slice(1).map((line) => line.length)).toEqual([8192, 8192, 3616]);
  });

  it.each<[string, unknown]>([
    ['one call', ['x']], ['blocks', new Set(['x'])], ['an error', undefined],
  ])('logs an unfinished line before the response ends, %s (W-61)', async (_name, body) => {
    const host = new FakeHost(((environ: Environ, start: StartResponse) => {
      start('200 OK', []);
      environ['wsgi.errors'].write('unfinished');
      return body;
    }) as WsgiApplication);
    const log = vi.spyOn(host.bridge, 'log');
    const ends = (['respond', 'end', 'fail'] as const).map((call) => vi.spyOn(host.bridge, call));
    await host.begin().released;
    expect(log.mock.calls[0]?.[2]).toBe('unfinished');
    expect(log.mock.invocationCallOrder[0]).toBeLessThan(Math.min(...ends.flatMap((call) => call.mock.invocationCallOrder)));
  });
});
