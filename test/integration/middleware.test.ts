/** Middleware between the gateway and an application, and the validator of the package (W-125…W-129). */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, open, useServer, waitFor } from './harness/index.js';
import { appsServer, get, newRun, notesOf, waitForNotes } from './support/mounts.js';

describe('middleware', () => {
  const server = useServer(appsServer(['counting-middleware.mjs', 'watched-validator.ts', 'hello.mjs']));

  async function arrivals(path: string): Promise<[string, number][]> {
    await server.get('/hello');
    const begin = performance.now();
    const { response } = await open(server.url(path));
    const list: [string, number][] = [];
    for await (const chunk of response) list.push([String(chunk), performance.now() - begin]);
    return list;
  }

  it('W-125 W-126 W-127 each block of the inner application is passed on before the next one is asked for', async () => {
    await server.get('/counting-middleware?kind=closing&run=warm');
    const list = await arrivals('/counting-middleware?kind=upperCase&run=x');
    expect(list.map(([text]) => text).join('')).toBe('ONE TWO THREE');
    expect(list[0]?.[0]).toBe('ONE ');
    expect(list[0]?.[1]).toBeLessThan(200);
    expect(list.at(-1)?.[1]).toBeGreaterThan(350);
  });

  it('W-125 W-66 a middleware may yield empty blocks until it knows the body', async () => {
    const response = await server.get('/counting-middleware?kind=collecting&run=x');
    expect(response.status).toBe(200);
    expect(response.text).toBe('one two three');
  });

  it('W-129 close() of the outer body reaches the inner one', async () => {
    const run = newRun();
    expect((await server.get(`/counting-middleware?kind=closing&run=${run}`)).text).toBe('xxyy');
    await waitFor('close()', async () => (await notesOf(server, run)).length > 0);
    expect(await notesOf(server, run)).toEqual(['outer closed', 'inner closed']);
  });

  it('W-129 a client that leaves ends the inner generator', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(get(`/counting-middleware?kind=upperCase&run=${run}`));
    await client.readUntil('ONE');
    client.reset();
    await waitFor('the end of the inner application', async () => (await notesOf(server, run)).includes('inner ended'), 2000);
    expect(await notesOf(server, run)).not.toContain('block three');
  });

  it('a middleware may change the head', async () => {
    const response = await server.get('/counting-middleware?kind=heading&run=x');
    expect(`${response.status} ${response.statusText}`).toBe('201 Changed');
    expect(response.headers['x-middleware']).toBe('yes');
    expect(response.text).toBe('one two three');
  });

  it('W-125 W-127 W-128 W-129 validator() returns at once, gives block for block, and writes only what was written', async () => {
    const run = newRun();
    expect((await server.get(`/watched-validator?run=${run}`)).text).toBe('written one two');
    expect(await waitForNotes(server, run, (notes) => notes.includes('inner closed'))).toEqual([
      'returned',
      'inner began',
      'write written ',
      'block one ',
      'block ',
      'block two',
      'inner closed',
    ]);
  });
});

describeEachMpm('validator() around applications', (mpm) => {
  const server = useServer(appsServer(['validated.ts'], { mpm }));

  it.each([
    ['list', 'a list'],
    ['generator', 'a generator'],
    ['async', 'written, yielded'],
    ['file', 'file like'],
    ['closing', 'closed'],
  ])('finds nothing to object to in the gateway: %s', async (kind, text) => {
    const run = newRun();
    const since = server.mark();
    const response = await server.get(`/validated/some/path?kind=${kind}&run=${run}`);
    expect(response.status).toBe(200);
    expect(response.text).toBe(text);
    expect(response.complete).toBe(true);
    expect(server.log(since)).not.toContain('NWSGI2501');
    if (kind === 'file' || kind === 'closing') {
      expect(await waitForNotes(server, run, (notes) => notes.length > 0)).toEqual(['close']);
    }
  });

  it('finds nothing to object to in HEAD, POST and 204', async () => {
    const since = server.mark();
    expect((await server.request('/validated?kind=generator', { method: 'HEAD' })).status).toBe(200);
    expect((await server.post('/validated?kind=echo', 'abcd\nef\ngh')).text).toBe('[abc][d\n][ef\n][gh]');
    expect((await server.get('/validated?kind=no-content')).status).toBe(204);
    expect(server.log(since)).not.toMatch(/NWSGI\d{4}.*validated/);
  });

  it.each(['hop', 'no-type', 'bare-string', 'bad-block', 'not-started', 'closed-input'])('turns the violation %s into a 500 that names the rule', async (kind) => {
    const since = server.mark();
    const response = await server.get(`/validated?kind=${kind}`);
    expect(response.status).toBe(500);
    expect(response.text).not.toContain('bad');
    await server.expectLog(kind === 'hop' ? /NWSGI2207[^\n]*Connection/ : /NWSGI2501[^\n]*(must|needs)/, { since });
  });
});
