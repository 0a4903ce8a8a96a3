/** What may differ between MPMs, once in each of them: a part of the other suites. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { describeEachMpm, head, type HttpdServer, type Options, useServer, waitFor } from '../../harness/index.js';
import { environFor } from '../environ.js';
import { laboratory, type Language } from '../language.js';
import { count, get, newRun, notesOf } from '../mounts.js';

const fixtures = [
  ...['show-environ', 'empty-block-first', 'replaced-answer', 'two-cookies', 'told-length', 'hello', 'endless', 'fails', 'early-hints', 'slow-second-block'],
  'random-blocks',
];

/** @param own what is tested beside, with what the server needs for it */
export function inEveryMpm(language: Language, own: { options?: Options; tests?: (server: HttpdServer) => void } = {}): void {
  describeEachMpm(`applications in ${language.name}`, (mpm) => {
    // One child has all notes.
    const server = useServer(laboratory(language, fixtures, { ...own.options, mpm, children: 1 }));

    it('W-10 to W-26 the environ says the same', async () => {
      const seen = await environFor(server, ['GET /show-environ/caf%C3%A9?q=%41 HTTP/1.1', 'Host: example.test:81', 'Cookie: a=1', 'X_D: 0', 'X-D: 1', 'Cookie: b=2']);
      expect(seen).toMatchObject({
        REQUEST_METHOD: 'GET',
        SCRIPT_NAME: '/show-environ',
        PATH_INFO: '/caf\xc3\xa9',
        QUERY_STRING: 'q=%41',
        SERVER_NAME: 'example.test',
        SERVER_PORT: '81',
        SERVER_PROTOCOL: 'HTTP/1.1',
        HTTP_COOKIE: 'a=1; b=2',
        HTTP_X_D: '1',
        REMOTE_ADDR: '127.0.0.1',
      });
    });

    it('W-66 an error after empty blocks is a clean 500 without the headers of the application', async () => {
      const response = await server.get('/empty-block-first?then=throw');
      expect(response.status).toBe(500);
      expect(response.headers['x-first']).toBeUndefined();
      expect(response.complete).toBe(true);
    });

    it('W-68 excInfo before the headers are sent replaces status and headers', async () => {
      const response = await server.get('/replaced-answer');
      expect(`${response.status} ${response.statusText}`).toBe('503 Replaced');
      expect(response.headers['x-a']).toBeUndefined();
      expect(response.headers['x-b']).toBe('b');
      expect(response.text).toBe('the new body');
    });

    it('W-81 keeps two Set-Cookie headers apart and in order', async () => {
      const response = await server.get('/two-cookies');
      expect(response.all('set-cookie')).toEqual(['first=1; Path=/', 'second=2']);
    });

    it('W-100 a body shorter than its Content-Length ends the connection', async () => {
      const client = await server.raw();
      await client.send(get('/told-length?length=10') + get('/hello'));
      const bytes = (await client.readAll()).toString('latin1');
      expect(bytes).toMatch(/\r\nContent-Length: 10\r\n/i);
      expect(bytes).toMatch(/\r\n\r\n00000$/);
      client.close();
    });

    it('W-105 HEAD gets no body, and the connection stays usable', async () => {
      const client = await server.raw();
      await client.send(head('HEAD /told-length?blocks=3 HTTP/1.1', 'Host: localhost'));
      const response = await client.readResponse({ method: 'HEAD' });
      expect(response.status).toBe(200);
      await client.send(get('/hello'));
      expect((await client.readResponse()).text).toMatch(/^Hello from /);
      expect(client.pending.length).toBe(0);
      client.close();
    });

    it('W-94 an endless body stops within a second after the client has left', async () => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/endless?kind=sync&run=${run}`));
      await client.readBytes(1_000_000);
      client.reset();
      const begin = performance.now();
      await waitFor('the end of the body', async () => count(await notesOf(server, run), 'stopped') > 0, 5000);
      expect(performance.now() - begin).toBeLessThan(1000);
    });

    it('W-97 a failure after a block leaves out the last chunk and closes the connection', async () => {
      const client = await server.raw();
      await client.send(get('/fails?when=after-block'));
      const bytes = await client.readAll();
      expect(bytes.toString('latin1')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(bytes.toString('latin1')).toMatch(/\r\n\r\n10\r\nsome of the body\r\n$/);
      client.close();
    });

    it('W-130 wsgi.early_hints sends a 103 response before the answer', async () => {
      const client = await server.raw();
      await client.send(get('/early-hints'));
      const { interim, response } = await client.readFinalResponse();
      expect(interim.map(({ status }) => status)).toEqual([103]);
      expect(interim[0]?.all('link')).toEqual(['</style.css>; rel=preload; as=style']);
      expect(response.status).toBe(200);
      expect(response.text).toBe('the answer');
      client.close();
    });

    it('W-85 the first block arrives at once, while the second one takes a second', async () => {
      await server.request('/slow-second-block?kind=async', { method: 'HEAD' }); // The environment is up.
      const client = await server.raw();
      await client.send(get('/slow-second-block?kind=async'));
      await client.readUntil('\r\n\r\n');
      const begin = performance.now();
      await client.readUntil('first');
      expect(performance.now() - begin).toBeLessThan(200);
      await client.readUntil('second');
      expect(performance.now() - begin).toBeGreaterThan(800);
      client.close();
    });

    it('W-86 three megabytes of random bytes arrive unaltered', async () => {
      const response = await server.get('/random-blocks?kind=generator');
      expect(createHash('sha256').update(response.body).digest('hex')).toBe(response.headers['x-sha256']);
    });

    own.tests?.(server);
  });
}
