// How a server stops, with each MPM, whatever its applications do. Every server here is checked at its end: no process left,
// no child that had to be killed, none that crashed.
import { expect, it } from 'vitest';
import { describeEachMpm, sanitized, sleep, waitFor, withServer, type HttpdServer, type Mpm, type Options } from './harness/index.js';
import { identity } from './support/identity.js';
import { secondsToStop } from './support/stop.js';

const patience = sanitized ? 4 : 1;

const options = (mpm: Mpm, more: Options = {}): Options => ({
  mpm,
  children: mpm === 'prefork' ? 4 : 1,
  threads: 12,
  daemonOptions: 'shutdown-timeout=2s',
  apps: ['identity.mjs', 'holds-response-open.mjs', 'never-answers.mjs', 'never-loads.mjs'],
  directives: (s) => [
    `WSGIScriptAlias /identity ${s.app('identity.mjs')}`,
    `WSGIScriptAlias /slow ${s.app('holds-response-open.mjs')}`,
    `WSGIScriptAlias /never ${s.app('never-answers.mjs')}`,
    `WSGIScriptAlias /never-loads ${s.app('never-loads.mjs')}`,
  ],
  ...more,
});

/** A request that will not be answered in order, and what became of it. */
const abandoned = (s: HttpdServer, path: string) =>
  s.get(path).then(
    ({ status }) => `status ${status}`,
    () => 'connection closed',
  );

describeEachMpm('life of a server', (mpm) => {
  it('that has served stops at once', async () => {
    await withServer(options(mpm), async (s) => {
      await identity(s);
      expect(await secondsToStop(s)).toBeLessThan(2.5 * patience);
    });
  });

  it('that has served nothing stops at once', async () => {
    await withServer(options(mpm), async (s) => {
      expect(await secondsToStop(s)).toBeLessThan(2.5 * patience);
    });
  });

  it('with a request that is never answered stops in time, and the client learns of it', async () => {
    await withServer(options(mpm), async (s) => {
      await s.get('/never/ready');
      const request = abandoned(s, '/never/wait');
      await sleep(300);
      expect(await secondsToStop(s)).toBeLessThan(4.5 * patience);
      expect(['status 503', 'connection closed']).toContain(await request);
    });
  });

  it('with an application that blocks its loop stops within about three seconds', async () => {
    await withServer(options(mpm), async (s) => {
      await s.get('/never/ready');
      const request = abandoned(s, '/never/block');
      await s.expectLog(/blocking now/);
      expect(await secondsToStop(s)).toBeLessThan(4.5 * patience);
      expect(['status 503', 'connection closed']).toContain(await request);
    });
  });

  it.skipIf(mpm === 'prefork')('with many applications, some of which block, stops within about three seconds', async () => {
    const count = 16;
    const many = (s: HttpdServer) => Array.from({ length: count }, (_, i) => `WSGIScriptAlias /app${i} ${s.app('never-answers.mjs')}`);
    await withServer(options(mpm, { threads: 24, directives: many }), async (s) => {
      for (let i = 0; i < count; i++) expect((await s.get(`/app${i}/ready`)).status).toBe(200);
      const requests = Array.from({ length: count }, (_, i) => abandoned(s, `/app${i}${i % 4 === 0 ? '/block' : '/wait'}`));
      await waitFor('the blocked ones', () => s.log().match(/blocking now/g)?.length === count / 4);
      expect(await secondsToStop(s)).toBeLessThan(5 * patience);
      for (const outcome of await Promise.all(requests)) expect(['status 503', 'connection closed']).toContain(outcome);
    });
  });

  it.each([
    ['waits for ever', {}],
    ['blocks', { BLOCK_AT_LOAD: '1' }],
  ])('with a script that %s while it is loaded stops in time', async (_, env) => {
    await withServer(options(mpm, { env }), async (s) => {
      const request = abandoned(s, '/never-loads');
      await s.expectLog(/loading now/);
      expect(await secondsToStop(s)).toBeLessThan(4.5 * patience);
      expect(['status 503', 'connection closed']).toContain(await request);
    });
  });

  it('lets a long response finish during a graceful stop, and then ends', async () => {
    await withServer(options(mpm), async (s) => {
      await identity(s);
      const slow = s.get('/slow?2000');
      await sleep(300);
      const begin = performance.now();
      await s.gracefulStop();
      const seconds = (performance.now() - begin) / 1000;
      expect(await slow).toMatchObject({ status: 200, text: 'begin end', complete: true });
      expect(seconds).toBeGreaterThan(1.4);
      expect(seconds).toBeLessThan(7 * patience);
    });
  });

  it('is not held up by a blocked application at a graceful restart or at the stop after it', async () => {
    await withServer(options(mpm, { room: 1 }), async (s) => {
      await s.get('/never/ready');
      const request = abandoned(s, '/never/block');
      await s.expectLog(/blocking now/);
      await s.graceful();
      await identity(s);
      expect(await secondsToStop(s)).toBeLessThan(5 * patience);
      expect(['status 503', 'connection closed']).toContain(await request);
    });
  });
}, { everyMpm: true });
