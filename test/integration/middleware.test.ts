/** Middleware between the gateway and a JavaScript application, and the validator of the package (W-125…W-129). */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, useServer } from './harness/index.js';
import { middleware } from './support/conformance/middleware.js';
import { javascript } from './support/language.js';
import { appsServer, newRun, waitForNotes } from './support/mounts.js';

middleware(javascript);

describe('the validator as middleware', () => {
  const server = useServer(appsServer(['watched-validator.ts']));

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
