/** Blocks of a response on their way: at once, unaltered, in order (W-85…W-90). */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { open, useServer } from '../../harness/index.js';
import { get, newRun, notesOf } from '../mounts.js';
import { inLog, laboratory, type Language } from '../language.js';

/** What blocks are made of, and how they are given. */
const languages = {
  JavaScript: {
    slow: ['async', 'write', 'readable'],
    ways: ['list', 'blocks', 'set', 'generator', 'async', 'readable', 'awaited', 'write'],
    wrongBlocks: ['5', 'null', 'new Uint16Array(2)', 'undefined', 'true', '{}', '[65, 66]', 'new ArrayBuffer(4)', 'new DataView(new ArrayBuffer(4))', 'Symbol("s")', '10n'],
    bareResults: ['"abc"', '""', 'new Uint8Array(3)', 'Buffer.from("abc")', 'Promise.resolve("abc")'],
  },
  Python: {
    slow: ['async', 'write', 'iterator'],
    ways: ['list', 'tuple', 'blocks', 'generator', 'async', 'write'],
    wrongBlocks: ['5', 'None', 'bytearray(b"x")', '"text"', '""', 'memoryview(b"x")', 'True', '{}', '[65, 66]', '(b"x",)', '1.5', 'object()', 'bytes'],
    bareResults: ['"abc"', '""', 'b"abc"', 'b""'],
  },
} as const;

export function transmission(language: Language): void {
  const isPython = language.name === 'Python';
  const own = languages[language.name];

  describe('blocks of a response', () => {
    const fixtures = ['slow-second-block', 'random-blocks', 'write-then-list', 'write-in-generator', 'write-only', 'bad-block', 'told-result', ...(isPython ? [] : ['foreign-bytes'])];
    const server = useServer(laboratory(language, fixtures, { vhosts: [{}, { tls: true, http2: true }, { http2: true }] }));

    it.concurrent.each(own.slow)('W-85 the first block of %s is sent before the application is asked for more', async (kind) => {
      await server.request('/slow-second-block?kind=async', { method: 'HEAD' }); // The script is loaded.
      const begin = performance.now();
      const { response } = await open(server.url(`/slow-second-block?kind=${kind}`));
      const arrivals: [string, number][] = [];
      for await (const chunk of response) arrivals.push([String(chunk), performance.now() - begin]);
      expect(arrivals.map(([text]) => text)).toEqual(['first', 'second']);
      expect(arrivals[0]?.[1]).toBeLessThan(600);
      expect(arrivals[1]?.[1]).toBeGreaterThan(950);
    });

    it.concurrent.each([
      ['TLS and HTTP/2', 1],
      ['HTTP/2 without TLS', 2],
    ])('W-85 the first block arrives at once over %s', async (_, host) => {
      const client = await server.http2(host);
      await client.request('/slow-second-block?kind=async', { method: 'HEAD' }); // The script is loaded.
      const begin = performance.now();
      const stream = client.stream('/slow-second-block?kind=async', {}, true);
      const arrivals: [string, number][] = [];
      for await (const chunk of stream) arrivals.push([String(chunk), performance.now() - begin]);
      client.close();
      expect(arrivals.map(([text]) => text)).toEqual(['first', 'second']);
      expect(arrivals[0]?.[1]).toBeLessThan(600);
      expect(arrivals[1]?.[1]).toBeGreaterThan(950);
    });

    it.each(own.ways)(
      'W-86 W-87 the bytes of %s arrive unaltered and in order',
      async (kind) => {
        const response = await server.get(`/random-blocks?kind=${kind}`);
        expect(response.status).toBe(200);
        expect(response.complete).toBe(true);
        expect(response.body.length).toBe(3_000_000);
        expect(createHash('sha256').update(response.body).digest('hex')).toBe(response.headers['x-sha256']);
      },
    );

    it('W-86 the bytes arrive unaltered over TLS and HTTP/2', async () => {
      const client = await server.http2(1);
      const response = await client.request('/random-blocks?kind=async');
      client.close();
      expect(response.complete).toBe(true);
      expect(createHash('sha256').update(response.body).digest('hex')).toBe(response.headers['x-sha256']);
    });

    it('W-87 written blocks come before the returned ones', async () => {
      const response = await server.get('/write-then-list');
      expect(response.text).toBe('w1-w2-it');
      expect(response.complete).toBe(true);
    });

    it('W-87 written and yielded blocks keep the order in which they were given', async () => {
      expect((await server.get('/write-in-generator')).text).toBe('abcde');
    });

    it.each(['list', 'generator'])('W-88 an empty %s may follow write()', async (kind) => {
      const response = await server.get(`/write-only?${kind}`);
      expect(response.status).toBe(200);
      expect(response.text).toBe('written');
      expect(response.complete).toBe(true);
    });

    it('W-88 no iterable after write() is an error, and the response looks incomplete', async () => {
      const since = server.mark();
      const client = await server.raw();
      await client.send(get('/write-only?nothing'));
      const response = await client.readResponse();
      expect(response.text).toBe('written');
      expect(response.complete).toBe(false);
      await client.waitForEnd();
      client.close();
      await server.expectLog(inLog(language, 'NWSGI2204', 'write-only'), { since });
    });

    it.each(own.wrongBlocks)('W-89 the first block %s is a 500 without the headers of the application', async (value) => {
      const run = newRun();
      const since = server.mark();
      const response = await server.get(`/bad-block?run=${run}&value=${encodeURIComponent(value)}`);
      expect(response.status).toBe(500);
      expect(response.headers['x-own']).toBeUndefined();
      expect(response.text).not.toContain('not reached');
      await server.expectLog(inLog(language, 'NWSGI2205', 'bad-block'), { since });
      expect(await notesOf(server, run)).toEqual(['finally']);
    });

    it.each(own.wrongBlocks.slice(0, 3))('W-89 the second block %s makes the response visibly incomplete', async (value) => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/bad-block?where=second&run=${run}&value=${encodeURIComponent(value)}`));
      const response = await client.readResponse();
      expect(response.status).toBe(200);
      expect(response.text).toBe('good');
      expect(response.complete).toBe(false);
      await client.waitForEnd();
      client.close();
      expect(await notesOf(server, run)).toEqual(['finally']);
    });

    it.each(['list', 'write'])('W-89 a wrong block in %s is a 500', async (where) => {
      const response = await server.get(`/bad-block?where=${where}&value=5`);
      expect(response.status).toBe(500);
      expect(response.headers['x-own']).toBeUndefined();
      expect(response.text).not.toContain('good');
    });

    it.skipIf(isPython)('W-89 accepts a Uint8Array of another realm, a Buffer and a string as UTF-8', async () => {
      const response = await server.get('/foreign-bytes');
      expect(response.text).toBe('foreign buffer h\u00e9llo \u65e5');
    });

    it.each(own.bareResults)(
      'W-90 the bare result %s is refused with a 500',
      async (value) => {
        const since = server.mark();
        const response = await server.get(`/told-result?${encodeURIComponent(value)}`);
        expect(response.status).toBe(500);
        expect(response.headers['x-own']).toBeUndefined();
        await server.expectLog(inLog(language, 'NWSGI2204', 'told-result'), { since });
      },
    );

    it.skipIf(isPython)('W-89 each string stands for its own UTF-8 bytes', async () => {
      // Halves of a surrogate pair in two blocks are two replacement characters, however the blocks are sent.
      const client = await server.raw();
      for (const value of ['["\\ud83d", "\\udc4d"]', 'new Set(["\\ud83d", "\\udc4d"])']) {
        await client.send(get(`/told-result?${encodeURIComponent(value)}`));
        const response = await client.readResponse({ milliseconds: 3000 });
        expect(response.body.toString('hex')).toBe('efbfbdefbfbd');
        expect(response.complete).toBe(true);
      }
      client.close();
    });
  });
}
