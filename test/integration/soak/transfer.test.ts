// 1 GiB up and 1 GiB down each raise the child's resident memory by less than 32 MiB, from the first request on.
import { describe, expect, it } from 'vitest';
import { sanitized, withServer, type HttpdServer } from '../harness/index.js';
import { download, growth, upload } from '../harness/transfer.js';

const MiB = 1024 * 1024;
const SIZE = Number(process.env.NWSGI_SOAK_MIB ?? 1024) * MiB;

describe('a transfer of 1 GiB', () => {
  it.each([
    ['to the client', (s: HttpdServer, bytes: number) => download(s, '/send', bytes)],
    ['from the client', (s: HttpdServer, bytes: number) => upload(s, '/measure', bytes)],
    ['to a client that pauses', (s: HttpdServer, bytes: number) => download(s, '/send', Math.round(bytes / 8), 1)],
  ])('%s raises the resident memory by less than 32 MiB', async (direction, transfer) => {
    await withServer(
      {
        apps: ['measures-body.ts', 'sends-many-bytes.mjs'],
        logLevel: 'notice',
        directives: (s) => [`WSGIScriptAlias /send ${s.app('sends-many-bytes.mjs')}`, `WSGIScriptAlias /measure ${s.app('measures-body.ts')}`],
      },
      async (s) => {
        // Only the application is loaded before; the transfer itself is the first one.
        await transfer(s, 4096);
        const begin = performance.now();
        const grown = await growth(s, () => transfer(s, SIZE));
        console.log(`${SIZE / MiB} MiB ${direction} in ${((performance.now() - begin) / 1000).toFixed(1)} s: resident memory grew by ${(grown / MiB).toFixed(1)} MiB`);
        if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
      },
    );
  });
});
