// Longer than any time that parked requests were ever given: they have what requests in place have at a graceful restart.
import { expect, it } from 'vitest';
import { head, sleep, waitFor, withServer } from '../harness/index.js';
import { forms, parkingServer } from '../support/parking.js';

it('a request that was parked at a graceful restart is answered, however long it takes', async () => {
  await withServer(parkingServer({}), async (server) => {
    await server.get('/wait');
    const old = server.children();
    const clients = await Promise.all(
      forms.map(async (form) => {
        const client = await server.raw();
        await client.send(head(`GET /${form}?wait=25000 HTTP/1.1`, 'Host: localhost'));
        return client;
      }),
    );
    await sleep(500);
    await server.graceful();
    for (const client of clients) {
      expect((await client.readResponse({ milliseconds: 40_000 })).status).toBe(200);
      client.close();
    }
    await waitFor('the old child leaves', () => old.every((pid) => !server.children().includes(pid)));
  });
});
