// Workers that are killed under load: only what was in progress in them fails. A minute of it is in ../soak/chaos.test.ts.
import { expect, it } from 'vitest';
import { sleep, waitFor, withServer } from '../harness/index.js';
import { ChaosLoad, chaosServer, killWorkers } from '../support/chaos.js';
import { expectOnlyVictimsFailed, expectReasons } from '../support/chaos-checks.js';

it('a worker that is killed takes only its own requests with it; each is answered with 502 and has its reason in the log', { timeout: 60_000 }, async () => {
  await withServer(chaosServer(2, { crashAllowed: true }), async (s) => {
    await waitFor('the first answer', async () => (await s.get('/?id=-1&delay=0')).status === 200, 15_000);
    const load = new ChaosLoad(s, 150);
    await sleep(500);
    const kills = await killWorkers(s, load, 5);
    const outcomes = await load.stop();
    expect(kills.length).toBeGreaterThanOrEqual(3);
    expect(outcomes.length).toBeGreaterThan(500);
    expectOnlyVictimsFailed(s, outcomes, kills);
    expectReasons(s, outcomes, kills);
    expect(outcomes.filter(({ problem }) => problem !== '').length).toBeLessThan(kills.length * 20);
  });
});
