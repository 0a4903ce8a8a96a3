/**
 * Requests that wait for a worker, in the queue of their group or for one that starts: they hold no thread of the event MPM, and
 * are treated alike wherever they wait.
 */
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { describeEachMpm, head, sleep, useServer, waitFor, withServer, type HttpdServer, type Mpm, type RawClient } from '../harness/index.js';

const APP = 'node/does-as-told.mjs';
const EMBEDDED = 'hello.mjs';
const THREADS = 4;
const identity = childIdentity();
const user = identity ? `user=${identity.user} group=${identity.user}` : '';

/** One child with a few threads, and a group with one worker. */
const options = (group: string, { mpm = 'event' as Mpm, threads = THREADS, more = [] as string[] } = {}) => ({
  mpm,
  threads,
  children: mpm === 'prefork' ? 16 : 1,
  apps: [APP, EMBEDDED],
  directives: (server: HttpdServer) => {
    const slow = server.writeApp('starts-slowly.mjs', 'await new Promise((go) => setTimeout(go, 2500)); export default (req, res) => res.end("ready");');
    server.writeFile('htdocs/static.txt', 'a file');
    return [
      ...(mpm === 'event' ? ['AsyncRequestWorkerFactor 200'] : []),
      `WSGIDaemonProcess shop ${user} processes=1 ${group}`,
      `WSGIScriptAlias /shop "${server.app(APP)}" process-group=shop application-group=shop`,
      // Not named on the line: it is started by its first request.
      `WSGIScriptAlias /slow "${slow}" process-group=shop`,
      '<Location "/slow">',
      'WSGIApplicationGroup slow',
      '</Location>',
      `WSGIScriptAlias /embedded "${server.app(EMBEDDED)}" process-group=%{GLOBAL}`,
      ...more,
    ];
  },
});

const timed = async <T>(promise: Promise<T>): Promise<[T, number]> => {
  const began = performance.now();
  return [await promise, performance.now() - began];
};

const statuses = async (answers: readonly Promise<{ status: number }>[]) => (await Promise.all(answers)).map(({ status }) => status);
const times = (count: number, status: number) => Array<number>(count).fill(status);
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

async function ask(server: HttpdServer, path: string): Promise<RawClient> {
  const client = await server.raw();
  await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost'));
  return client;
}

const begun = async (server: HttpdServer) => (await server.get('/shop/begun')).json() as string[];

describe('requests that wait for a worker', () => {
  const server = useServer(options('threads=2 queue-limit=1000'));

  /** Others are served as if nobody waited. */
  async function othersAreServed(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      const [answers, time] = await timed(Promise.all([server.get('/static.txt'), server.get('/embedded')]));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(time).toBeLessThan(700);
    }
  }

  it('in its queue hold no thread', { timeout: 60_000 }, async () => {
    await statuses([server.get('/shop/'), server.get('/embedded')]);
    const answers = statuses(many(200, () => server.get('/shop/sleep/30')));
    await sleep(700);
    await othersAreServed();
    expect(await answers).toEqual(times(200, 200));
  });

  it('that starts hold no thread', { timeout: 60_000 }, async () => {
    const answers = statuses(many(40, () => server.get('/slow')));
    await sleep(700);
    await othersAreServed();
    expect(await answers).toEqual(times(40, 200));
  });

  it('go to the next one when it is killed', { timeout: 60_000 }, async () => {
    const pid = Number((await server.get('/shop/')).text);
    const running = statuses(many(2, () => server.get('/shop/sleep/3000')));
    await sleep(200);
    const queued = Promise.all(many(40, () => server.get('/shop/sleep/10')));
    await sleep(500);
    process.kill(pid, 'SIGKILL');
    await othersAreServed();
    expect(await running).toEqual([502, 502]);
    const answers = await queued;
    expect(answers.map(({ status }) => status)).toEqual(times(40, 200));
    expect(answers.map(({ text }) => Number(text))).not.toContain(pid);
  });

  it('are served through a graceful restart', { timeout: 60_000 }, async () => {
    const [old] = server.children();
    await server.get('/shop/');
    const answers = statuses(many(60, () => server.get('/shop/sleep/60')));
    await sleep(300);
    await server.graceful();
    expect(await answers).toEqual(times(60, 200));
    await waitFor('the old child to leave', () => !server.children().includes(old as number), 10_000);
  });
});

it('a stop does not wait for requests that wait, and leaves nothing', { timeout: 60_000 }, async () => {
  await withServer(options('threads=2 queue-limit=1000'), async (server) => {
    await server.get('/shop/');
    const waiting = many(60, (i) => server.get(i % 3 === 0 ? '/slow' : '/shop/sleep/20000').catch((error: unknown) => error));
    await sleep(700);
    const [, time] = await timed(server.stop());
    expect(time).toBeLessThan(8000);
    await Promise.all(waiting);
  });
});

// In place, each of them holds a thread, or a child.
describeEachMpm('the queue of a group', (mpm) => {
  const inPlace = mpm !== 'event';
  const count = mpm === 'prefork' ? 8 : 20;
  const wide = { mpm, threads: inPlace ? 32 : THREADS };
  const oneAtATime = useServer(options('threads=1 queue-limit=1000', wide));

  it('is served in the order in which requests came', { timeout: 60_000 }, async () => {
    await oneAtATime.get('/shop/');
    const first = oneAtATime.get('/shop/sleep/1500');
    await sleep(200);
    const clients: RawClient[] = [];
    for (let i = 0; i < count; i++) {
      clients.push(await ask(oneAtATime, `/shop/sleep/20/${i}`));
      await sleep(25);
    }
    await first;
    for (const client of clients) {
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    }
    const order = (await begun(oneAtATime)).filter((path) => path.startsWith('/sleep/20/')).map((path) => Number(path.split('/')[3]));
    expect(order).toEqual(many(count, (i) => i));
  });

  it('has room again when a client leaves, who is not served', { timeout: 60_000 }, async () => {
    await withServer(options('threads=1 queue-limit=2', wide), async (server) => {
      await server.get('/shop/');
      const first = server.get('/shop/sleep/2500');
      await sleep(150);
      const waiting = [await ask(server, '/shop/left'), await ask(server, '/shop/stayed')];
      await sleep(150);
      expect((await server.get('/shop/refused')).status).toBe(503);
      waiting[0]?.close();
      await sleep(400);
      const late = server.get('/shop/late');
      expect(await statuses([first, late])).toEqual([200, 200]);
      expect((await waiting[1]?.readResponse())?.status).toBe(200);
      const paths = await begun(server);
      expect(paths).toContain('/stayed');
      expect(paths).not.toContain('/left');
      waiting[1]?.close();
    });
  });

  it('is left with 504 after queue-timeout, in time', { timeout: 60_000 }, async () => {
    await withServer(options('threads=1 queue-limit=1000 queue-timeout=1', wide), async (server) => {
      await server.get('/shop/');
      const before = server.mark();
      const first = server.get('/shop/sleep/3000');
      await sleep(150);
      const answers = await Promise.all(many(count, () => timed(server.get('/shop/late'))));
      for (const [answer, time] of answers) {
        expect(answer.status).toBe(504);
        expect(time).toBeGreaterThan(900);
        expect(time).toBeLessThan(2000);
      }
      expect(server.log(before)).toContain('NWSGI4102');
      expect((await first).status).toBe(200);
      expect(await begun(server)).not.toContain('/late');
    });
  });
}, { everyMpm: true });
