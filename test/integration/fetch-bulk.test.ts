// Large bodies through fetch handlers: whole, in order, and with little memory.
import { expect, it } from 'vitest';
import { sanitized, useServer, type HttpdServer } from './harness/index.js';
import { download, growth, upload } from './harness/transfer.js';
import { appsServer } from './support/mounts.js';

const MiB = 1024 * 1024;

const server = useServer(appsServer(['fetch-requests.mjs', 'fetch-responses.mjs'], { threads: 16 }));
/** download() asks for `path?bytes`. */
const numbered = { url: (path: string) => server.url(path.replace('?', '?bytes=')) } as HttpdServer;
const blocks = '/fetch-responses/blocks';

it('sends 128 MiB with less than 32 MiB of memory', async () => {
  await download(numbered, blocks, 16 * MiB);
  const grown = await growth(server, () => download(numbered, blocks, 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
});

it('receives 128 MiB with less than 32 MiB of memory', async () => {
  await upload(server, '/fetch-requests/digest', 16 * MiB);
  const grown = await growth(server, () => upload(server, '/fetch-requests/digest', 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(32 * MiB);
});

it('serves many transfers at once, of fast and slow clients, each whole and in order', async () => {
  await Promise.all([
    ...Array.from({ length: 4 }, () => download(numbered, blocks, 6 * MiB)),
    download(numbered, blocks, MiB + 3, 20),
    download(numbered, '/fetch-responses/whole', 16 * MiB),
    upload(server, '/fetch-requests/digest', 8 * MiB),
    upload(server, '/fetch-requests/whole', 3 * MiB + 1),
  ]);
});
