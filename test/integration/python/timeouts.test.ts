// Requests that take too long: 504, an exception in their thread, and a process that goes on. What does not come back is
// replaced where a process of its own serves.
import { describe, expect, it } from 'vitest';
import { daemon, sleep, useServer, waitFor, type HttpResponse } from '../harness/index.js';

const server = useServer({
  apps: ['faults/faults.py', 'identity.mjs'],
  threads: 16,
  daemonOptions: 'threads=4 interrupt-timeout=1s shutdown-timeout=1s',
  directives: (s) => [
    `WSGIScriptAlias /faults ${s.app('faults/faults.py')}`,
    `WSGIScriptAlias /stuck ${s.app('faults/faults.py')} application-group=stuck`,
    `WSGIScriptAlias /held ${s.app('faults/faults.py')} application-group=held`,
    `WSGIScriptAlias /javascript ${s.app('identity.mjs')} application-group=javascript`,
    '<LocationMatch "^/(faults|stuck|held)/(sleep|busy|catches|hang)$">\nWSGIRequestTimeout 500ms\n</LocationMatch>',
  ],
});

const instanceOf = async (mount: string): Promise<string> => {
  const response = await server.get(`${mount}/`);
  expect(response.status, response.text).toBe(200);
  return response.text;
};

async function timed(path: string): Promise<{ response: HttpResponse; milliseconds: number }> {
  const begin = performance.now();
  const response = await server.get(path);
  return { response, milliseconds: performance.now() - begin };
}

describe('request-timeout', () => {
  it.each([
    ['that waits again and again', '/faults/catches?8'],
    ['that computes', '/faults/busy?8'],
  ])('ends an application %s by an exception; the client gets 504, and the process goes on', async (_, path) => {
    const before = await instanceOf('/faults');
    const since = server.mark();
    const { response, milliseconds } = await timed(path);
    expect(response.status).toBe(504);
    expect(milliseconds).toBeGreaterThan(450);
    expect(milliseconds).toBeLessThan(3000);
    await server.expectLog(/NWSGI1209/, { since });
    await server.expectLog(/NWSGI2606.*faults\.py/, { since });
    expect(await instanceOf('/faults')).toBe(before);
  });

  it('raises mod_wsgi.RequestTimeout', async () => {
    expect((await server.get('/faults/catches?5')).status).toBe(504);
    await waitFor('the exception', async () => (await server.get('/faults/caught')).text.includes('mod_wsgi.RequestTimeout'));
  });

  it('frees the threads that it interrupts', async () => {
    const responses = await Promise.all(Array.from({ length: 8 }, () => server.get('/faults/catches?8')));
    for (const { status } of responses) expect(status).toBe(504);
    const begin = performance.now();
    await Promise.all(Array.from({ length: 8 }, () => instanceOf('/faults')));
    expect(performance.now() - begin).toBeLessThan(3000);
  });

  it('leaves an answer alone that has begun', async () => {
    expect(await server.get('/faults/stream?1')).toMatchObject({ status: 200, text: 'begun ended', complete: true });
  });
});

describe('a thread that does not come back', () => {
  it('is reported with the place where it is; in a process group a fresh worker takes over', async () => {
    const before = await instanceOf('/stuck');
    const javascript = (await server.get('/javascript')).json() as { instance: string };
    const since = server.mark();
    expect((await timed('/stuck/sleep?6')).response.status).toBe(504);
    await server.expectLog(/NWSGI2607[^]*time\.sleep\(seconds\)/, { since, milliseconds: 8000 });
    if (daemon) await waitFor('a fresh worker', async () => (await server.get('/stuck/')).text !== before);
    else expect(await instanceOf('/stuck')).toBe(before);
    expect((await server.get('/javascript')).json()).toMatchObject({ instance: javascript.instance });
  });
});

describe.runIf(daemon)('C code that holds the lock of the interpreter', () => {
  it('makes its client get 504, and its worker be replaced', async () => {
    const before = await instanceOf('/held');
    const other = await instanceOf('/faults');
    const since = server.mark();
    const { response, milliseconds } = await timed('/held/hang?20');
    expect(response.status).toBe(504);
    expect(milliseconds).toBeLessThan(3000);
    expect(await instanceOf('/faults')).toBe(other);
    await waitFor('a fresh worker', async () => (await server.get('/held/')).text !== before, 12_000);
    await server.expectLog(/NWSGI2610/, { since });
    await server.expectLog(/NWSGI4209|NWSGI4210/, { since, milliseconds: 8000 });
  }, 30_000);
});

describe.runIf(daemon)('limits of workers', () => {
  const limited = useServer({
    apps: ['faults/faults.py', 'identity.mjs'],
    daemonOptions: 'threads=4 deadlock-timeout=1s shutdown-timeout=1s maximum-requests=20',
    directives: (s) => [
      `WSGIScriptAlias /deadlock ${s.app('faults/faults.py')} application-group=deadlock`,
      `WSGIScriptAlias /other ${s.app('faults/faults.py')} application-group=other`,
    ],
  });

  it('deadlock-timeout ends a worker whose Python stands still', async () => {
    const before = (await limited.get('/deadlock/')).text;
    const other = (await limited.get('/other/')).text;
    const since = limited.mark();
    const begin = performance.now();
    const held = await limited.get('/deadlock/hang?30');
    expect([502, 504]).toContain(held.status);
    expect(performance.now() - begin).toBeLessThan(12_000);
    await limited.expectLog(/NWSGI4210/, { since });
    expect((await limited.get('/deadlock/')).text).not.toBe(before);
    expect((await limited.get('/other/')).text).toBe(other);
  }, 30_000);

  it('maximum-requests counts the requests that never come to the event loop', async () => {
    const before = (await limited.get('/other/')).text;
    await waitFor('another worker', async () => {
      const response = await limited.get('/other/');
      expect(response.status).toBe(200);
      return response.text !== before;
    });
    await limited.expectLog(/maximum-requests/);
  });
});

it('keeps serving while requests sleep', async () => {
  const sleeping = [1, 2, 3].map(() => server.get('/faults/stream?1'));
  await sleep(100);
  const begin = performance.now();
  await instanceOf('/faults');
  expect(performance.now() - begin).toBeLessThan(900);
  await Promise.all(sleeping);
});
