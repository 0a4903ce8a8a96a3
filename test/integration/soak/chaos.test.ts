// A minute in which one worker is killed each second under 500 requests a second, and 500 rolling reloads under load.
import { expect, it } from 'vitest';
import { sleep, waitFor, withServer } from '../harness/index.js';
import { ChaosLoad, chaosServer, killWorkers } from '../support/chaos.js';
import { expectOnlyVictimsFailed, expectReasons, expectThroughput } from '../support/chaos-checks.js';
import { reloadUnderLoad } from '../support/rolling-reloads.js';

const SECONDS = Number(process.env.NWSGI_SOAK_CHAOS_SECONDS ?? 60);
const RATE = Number(process.env.NWSGI_SOAK_CHAOS_RATE ?? 500);
const RELOADS = Number(process.env.NWSGI_SOAK_ROLLING_RELOADS ?? 500);

it(`${SECONDS} workers killed in ${SECONDS} s under ${RATE} requests/s take only their own requests with them`, async () => {
  await withServer(chaosServer(4), async (s) => {
    await waitFor('the first answer', async () => (await s.get('/?id=-1&delay=0')).status === 200, 15_000);
    await waitFor('all workers', () => s.workers().length === 4);
    const load = new ChaosLoad(s, RATE);
    await sleep(2000);
    const kills = await killWorkers(s, load, SECONDS);
    const outcomes = await load.stop();
    const failed = outcomes.filter(({ problem }) => problem !== '');
    const slowest = Math.max(...outcomes.map(({ begin, end }) => end - begin));
    console.log(`${kills.length} kills, ${outcomes.length} requests, ${failed.length} failed (${failed.filter(({ status }) => status === 502).length} with 502), slowest ${slowest.toFixed(0)} ms`);
    expect(kills.length).toBeGreaterThan(SECONDS * 0.9);
    expectOnlyVictimsFailed(s, outcomes, kills);
    expectReasons(s, outcomes, kills);
    expectThroughput(outcomes, kills, RATE);
    expect(slowest).toBeLessThan(2000);
  });
});

it(`${RELOADS} rolling reloads under load lose nothing`, { timeout: 1_800_000 }, async () => {
  await reloadUnderLoad(RELOADS);
});
