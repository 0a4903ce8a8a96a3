/** Content-Length, HEAD and statuses without a body, as bytes on the wire (W-99…W-108). */
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { head, useServer, waitFor, type RawClient } from '../../harness/index.js';
import { count, get, newRun, notesOf, stableHeaders } from '../mounts.js';
import { inLog, laboratory, type Language } from '../language.js';

/** A second request on the connection is answered: nothing of the first one is left on it. */
async function expectUsable(client: RawClient): Promise<void> {
  await client.send(get('/hello'));
  const response = await client.readResponse();
  expect(response.status).toBe(200);
  expect(response.text).toMatch(/^Hello from /);
  expect(client.pending.length).toBe(0);
}

export function framing(language: Language): void {
  const isPython = language.name === 'Python';
  /** What an iterable notes that is not wanted any more. */
  const stopped = isPython ? 'close' : 'return';

  describe('framing', () => {
    const server = useServer(
      laboratory(language, ['told-length', 'hello', 'told-result'], {
        modules: ['deflate', 'filter'],
        vhosts: [
          {},
          { tls: true, http2: true },
          { directives: ['SetOutputFilter DEFLATE'] },
        ],
      }),
    );

    it.each(['generator', 'async', 'list'])('W-99 bytes above Content-Length are dropped (%s)', async (kind) => {
      const client = await server.raw();
      await client.send(get(`/told-length?length=5&size=10&kind=${kind}`));
      const response = await client.readResponse();
      expect(response.all('content-length')).toEqual(['5']);
      expect(response.text).toBe('00000');
      await expectUsable(client);
      client.close();
    });

    it.each(['generator', 'async'])('W-99 iteration stops when Content-Length is reached (%s)', async (kind) => {
      const run = newRun();
      const response = await server.get(`/told-length?length=5&size=5&blocks=5&kind=${kind}&run=${run}`);
      expect(response.text).toBe('00000');
      await waitFor('the end', async () => count(await notesOf(server, run), stopped) > 0);
      const notes = await notesOf(server, run);
      expect(count(notes, 'next')).toBe(1);
      expect(count(notes, stopped)).toBe(1);
    });

    it('W-99 a block that crosses Content-Length is cut and ends the iteration', async () => {
      const run = newRun();
      const response = await server.get(`/told-length?length=7&size=5&blocks=5&run=${run}`);
      expect(response.text).toBe('0000011');
      expect(response.complete).toBe(true);
      await waitFor('close()', async () => count(await notesOf(server, run), 'close') > 0);
      expect(await notesOf(server, run)).toEqual(['next', 'next', ...(isPython ? [] : ['return']), 'close']);
    });

    it('W-99 write() throws for bytes above Content-Length, which are dropped', async () => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/told-length?length=7&size=5&blocks=3&kind=write&run=${run}`));
      const response = await client.readResponse();
      expect(response.text).toBe('0000011');
      await expectUsable(client);
      client.close();
      expect(await notesOf(server, run)).toEqual(['NWSGI2211']);
    });

    it.each(['generator', 'async', 'write', 'list'])('W-100 a short body is logged and ends the connection (%s)', async (kind) => {
      const since = server.mark();
      const client = await server.raw();
      await client.send(get(`/told-length?length=10&blocks=1&size=5&kind=${kind}`) + get('/hello'));
      const response = await client.readResponse();
      expect(response.status).toBe(200);
      expect(response.text).toBe('00000');
      expect(response.complete).toBe(false);
      await client.waitForEnd();
      expect(client.pending.length).toBe(0);
      client.close();
      await server.expectLog(inLog(language, 'NWSGI2210', 'told-length'), { since });
    });

    it.each(['generator', 'list'])('W-100 an announced body of which nothing comes is a 500 (%s)', async (kind) => {
      const client = await server.raw();
      await client.send(get(`/told-length?length=10&blocks=0&kind=${kind}`));
      const response = await client.readResponse();
      expect(response.status).toBe(500);
      expect(response.complete).toBe(true);
      expect(response.header('X-Own')).toBeUndefined();
      client.close();
    });

    it('W-100 a short body over HTTP/2 resets its stream only', async () => {
      const client = await server.http2(1);
      // The reset may overtake what was sent just before it.
      const response = await client.request('/told-length?length=10').catch((error: Error) => error);
      if (response instanceof Error) expect(response.message).toMatch(/NGHTTP2_/);
      else expect(response.complete).toBe(false);
      expect((await client.request('/hello')).status).toBe(200);
      client.close();
    });

    it.each(isPython ? ['[b"hello"]', '(b"hello",)'] : ['[Buffer.from("hello")]'])('W-102 a list of one block gets a Content-Length: %s', async (block) => {
      const client = await server.raw();
      await client.send(get(`/told-result?${encodeURIComponent(block)}`));
      const response = await client.readResponse();
      expect(response.all('content-length')).toEqual(['5']);
      expect(response.header('Transfer-Encoding')).toBeUndefined();
      expect(response.text).toBe('hello');
      await expectUsable(client);
      client.close();
    });

    it.skipIf(isPython)('W-102 Content-Length counts bytes, not characters', async () => {
      const response = await server.get(`/told-result?${encodeURIComponent('["h\\u00e9llo \\u65e5"]')}`);
      expect(response.headers['content-length']).toBe('10');
      expect(response.text).toBe('h\u00e9llo \u65e5');
    });

    it('W-103 a generator is sent chunked to HTTP/1.1', async () => {
      const client = await server.raw();
      // Paced: what is complete at once may get a Content-Length instead.
      await client.send(get('/told-length?blocks=3&kind=paced'));
      const response = await client.readResponse();
      expect(response.framing).toBe('chunked');
      expect(response.all('transfer-encoding')).toEqual(['chunked']);
      expect(response.header('Content-Length')).toBeUndefined();
      expect(response.text).toBe('000001111122222');
      expect(response.complete).toBe(true);
      await expectUsable(client);
      client.close();
    });

    it('W-103 a generator is close-delimited for HTTP/1.0', async () => {
      const client = await server.raw();
      await client.send(head('GET /told-length?blocks=3&kind=paced HTTP/1.0', 'Connection: keep-alive'));
      const response = await client.readResponse();
      expect(response.header('Transfer-Encoding')).toBeUndefined();
      expect(response.framing).toBe('close');
      expect(response.header('Connection')).toBe('close');
      expect(response.text).toBe('000001111122222');
      expect(client.error).toBeUndefined();
      client.close();
    });

    it('W-103 an HTTP/1.0 client with keep-alive gets a list with its length', async () => {
      const client = await server.raw();
      await client.send(head('GET /hello HTTP/1.0', 'Connection: keep-alive'));
      const response = await client.readResponse();
      expect(response.header('Content-Length')).toBe(String(response.body.length));
      expect(response.header('Connection')?.toLowerCase()).toBe('keep-alive');
      await expectUsable(client);
      client.close();
    });

    it('W-104 chunks are encoded once', async () => {
      const client = await server.raw();
      await client.send(get('/told-length?blocks=2&kind=paced', 'Connection: close'));
      const bytes = (await client.readAll()).toString('latin1');
      expect(bytes.slice(bytes.indexOf('\r\n\r\n') + 4)).toBe('5\r\n00000\r\n5\r\n11111\r\n0\r\n\r\n');
      client.close();
    });

    it.each([
      ['a list', 'kind=list&blocks=2'],
      ['a Content-Length', 'length=10&blocks=2'],
      ['a list and Content-Length', 'kind=list&length=10&blocks=2'],
      ['a generator', 'blocks=2'],
      ['an async generator', 'kind=async&blocks=2'],
      ['write()', 'kind=write&blocks=2'],
      ['write() and a Content-Length', 'kind=write&length=10&blocks=2'],
      ['nothing', 'kind=list&blocks=0'],
    ])('W-105 HEAD with %s: the headers of GET, no byte of a body, and a usable connection', async (_, query) => {
      const path = `/told-length?${query}`;
      const wanted = await server.get(path);
      const client = await server.raw();
      await client.send(head(`HEAD ${path} HTTP/1.1`, 'Host: localhost'));
      const response = await client.readResponse({ method: 'HEAD' });
      expect(response.status).toBe(200);
      await expectUsable(client);
      client.close();
      const got = stableHeaders(await server.request(path, { method: 'HEAD' }));
      // A server may leave the length out of its answer to HEAD, but not change it (RFC 9110, 9.3.2).
      const expected = stableHeaders(wanted);
      expect(got.filter((line) => !/^content-length/i.test(line))).toEqual(expected.filter((line) => !/^content-length/i.test(line)));
      for (const line of got.filter((text) => /^content-length/i.test(text))) expect(expected).toContain(line);
      if (query.includes('length=10')) expect(got).toContain('Content-Length: 10');
    });

    it('W-105 HEAD over HTTP/2 has no body', async () => {
      const client = await server.http2(1);
      const response = await client.request('/told-length?kind=async&blocks=2', { method: 'HEAD' });
      expect(response.status).toBe(200);
      expect(response.headers['x-own']).toBe('yes');
      expect(response.body.length).toBe(0);
      expect(response.complete).toBe(true);
      client.close();
    });

    it('W-105 the body of an answer to HEAD is not pulled to its end', async () => {
      const run = newRun();
      await server.request(`/told-length?blocks=50&run=${run}`, { method: 'HEAD' });
      await waitFor('close()', async () => count(await notesOf(server, run), 'close') > 0);
      expect(count(await notesOf(server, run), 'next')).toBeLessThanOrEqual(1);
    });

    it.each([
      ['204 No Content', 'kind=list'],
      ['204 No Content', 'length=5'],
      ['204 No Content', 'kind=list&length=5'],
      ['204 No Content', 'kind=write'],
      ['204 No Content', 'kind=async'],
      ['204 No Content', 'kind=list&blocks=0'],
      ['304 Not Modified', 'kind=list'],
      ['304 Not Modified', 'length=5'],
      ['304 Not Modified', 'kind=async'],
      ['304 Not Modified', 'kind=list&blocks=0'],
    ])('W-106 %s carries no body (%s)', async (status, query) => {
      const client = await server.raw();
      await client.send(get(`/told-length?status=${encodeURIComponent(status)}&${query}`));
      const response = await client.readResponse();
      expect(`${response.status} ${response.reason}`).toBe(status);
      expect(response.header('X-Own')).toBe('yes');
      expect(response.header('Transfer-Encoding')).toBeUndefined();
      if (response.status === 204) expect(response.header('Content-Length')).toBeUndefined();
      await expectUsable(client);
      client.close();
    });

    it.each([
      ['an empty list', 'kind=list&blocks=0'],
      ['an empty generator', 'kind=async&blocks=0'],
      ['a Content-Length of 0', 'kind=async&blocks=0&length=0'],
      ['empty blocks', 'kind=async&blocks=3&size=0'],
    ])('W-107 %s gives Content-Length: 0 and a usable connection', async (_, query) => {
      const client = await server.raw();
      await client.send(get(`/told-length?${query}`));
      const response = await client.readResponse();
      expect(response.status).toBe(200);
      expect(response.all('content-length')).toEqual(['0']);
      expect(response.header('Transfer-Encoding')).toBeUndefined();
      expect(response.body.length).toBe(0);
      await expectUsable(client);
      client.close();
    });

    it.each(['kind=list&blocks=2', 'kind=async&blocks=2', 'length=2000&blocks=2'])('W-108 mod_deflate compresses the body as a whole (%s)', async (query) => {
      const response = await server.request(`/told-length?size=1000&${query}`, { host: 2, headers: { 'Accept-Encoding': 'gzip' } });
      expect(response.headers['content-encoding']).toBe('gzip');
      expect(response.headers.vary).toMatch(/Accept-Encoding/i);
      expect(gunzipSync(response.body).toString()).toBe('0'.repeat(1000) + '1'.repeat(1000));
      expect(response.complete).toBe(true);
    });

    it('W-108 a truncated body stays visibly incomplete behind mod_deflate', async () => {
      const response = await server.request('/told-length?length=10&kind=async', { host: 2, headers: { 'Accept-Encoding': 'gzip' } });
      expect(response.complete).toBe(false);
    });
  });
}
