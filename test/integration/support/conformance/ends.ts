/** How a response ends: close(), clients that leave, failures in the middle (W-91…W-98). */
import { describe, expect, it } from 'vitest';
import { head, sleep, useServer, waitFor } from '../../harness/index.js';
import { count, get, newRun, notesOf } from '../mounts.js';
import { laboratory, type Language } from '../language.js';

export function ends(language: Language): void {
  const isPython = language.name === 'Python';

  describe('the end of a response', () => {
    const server = useServer(laboratory(language, ['ends-somehow', 'close-throws', 'endless', 'fails', 'hello', 'file-served'], {
      vhosts: [{}, { tls: true, http2: true }],
      directives: (s) => [`SetEnv test.file "${s.writeFile('files/data.bin', Buffer.alloc(2_000_000, 'd'))}"`],
    }));

    const closes = async (run: string) => {
      await waitFor('close()', async () => count(await notesOf(server, run), 'close') > 0, 5000);
      await sleep(50); // For one call too many.
      return count(await notesOf(server, run), 'close');
    };

    it.each([
      ['a normal end', 'normal', 200],
      ['a list', 'list', 200],
      ['an error after a block', 'after-block', 200],
      ['an error before the first block', 'first-block', 500],
      ['a missing startResponse', 'not-started', 500],
      ['a list with a wrong block', 'bad-list', 500],
      ['a result that cannot be iterated', 'no-iterable', 500],
      ['an iterator that cannot be made', 'iterator-fails', 500],
    ])('W-91 W-92 close() is called once for %s', async (_, how, status) => {
      const run = newRun();
      const response = await server.get(`/ends-somehow?how=${how}&run=${run}`);
      expect(response.status).toBe(status);
      expect(await closes(run)).toBe(1);
    });

    it('W-91 W-92 close() is called once for HEAD', async () => {
      const run = newRun();
      const response = await server.request(`/ends-somehow?how=normal&run=${run}`, { method: 'HEAD' });
      expect(response.status).toBe(200);
      expect(await closes(run)).toBe(1);
    });

    it('W-91 W-92 close() is called once when the client resets the connection in a large body', async () => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/ends-somehow?how=large&run=${run}`));
      await client.readBytes(500_000);
      client.reset();
      expect(await closes(run)).toBe(1);
      const notes = await notesOf(server, run);
      expect(count(notes, 'next')).toBeLessThan(400);
      if (!isPython) expect(count(notes, 'return')).toBe(1);
      expect(notes.at(-1)).toBe('close');
    });

    it('W-91 W-92 close() is called once for a body that comes when the client has left, and it is not iterated', async () => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/ends-somehow?how=after-abort&run=${run}`));
      await waitFor('the application', async () => count(await notesOf(server, run), 'waiting') > 0);
      client.reset();
      expect(await closes(run)).toBe(1);
      const notes = await notesOf(server, run);
      // A thread of Python may learn only from its first block that the client has left.
      if (isPython) expect(notes.filter((note) => note !== 'next')).toEqual(['waiting', 'close']);
      else expect(notes).toEqual(['waiting', 'close']);
      expect(count(notes, 'next')).toBeLessThanOrEqual(1);
    });

    it.each(['handle', 'object'])('W-91 W-92 close() of a wrapped file is called once (%s)', async (source) => {
      const run = newRun();
      const response = await server.get(`/file-served?source=${source}&run=${run}`);
      expect(response.body.length).toBe(2_000_000);
      expect(await closes(run)).toBe(1);
    });

    it('W-92 close() comes after the last block, and return() is not called after a normal end', async () => {
      const run = newRun();
      await server.get(`/ends-somehow?how=normal&run=${run}`);
      expect(await closes(run)).toBe(1);
      expect(await notesOf(server, run)).toEqual(['next', 'next', 'next', 'next', 'close']);
    });

    it.each(isPython ? ['throws'] : ['throws', 'rejects'])('W-93 a close() that %s is logged only', async (how) => {
      const since = server.mark();
      const client = await server.raw();
      await client.send(get(`/close-throws?${how}`));
      const response = await client.readResponse();
      expect(response.status).toBe(200);
      expect(response.text).toBe('a complete body');
      expect(response.complete).toBe(true);
      await server.expectLog(/NWSGI2212[^\n]*close (threw|rejected) on purpose/, { since });
      expect(server.log(since)).toMatch(isPython ? /wsgi_ends\.py", line \d+, in close/ : /close-throws\.mjs:/);
      await client.send(get('/hello'));
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    });

    it.each(isPython ? ['sync', 'async', 'slow', 'iterator', 'write'] : ['sync', 'async', 'slow', 'silent', 'readable', 'write'])('W-94 an endless %s body stops within a second after a reset', async (kind) => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/endless?kind=${kind}&run=${run}`));
      await client.readUntil('\r\n\r\n');
      await sleep(100);
      client.reset();
      const begin = performance.now();
      await waitFor('the end of the body', async () => count(await notesOf(server, run), 'stopped') > 0, 5000);
      expect(performance.now() - begin).toBeLessThan(1000);
      await sleep(50);
      expect(await notesOf(server, run)).toEqual(['started', 'stopped']);
    });

    it('W-94 an endless body stops within a second although the client reads nothing before it leaves', async () => {
      const run = newRun();
      const client = await server.raw();
      client.pause();
      await client.send(get(`/endless?kind=sync&run=${run}`));
      await waitFor('the start', async () => (await notesOf(server, run)).length > 0);
      await sleep(500);
      client.reset();
      const begin = performance.now();
      await waitFor('the end of the body', async () => count(await notesOf(server, run), 'stopped') > 0, 5000);
      expect(performance.now() - begin).toBeLessThan(1000);
    });

    it('W-94 a reset HTTP/2 stream stops its body and leaves the connection in use', async () => {
      const run = newRun();
      const client = await server.http2(1);
      const stream = client.stream(`/endless?kind=async&run=${run}`, {}, true);
      stream.on('error', () => {});
      await new Promise((resolve) => stream.once('data', resolve));
      stream.close(8);
      const begin = performance.now();
      await waitFor('the end of the body', async () => count(await notesOf(server, run), 'stopped') > 0, 5000);
      expect(performance.now() - begin).toBeLessThan(1000);
      expect((await client.request('/hello')).status).toBe(200);
      client.close();
    });

    it.each(['before-start', ...(isPython ? [] : ['rejected']), 'after-start', 'first-block'])('W-95 W-96 an exception %s is a 500 with a stack in the log', async (when) => {
      const since = server.mark();
      const response = await server.get(`/fails?when=${when}`);
      expect(response.status).toBe(500);
      expect(response.headers['x-own']).toBeUndefined();
      expect(response.headers['content-type']).toMatch(/^text\/html/);
      expect(response.text).not.toMatch(/failed on purpose|ApplicationError|NWSGI/);
      await server.expectLog(/NWSGI2201[^\n]*ApplicationError: failed on purpose/, { since });
      const log = server.log(since);
      // The position in the source: `throw` stands in line 10 of the TypeScript file.
      expect(log).toMatch(isPython ? /File ".*wsgi_ends\.py", line \d+, in fail\b/ : /at fail \(.*fails\.ts:10:\d+\)/);
      expect(log).toContain('the deeper cause');
    });

    it.skipIf(isPython)('W-95 a thrown value that is no Error is reported too', async () => {
      const since = server.mark();
      expect((await server.get('/fails?when=not-an-error')).status).toBe(500);
      await server.expectLog(/NWSGI2201[^\n]*odd: 'value'/, { since });
    });

    it.each(['after-block', 'after-write'])('W-97 the connection ends without a last chunk (%s)', async (when) => {
      const since = server.mark();
      const client = await server.raw();
      await client.send(get(`/fails?when=${when}`) + get('/hello'));
      const bytes = (await client.readAll()).toString('latin1');
      expect(bytes).toMatch(/\r\n\r\n10\r\nsome of the body\r\n$/);
      expect(bytes.match(/HTTP\/1\.1/g)).toHaveLength(1);
      client.close();
      await server.expectLog(/NWSGI2202[^\n]*failed on purpose/, { since });
    });

    it('W-97 a failure inside the announced length ends the connection early', async () => {
      const client = await server.raw();
      await client.send(get('/fails?when=after-block&length=100'));
      const response = await client.readResponse();
      expect(response.header('Content-Length')).toBe('100');
      expect(response.text).toBe('some of the body');
      expect(response.complete).toBe(false);
      client.close();
    });

    it('W-97 an HTTP/1.0 client sees a reset instead of an ordinary end', async () => {
      const client = await server.raw();
      // After a pause: data and reset in one go are an ordinary end for a client that is built on libuv.
      await client.send(head('GET /fails?when=after-pause HTTP/1.0'));
      await client.waitForEnd();
      expect(client.error?.message).toMatch(/ECONNRESET/);
      client.close();
    });

    it('W-97 an HTTP/1.0 client over TLS sees a broken connection', async () => {
      const client = await server.raw(1);
      await client.send(head('GET /fails?when=after-pause HTTP/1.0', 'Host: localhost'));
      await client.waitForEnd();
      expect(client.pending.toString('latin1')).toMatch(/some of the body$/);
      expect(client.error?.message).toMatch(/ECONNRESET|EOF|disconnected/i);
      client.close();
    });

    it('W-97 an HTTP/2 client sees its stream reset, and the connection goes on', async () => {
      const client = await server.http2(1);
      const response = await client.request('/fails?when=after-pause');
      expect(response.status).toBe(200);
      expect(response.text).toBe('some of the body');
      expect(response.complete).toBe(false);
      expect(response.resetCode).not.toBe(0);
      // The reset may overtake what was sent just before it.
      const second = await client.request('/fails?when=after-block').catch((error: Error) => error);
      if (second instanceof Error) expect(second.message).toMatch(/NGHTTP2_/);
      else expect(second.complete).toBe(false);
      expect((await client.request('/hello')).text).toMatch(/^Hello from /);
      client.close();
    });
  });
}
