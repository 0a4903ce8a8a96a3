// WSGIRequestTimeout: slow answers, and loops that never return.
import { describe, expect, it } from 'vitest';
import { sleep, useServer, waitFor, type HttpResponse } from './harness/index.js';
import { answerAfterBlock, expectFresh } from './support/identity.js';

interface Answer {
  pid: number;
  instance: string;
}

const server = useServer({
  apps: ['answer.mjs', 'answers-slowly.mjs', 'loops-forever.mjs', 'loops-in-regexp.mjs'].map((app) => `faults/${app}`).concat('identity.mjs'),
  threads: 16,
  daemonOptions: 'interrupt-timeout=1s',
  directives: (s) => [
    `WSGIScriptAlias /slow ${s.app('faults/answers-slowly.mjs')}`,
    ...['loop', 'queue', 'fly'].map((name) => `WSGIScriptAlias /${name} ${s.app('faults/loops-forever.mjs')}`),
    `WSGIScriptAlias /regexp ${s.app('faults/loops-in-regexp.mjs')}`,
    `WSGIScriptAlias /other ${s.app('identity.mjs')}`,
    '<LocationMatch "/fault$">\nWSGIRequestTimeout 500ms\n</LocationMatch>',
    '<Location "/slow">\nWSGIRequestTimeout 1\n</Location>',
  ],
});

const answerOf = (response: HttpResponse): Answer => {
  expect(response.status, response.text).toBe(200);
  return response.json() as Answer;
};

describe('a slow answer', () => {
  it('ends with 504 at the limit, with the reason in the log; its environment goes on', async () => {
    const before = answerOf(await server.get('/slow?0'));
    const since = server.mark();
    const begin = performance.now();
    const late = await server.get('/slow?6000');
    const seconds = (performance.now() - begin) / 1000;
    expect(late.status).toBe(504);
    expect(seconds).toBeGreaterThan(0.9);
    expect(seconds).toBeLessThan(3);
    await server.expectLog(/NWSGI1209/, { since });
    // Long enough for the application to be taken for a stuck one.
    await sleep(2500);
    expect(answerOf(await server.get('/slow?0'))).toMatchObject(before.instance ? { instance: before.instance } : {});
  });

  it('is announced to the application by nwsgi.signal', async () => {
    expect((await server.get('/slow?1777')).status).toBe(504);
    await waitFor('the abort event', async () => (await server.get('/slow/aborted')).text.includes('1777'), 3000);
  });

  it('may take longer once it has begun', async () => {
    const response = await server.get('/slow/late-body?1800');
    expect(response).toMatchObject({ status: 200, text: 'firstlast', complete: true });
  });
});

describe('a loop that never returns', () => {
  it.each([
    ['in JavaScript', '/loop'],
    ['in a regular expression', '/regexp'],
  ])('%s ends with 504, and a fresh environment serves', async (_, mount) => {
    const before = answerOf(await server.get(mount));
    const other = answerOf(await server.get('/other'));
    const since = server.mark();
    const begin = performance.now();
    const fault = await server.get(`${mount}/fault`);
    expect(fault.status).toBe(504);
    expect(performance.now() - begin).toBeLessThan(3000);
    // The other application answers while this one is stuck.
    for (let i = 0; i < 20; i++) {
      expect(answerOf(await server.get('/other'))).toMatchObject({ instance: other.instance });
      await sleep(20);
    }
    const after = await answerAfterBlock(async () => answerOf(await server.get(mount)), before);
    expect(performance.now() - begin).toBeLessThan(8000);
    expectFresh(after, before);
    await server.expectLog(/NWSGI(3006|4214)/, { since });
  });

  it('leaves the place where it was in the log', async () => {
    expect(server.log()).toMatch(/neverReturns/);
    expect(server.log()).toMatch(/loops-forever\.mjs/);
  });

  it('lets requests that were not begun be served by the fresh environment', async () => {
    answerOf(await server.get('/queue'));
    const fault = server.get('/queue/fault');
    await sleep(200);
    const queued = Array.from({ length: 4 }, () => server.get('/queue'));
    expect((await fault).status).toBe(504);
    const instances = (await Promise.all(queued)).map((response) => answerOf(response).instance);
    expect(new Set(instances).size).toBe(1);
  });

  it('ends requests that were in progress with 503', async () => {
    answerOf(await server.get('/fly'));
    const inProgress = server.get('/fly/slow?60000');
    await sleep(200);
    expect((await server.get('/fly/fault')).status).toBe(504);
    expect((await inProgress).status).toBe(503);
    answerOf(await server.get('/fly'));
  });
});
