// Large responses and request bodies: whole, in order, and with little memory.
import { expect, it } from 'vitest';
import { sanitized, useServer } from './harness/index.js';
import { download, growth, upload } from './harness/transfer.js';

const MiB = 1024 * 1024;

const server = useServer({
  threads: 16,
  apps: ['measures-body.ts', 'sends-many-bytes.mjs'],
  directives: (s) => [`WSGIScriptAlias /send ${s.app('sends-many-bytes.mjs')}`, `WSGIScriptAlias /measure ${s.app('measures-body.ts')}`],
});

it('sends 128 MiB with less than 32 MiB of memory', async () => {
  await download(server, '/send', 16 * MiB);
  const grown = await growth(server, () => download(server, '/send', 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
});

it('receives 128 MiB with less than 32 MiB of memory', async () => {
  await upload(server, '/measure', 16 * MiB);
  const grown = await growth(server, () => upload(server, '/measure', 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
});

it('serves many transfers at once, of fast and slow clients, each whole and in order', async () => {
  await Promise.all([
    ...Array.from({ length: 6 }, () => download(server, '/send', 6 * MiB)),
    download(server, '/send', 2 * MiB, 5),
    download(server, '/send', MiB + 3, 20),
    upload(server, '/measure', 8 * MiB),
    upload(server, '/measure', 3 * MiB + 1),
  ]);
});
