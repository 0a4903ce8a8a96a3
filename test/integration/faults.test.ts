// A fault stays in its application: that application is started afresh, the child and the others do not notice.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { daemon, sleep, useServer, waitFor, type HttpdServer, type HttpResponse, withServer } from './harness/index.js';
import { expectFresh } from './support/identity.js';

interface Answer {
  pid: number;
  instance: string;
  count: number;
}

const apps = ['exits.mjs', 'throws-uncaught.mjs', 'rejects-unhandled.ts', 'handles-uncaught.mjs', 'overflows-stack.mjs', 'exhausts-heap.mjs', 'exhausts-heap-slowly.mjs'];
const more = ['answers-slowly.mjs', 'exits-at-first-request.mjs', 'exits-at-load.mjs', 'loads-slowly-and-exits.mjs'];
const name = (app: string) => app.replace(/\.\w+$/, '');

const server = useServer({
  apps: [...['answer.mjs', ...apps, ...more].map((app) => `faults/${app}`), 'identity.mjs'],
  threads: 16,
  directives: (s) => [
    'WSGINodeOptions --max-old-space-size=64',
    ...[...apps, ...more].map((app) => `WSGIScriptAlias /${name(app)} ${s.app(`faults/${app}`)}`),
    `WSGIScriptAlias /exits-in-flight ${s.app('faults/exits.mjs')} application-group=in-flight`,
    `WSGIScriptAlias /slow-in-flight ${s.app('faults/answers-slowly.mjs')} application-group=in-flight`,
    `WSGIScriptAlias /other ${s.app('identity.mjs')}`,
  ],
});

/** Embedded, V8 asks before it gives up; a worker is ended by Node at once, and its request with it. */
const heapExhausted: [number, RegExp] = daemon ? [502, /NWSGI4207.*heap/] : [500, /NWSGI3005/];

const answerOf = (response: HttpResponse): Answer => {
  expect(response.status, response.text).toBe(200);
  return response.json() as Answer;
};

/** Requests to another application while `body` runs: all of them are answered by one environment in one process. */
async function othersLiveOn(s: HttpdServer, body: () => Promise<void>): Promise<void> {
  const seen: Answer[] = [answerOf(await s.get('/other'))];
  let over = false;
  const others = (async () => {
    while (!over) {
      seen.push(answerOf(await s.get('/other')));
      await sleep(10);
    }
  })();
  await body().finally(() => (over = true));
  await others;
  seen.push(answerOf(await s.get('/other')));
  expect(new Set(seen.map(({ instance }) => instance)).size).toBe(1);
  expect(new Set(seen.map(({ pid }) => pid)).size).toBe(1);
}

describe('an application that', () => {
  it.each([
    ['calls process.exit(0)', '/exits', '?0', 500, /NWSGI3004/],
    ['throws where no request can catch it', '/throws-uncaught', '', 500, /NWSGI2401.*nobody catches this/],
    ['rejects a promise that nobody handles', '/rejects-unhandled', '', 500, /NWSGI2402.*nobody handles this/],
    ['exhausts its heap in one go', '/exhausts-heap', '', ...heapExhausted],
    ['exhausts its heap bit by bit', '/exhausts-heap-slowly', '', ...heapExhausted],
  ])('%s gets an error with the reason in the log and is started afresh, in the same child of httpd or in a new worker', async (_, mount, query, status, reason) => {
    const before = answerOf(await server.get(mount));
    const children = server.children();
    const since = server.mark();
    await othersLiveOn(server, async () => {
      const fault = await server.get(`${mount}/fault${query}`);
      expect(fault.status).toBe(status);
      const after = answerOf(await server.get(mount));
      expectFresh(after, before);
      expect(after.count).toBe(1);
    });
    await server.expectLog(reason, { since });
    expect(server.children()).toEqual(children);
    if (!daemon) expect(children).toEqual([before.pid]);
  });

  it('calls process.exit() runs its "exit" listeners with the code', async () => {
    const since = server.mark();
    await server.get('/exits/fault?3');
    await server.expectLog(/leaving with 3/, { since });
  });

  it('overflows its stack gets 500 for that request and keeps its environment', async () => {
    const before = answerOf(await server.get('/overflows-stack'));
    expect((await server.get('/overflows-stack/fault')).status).toBe(500);
    expect(answerOf(await server.get('/overflows-stack'))).toMatchObject({ instance: before.instance, pid: before.pid });
  });

  it('has a handler for uncaught exceptions keeps its environment', async () => {
    const before = answerOf(await server.get('/handles-uncaught'));
    answerOf(await server.get('/handles-uncaught/fault'));
    await waitFor('the handler', async () => (answerOf(await server.get('/handles-uncaught')) as Answer & { caught: number }).caught === 1);
    expect(answerOf(await server.get('/handles-uncaught')).instance).toBe(before.instance);
  });
});

describe('requests around the end of an environment', () => {
  it('that are in progress get 500 at once', async () => {
    const slow = Array.from({ length: 3 }, () => server.get('/slow-in-flight?20000'));
    await sleep(300);
    const begin = performance.now();
    expect((await server.get('/exits-in-flight/fault?1')).status).toBe(500);
    for (const response of await Promise.all(slow)) expect(response.status).toBe(500);
    expect(performance.now() - begin).toBeLessThan(3000);
  });

  it('that arrive while the fresh environment loads wait for it', async () => {
    const before = answerOf(await server.get('/loads-slowly-and-exits'));
    expect((await server.get('/loads-slowly-and-exits/fault')).status).toBe(500);
    const begin = performance.now();
    const waiting = await Promise.all(Array.from({ length: 6 }, () => server.get('/loads-slowly-and-exits')));
    for (const response of waiting) expectFresh(answerOf(response), before);
    expect(new Set(waiting.map((response) => answerOf(response).instance)).size).toBe(1);
    // It takes half a second to load, and may have begun to before the answer of the fault was read.
    expect(performance.now() - begin).toBeGreaterThan(250);
  });
});

describe('an application that ends again and again', () => {
  it('is paused for longer each time: 503 with Retry-After, and served when it is repaired', async () => {
    await othersLiveOn(server, async () => {
      const statuses: number[] = [];
      let refused: HttpResponse | undefined;
      for (let i = 0; i < 10 && !refused; i++) {
        const response = await server.get('/exits-at-first-request');
        statuses.push(response.status);
        if (response.status === 503) refused = response;
      }
      expect(statuses.at(-1), `statuses: ${statuses.join(' ')}`).toBe(503);
      expect(statuses.slice(0, -1)).toEqual(statuses.slice(0, -1).map(() => 500));
      expect(statuses.length).toBeGreaterThan(2);
      expect(Number(refused?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      await server.expectLog(/NWSGI3009/);

      server.writeApp('faults/repaired', '');
      await waitFor('the repaired application', async () => (await server.get('/exits-at-first-request')).status === 200, 15_000, 200);
    });
  });

  it('is started at once when its script changes during a pause', async () => {
    await withServer({ directives: (s) => `WSGIScriptAlias / ${s.writeApp('crashes.cjs', 'process.exit(1);')}` }, async (s) => {
      expect((await s.get('/')).status).toBe(500);
      await s.expectLog(/(crashes|failures) in a row; the next start is in 4(\.0)? s/, { milliseconds: 15_000 });
      s.writeApp('crashes.cjs', "require('http').createServer((req, res) => res.end('repaired')).listen(80);");
      const begin = performance.now();
      await waitFor('the repaired application', async () => (await s.get('/')).text === 'repaired', 15_000, 50);
      expect(performance.now() - begin).toBeLessThan(2500);
    });
  });

  it('while it is loaded is refused too, and no request waits for ever', async () => {
    const begin = performance.now();
    const responses = await Promise.all(Array.from({ length: 3 }, () => server.get('/exits-at-load')));
    expect(performance.now() - begin).toBeLessThan(12_000);
    for (const { status } of responses) expect([500, 503]).toContain(status);
    server.writeApp('faults/repaired-load', '');
    await waitFor('the repaired application', async () => (await server.get('/exits-at-load')).status === 200, 15_000, 200);
  });
});

it('none of this ended a child or left the name of a fault in the terminal of the server', () => {
  expect(server.log()).not.toMatch(/exit signal/);
  expect(readFileSync(`${server.root}/logs/terminal.log`, 'utf8')).not.toMatch(/FATAL|Segmentation/);
});
