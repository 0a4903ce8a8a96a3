// Restarts and the replacement of children, with each MPM, under load. Every server here is checked at its end: no
// process left, no child that had to be killed, none that crashed.
import { expect, it } from 'vitest';
import { daemon, describeEachMpm, residentBytes, sanitized, sleep, waitFor, withServer, type Mpm, type Options } from './harness/index.js';
import { SteadyLoad } from './harness/steady-load.js';
import { identity } from './support/identity.js';

const patience = sanitized ? 4 : 1;

const options = (mpm: Mpm, more: Options = {}): Options => ({
  mpm,
  children: mpm === 'prefork' ? 4 : 1,
  threads: 12,
  apps: ['identity.mjs', 'holds-response-open.mjs'],
  directives: (s) => [
    `WSGIScriptAlias /identity ${s.app('identity.mjs')}`,
    `WSGIScriptAlias /slow ${s.app('holds-response-open.mjs')}`,
  ],
  ...more,
});

describeEachMpm('restarts of a server', (mpm) => {
  it('lets a long response finish during a graceful restart, while a new child serves', async () => {
    await withServer(options(mpm, { room: 1 }), async (s) => {
      const before = await identity(s);
      const slow = s.get('/slow?2500');
      await sleep(300);
      const oldChildren = [...s.children(), ...s.workers()];
      await s.graceful();
      const fresh = await waitFor('a new child', async () => {
        const answer = await identity(s);
        return oldChildren.includes(answer.pid) ? undefined : answer;
      });
      expect(fresh.instance).not.toBe(before.instance);
      expect(await slow).toMatchObject({ status: 200, text: 'begin end', complete: true });
      await waitFor('the old children to leave', () => ![...s.children(), ...s.workers()].some((pid) => oldChildren.includes(pid)), 8000 * patience);
    });
  });

  it('serves after each of several restarts, and the old children are gone', async () => {
    await withServer(options(mpm), async (s) => {
      let old: number[] = [];
      for (let i = 0; i < 3; i++) {
        await identity(s);
        old = [...old, ...s.children(), ...s.workers()];
        const begin = performance.now();
        await s.restart();
        expect(performance.now() - begin).toBeLessThan(5000 * patience);
      }
      await identity(s);
      // Workers are replaced one by one: the old one goes when the new one serves.
      await waitFor('the old processes to be gone', () => ![...s.children(), ...s.workers()].some((pid) => old.includes(pid)), daemon ? 5000 : 0);
    });
  });

  it('loses no request in ten graceful restarts under load, and its parent does not grow', async () => {
    // Old children stay until their connections are done: there have to be free slots.
    await withServer(options(mpm, { children: mpm === 'prefork' ? 8 : 2 }), async (s) => {
      await identity(s);
      await s.graceful();
      const load = new SteadyLoad(s.url('/identity'), { kept: 3, fresh: 1, pause: 2 });
      await sleep(200);
      const parent = residentBytes(s.pid);
      for (let i = 0; i < 10; i++) {
        const before = s.appProcesses();
        await s.graceful();
        await waitFor('a new child', async () => !before.includes((await identity(s)).pid));
      }
      const { lost, requests } = await load.stop();
      expect(lost).toEqual([]);
      expect(requests).toBeGreaterThan(40);
      if (!sanitized) expect(residentBytes(s.pid) - parent).toBeLessThan(2 * 1024 * 1024);
    });
  });

  it('loses no request when children are replaced after a number of connections', async () => {
    await withServer(
      options(mpm, {
        children: mpm === 'prefork' ? 6 : 2,
        directives: (s) => [`WSGIScriptAlias /identity ${s.app('identity.mjs')}`, 'MaxConnectionsPerChild 25', 'MaxKeepAliveRequests 5'],
      }),
      async (s) => {
        const load = new SteadyLoad(s.url('/identity'), { kept: 2, fresh: 2, pause: 10 });
        const pids = new Set<number>();
        await waitFor('several children', () => s.children().reduce((all, pid) => all.add(pid), pids).size >= 6, 15_000 * patience, 20);
        const { lost } = await load.stop();
        expect(lost).toEqual([]);
      },
    );
  });
}, { everyMpm: true });
