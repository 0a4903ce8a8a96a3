// 300 reloads of a changed script under load: no request lost, and the memory of the child is flat.
import { expect, it } from 'vitest';
import { residentBytes, sanitized, sleep, waitFor, withServer } from '../harness/index.js';
import { SteadyLoad } from '../harness/steady-load.js';

const RELOADS = Number(process.env.NWSGI_SOAK_RELOADS ?? 300);
const LAST = Math.round(RELOADS / 3);
const MiB = 1024 * 1024;

const version = (number: number) => `
const weight = new Array(100_000).fill(${number});
export async function application(environ, startResponse) {
  startResponse('200 OK', [['Content-Type', 'text/plain']]);
  return [String(weight[0])];
}
`;

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

it(`${RELOADS} reloads lose no request, and resident memory is flat over the last ${LAST}`, async () => {
  await withServer(
    { threads: 12, logLevel: 'notice', directives: (s) => `WSGIScriptAlias / ${s.writeApp('changing.mjs', version(0))}` },
    async (s) => {
      expect((await s.get('/')).text).toBe('0');
      const pid = s.children()[0] as number;
      const load = new SteadyLoad(s.url('/'), { kept: 3, fresh: 1, pause: 2, check: (body) => (/^\d+$/.test(body) ? undefined : body) });
      const resident: number[] = [];
      const begin = performance.now();
      for (let number = 1; number <= RELOADS; number++) {
        s.writeApp('changing.mjs', version(number));
        await waitFor(`version ${number}`, async () => (await s.get('/')).text === String(number), 15_000, 10);
        // The old environment ends in the meantime.
        await sleep(150);
        resident.push(residentBytes(pid));
      }
      const { requests, repeated, lost, slowest } = await load.stop();
      const last = resident.slice(-LAST);
      const part = Math.ceil(LAST / 5);
      const trend = mean(last.slice(-part)) / mean(last.slice(0, part)) - 1;
      console.log(
        `${RELOADS} reloads in ${((performance.now() - begin) / 1000).toFixed(0)} s, ${requests} requests, ${lost.length} lost, ${repeated} repeated, slowest ${slowest.toFixed(0)} ms; ` +
          `resident MiB every ${LAST / 4} reloads: ${resident.filter((_, i) => i % Math.ceil(LAST / 4) === 0).map((bytes) => (bytes / MiB).toFixed(0)).join(' ')}; trend of the last ${LAST}: ${(trend * 100).toFixed(1)} %`,
      );
      expect(s.children()).toEqual([pid]);
      expect(lost).toEqual([]);
      expect(requests).toBeGreaterThan(RELOADS * 4);
      if (!sanitized) expect(Math.abs(trend)).toBeLessThan(0.05);
    },
  );
});
