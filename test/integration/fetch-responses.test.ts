/** The responses of Web-standard handlers, as clients get them. */
import { describe, expect, it } from 'vitest';
import { head, open, sleep, useServer, waitFor } from './harness/index.js';
import { appsServer, newRun, notesOf, waitForNotes } from './support/mounts.js';

describe('the response of a fetch handler', () => {
  const server = useServer(appsServer(['fetch-responses.mjs']));
  const get = (path: string) => server.get(`/fetch-responses/${path}`);

  it.each([
    ['text', 'text \u00e9', 'text/plain;charset=UTF-8', 7], ['bytes', 'bytes', undefined, 5],
    ['params', 'a=1&b=%C3%A9', 'application/x-www-form-urlencoded;charset=UTF-8', 12], ['length', 'abcdef', undefined, 6],
  ])('has %s as body, and its length', async (name, text, type, length) => {
    const response = await get(name);
    expect(response.status).toBe(200);
    expect([response.text, response.headers['content-type'], response.headers['content-length']]).toEqual([text, type, String(length)]);
  });

  // Its bytes may be read by another thread, so that later versions of Node do not have them at once.
  it('may be a blob', async () => {
    const response = await get('blob');
    expect([response.status, response.text, response.headers['content-type'], response.complete]).toEqual([200, 'blob', 'text/x-blob', true]);
  });

  it.each([['stream', 'one two three'], ['transformed', 'ab']])('may be a %s', async (name, text) => {
    const response = await get(name);
    expect([response.text, response.headers['transfer-encoding'], response.complete]).toEqual([text, 'chunked', true]);
  });

  it('may be a form', async () => {
    const response = await get('form');
    expect(response.headers['content-type']).toMatch(/^multipart\/form-data; ?boundary=/);
    expect(response.text).toContain('name="field"\r\n\r\nvalue\r\n');
  });

  it('may be JSON', async () => {
    const response = await get('json');
    expect([response.status, response.json(), response.headers['content-type']]).toEqual([201, { json: true }, 'application/json']);
  });

  it('keeps cookies apart', async () => {
    const response = await get('cookies');
    expect(response.all('set-cookie')).toEqual(['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/', 'b=2']);
    expect(response.headers.vary).toBe('Cookie');
    expect((await get('cookiesWithCommas')).all('set-cookie')).toEqual(['a=1,b=2', 'c=3, d=4']);
    const again = await get('cookiesAgain');
    expect(again.all('set-cookie')).toEqual(['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/', 'b=2', 'c=3']);
    expect(again.headers['x-cookies']).toBe('3 3 5');
  });

  it.each([204, 304])('has no body with status %i', async (code) => {
    const client = await server.raw();
    await client.send(head(`GET /fetch-responses/status?code=${code} HTTP/1.1`, 'Host: localhost') + head('GET /fetch-responses/text HTTP/1.1', 'Host: localhost', 'Connection: close'));
    const first = await client.readResponse();
    expect([first.status, first.header('etag'), first.body.length]).toEqual([code, '"tag"', 0]);
    expect((await client.readResponse()).text).toBe('text \u00e9');
    client.close();
  });

  it.each([[205, 'Reset Content'], [404, 'Not Found'], [403, 'Forbidden'], [503, 'Service Unavailable']])('may have status %i', async (code, reason) => {
    const response = await get(`status?code=${code}`);
    expect([response.status, response.statusText, response.headers['content-length'], response.text]).toEqual([code, reason, '0', '']);
  });

  it('may have its own status text', async () => {
    const response = await get('statusText');
    expect([response.status, response.statusText]).toEqual([299, 'Fine by me']);
  });

  it('may redirect', async () => {
    const response = await get('redirect');
    expect([response.status, response.headers.location]).toEqual([307, server.url('/fetch-responses/text')]);
  });

  it('to HEAD has the headers only', async () => {
    for (const [name, length] of [['text', '7'], ['length', '6'], ['stream', undefined]] as const) {
      const response = await server.request(`/fetch-responses/${name}`, { method: 'HEAD' });
      expect([response.status, response.text, response.headers['content-length']]).toEqual([200, '', length]);
    }
  });

  it('does not decide about the connection', async () => {
    const response = await get('hopByHop');
    expect([response.text, response.headers['x-secret'], response.headers['keep-alive']]).toEqual(['hop', undefined, undefined]);
  });

  it('is sent block by block', async () => {
    const begin = performance.now();
    const { response } = await open(server.url('/fetch-responses/slow'));
    const arrivals: [string, number][] = [];
    for await (const chunk of response) arrivals.push([String(chunk), performance.now() - begin]);
    expect(arrivals.map(([text]) => text)).toEqual(['first', 'last']);
    expect((arrivals[1]?.[1] as number) - (arrivals[0]?.[1] as number)).toBeGreaterThan(200);
  });

  it('has its head sent when the first block is not there yet', async () => {
    const begin = performance.now();
    const { response } = await open(server.url('/fetch-responses/silent'));
    expect(performance.now() - begin).toBeLessThan(500);
    response.resume();
    await new Promise((resolve) => response.on('end', resolve));
    expect(performance.now() - begin).toBeGreaterThan(600);
  });

  it('is cancelled when the client leaves', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(head(`GET /fetch-responses/endless?run=${run} HTTP/1.1`, 'Host: localhost'));
    await client.readUntil('tick');
    client.reset();
    expect(await waitForNotes(server, run, (notes) => notes.length > 0)).toEqual(['cancelled: AbortError']);
  });

  it('is not waited for by work that outlasts it', async () => {
    const run = newRun();
    const mark = server.mark();
    expect((await get(`afterwards?run=${run}`)).text).toBe('now');
    expect(await notesOf(server, run)).toEqual([]);
    expect(await waitForNotes(server, run, (notes) => notes.length > 0)).toEqual(['done']);
    await waitFor('the log line', () => /NWSGI2235.*failed afterwards.*GET \/fetch-responses\/afterwards/.test(server.log(mark)));
  });
});

describe('work that outlasts its response', () => {
  const server = useServer(appsServer(['fetch-responses.mjs']));

  it('is finished before a graceful restart ends the environment', async () => {
    const run = newRun();
    const mark = server.mark();
    expect((await server.get(`/fetch-responses/muchLater?run=${run}`)).text).toBe('now');
    await server.graceful();
    expect(server.log(mark)).not.toContain('much later');
    await waitFor('the end of the work', () => server.log(mark).includes(`much later, ${run}`));
  });
});

describe('a fetch handler that fails', () => {
  const server = useServer(appsServer(['fetch-responses.mjs'], { directives: (s) => [`WSGIScriptAlias /development ${s.app('fetch-responses.mjs')}`, '<Location /development>\n  WSGIErrorPage Development\n</Location>'] }));

  it.each([
    ['throws', 'NWSGI2201', 'thrown by the handler'], ['rejects', 'NWSGI2201', 'rejected by the handler'], ['nothing', 'NWSGI2231', 'returned undefined'],
    ['error', 'NWSGI2232', 'Response.error'], ['used', 'NWSGI2233', 'read before'], ['breaksAtOnce', 'NWSGI2201', 'no stream at all'],
  ])('in the way of %s is answered by 500', async (name, code, text) => {
    const mark = server.mark();
    const response = await server.get(`/fetch-responses/${name}`);
    if (name !== 'breaksAtOnce') expect(response.status).toBe(500);
    else expect(response.complete && response.status === 200).toBe(false);
    await waitFor('the log line', () => server.log(mark).includes(text));
    expect(server.log(mark)).toMatch(name === 'breaksAtOnce' ? /NWSGI220[12]/ : new RegExp(code));
    expect(server.log(mark)).toContain(`GET /fetch-responses/${name}`);
  });

  it.each([['breaks', 'NWSGI2202'], ['short', 'NWSGI2234'], ['long', 'NWSGI2234']])('in the middle of its body (%s) leaves an incomplete response', async (name, code) => {
    const mark = server.mark();
    const response = await server.get(`/fetch-responses/${name}`);
    expect([response.status, response.complete]).toEqual([200, false]);
    await waitFor('the log line', () => server.log(mark).includes(code));
  });

  it('shows the error in development', async () => {
    const response = await server.get('/development/throws');
    expect(response.status).toBe(500);
    expect(response.text).toContain('thrown by the handler');
    expect(response.text).toContain('fetch-responses.mjs');
  });

  it('serves the next request', async () => {
    await sleep(10);
    expect((await server.get('/fetch-responses/text')).status).toBe(200);
  });
});
