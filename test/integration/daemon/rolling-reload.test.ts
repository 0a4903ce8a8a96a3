// Rolling reloads under load. 500 of them are in ../soak/chaos.test.ts.
import { it } from 'vitest';
import { reloadUnderLoad } from '../support/rolling-reloads.js';

it('eight reloads, by a changed script and by graceful restarts, lose nothing', { timeout: 120_000 }, async () => {
  await reloadUnderLoad(8);
});
