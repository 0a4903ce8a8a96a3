// 200 graceful restarts under load: no request lost, no growth of the parent, no child killed.
import { expect, it } from 'vitest';
import { describeEachMpm, openDescriptors, residentBytes, sanitized, waitFor, withServer } from '../harness/index.js';
import { SteadyLoad } from '../harness/steady-load.js';

const RESTARTS = Number(process.env.NWSGI_SOAK_RESTARTS ?? 200);
/** Restarts after which the parent has its final size: httpd's own pools and libraries are warm. */
const WARM = Math.min(20, RESTARTS / 4);
const MiB = 1024 * 1024;

describeEachMpm('graceful restarts', (mpm) => {
  it(`${RESTARTS} in a row lose no request, leave the parent's memory as it is, and need no SIGKILL`, async () => {
    await withServer(
      {
        mpm,
        children: mpm === 'prefork' ? 8 : 2,
        threads: 12,
        apps: ['identity.mjs'],
        logLevel: 'notice',
        directives: (s) => `WSGIScriptAlias / ${s.app('identity.mjs')}`,
      },
      async (s) => {
        const load = new SteadyLoad(s.url('/'), { kept: 3, fresh: 1, pause: 2 });
        let warm = { resident: 0, descriptors: 0 };
        const begin = performance.now();
        for (let i = 1; i <= RESTARTS; i++) {
          const before = s.appProcesses();
          await s.graceful();
          await waitFor('a new child', async () => {
            const { pid } = (await s.get('/')).json() as { pid: number };
            return !before.includes(pid);
          });
          if (i === WARM) warm = { resident: residentBytes(s.pid), descriptors: openDescriptors(s.pid) };
        }
        const { requests, repeated, lost, slowest } = await load.stop();
        const grown = residentBytes(s.pid) - warm.resident;
        console.log(
          `${mpm}: ${RESTARTS} graceful restarts in ${((performance.now() - begin) / 1000).toFixed(0)} s, ${requests} requests, ${lost.length} lost, ${repeated} repeated, ` +
            `slowest ${slowest.toFixed(0)} ms, parent ${(warm.resident / MiB).toFixed(1)} MiB, grown by ${(grown / 1024).toFixed(0)} KiB since restart ${WARM}`,
        );
        expect(lost).toEqual([]);
        expect(requests).toBeGreaterThan(RESTARTS);
        expect(openDescriptors(s.pid)).toBeLessThanOrEqual(warm.descriptors + 2);
        if (!sanitized) expect(grown).toBeLessThan(MiB);
      },
    );
  });
});
