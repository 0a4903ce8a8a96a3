// 1 GiB up and 1 GiB down each raise the child's resident memory by less than 32 MiB.
import { describe, expect, it } from 'vitest';
import { sanitized, useServer } from '../harness/index.js';
import { download, growth, upload } from '../harness/transfer.js';

const MiB = 1024 * 1024;
const SIZE = Number(process.env.NWSGI_SOAK_MIB ?? 1024) * MiB;

describe('a transfer of 1 GiB', () => {
  const server = useServer({
    apps: ['measures-body.ts', 'sends-many-bytes.mjs'],
    directives: (s) => [`WSGIScriptAlias /send ${s.app('sends-many-bytes.mjs')}`, `WSGIScriptAlias /measure ${s.app('measures-body.ts')}`],
  });

  it.each([
    ['to the client', (bytes: number) => download(server, '/send', bytes)],
    ['from the client', (bytes: number) => upload(server, '/measure', bytes)],
    ['to a client that pauses', (bytes: number) => download(server, '/send', Math.round(bytes / 8), 1)],
  ])('%s raises the resident memory by less than 32 MiB', async (direction, transfer) => {
    await transfer(16 * MiB);
    const begin = performance.now();
    const grown = await growth(server, () => transfer(SIZE));
    console.log(`${SIZE / MiB} MiB ${direction} in ${((performance.now() - begin) / 1000).toFixed(1)} s: resident memory grew by ${(grown / MiB).toFixed(1)} MiB`);
    if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
  });
});
