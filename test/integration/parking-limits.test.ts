// How many connections httpd lets a child have while their requests are parked, and what the module says about it.
import { describe, expect, it } from 'vitest';
import { head, sleep, waitFor, withServer, type HttpdServer } from './harness/index.js';
import { parkingServer } from './support/parking.js';

const threads = 4;
const limited = (...directives: string[]) => parkingServer({ threads, factor: null, directives });

/** The numbers of NWSGI1008: what a child takes, and the factor to write for 10,000. */
async function announced(server: HttpdServer): Promise<{ most: number; wanted: number; factor: number }> {
  const [, most, wanted, factor] = await server.expectLog(/NWSGI1008 .* at most (\d+) connections .* for (\d+) of them add "AsyncRequestWorkerFactor (\d+)"/);
  return { most: Number(most), wanted: Number(wanted), factor: Number(factor) };
}

/** How many of these many requests, each of which takes two seconds, are answered within the first three. */
async function answeredTogether(server: HttpdServer, count: number): Promise<number> {
  await server.get('/park');
  const clients = await Promise.all(Array.from({ length: count }, () => server.raw()));
  for (const client of clients) void client.send(head('GET /park?wait=2000 HTTP/1.1', 'Host: localhost', 'Connection: close'));
  await sleep(3000);
  const answered = clients.filter((client) => client.pending.includes('200 As told')).length;
  for (const client of clients) client.close();
  return answered;
}

/** The smallest factor with which a child has so many connections, as docs/directives.md has it. */
const factorFor = (clients: number) => Math.ceil((clients - threads) / (threads - 1));

describe.concurrent('connections of a child', () => {
  it('are as few as the message at the start says', async () => {
    await withServer(limited('AsyncRequestWorkerFactor 2'), async (server) => {
      const { most, wanted, factor } = await announced(server);
      expect({ most, wanted, factor }).toEqual({ most: threads + 2 * threads, wanted: 10_000, factor: factorFor(10_000) });
      const answered = await answeredTogether(server, 30);
      expect(answered).toBeGreaterThanOrEqual(threads + 2 * (threads - 1));
      expect(answered).toBeLessThanOrEqual(most);
    });
  });

  it('are as many as wanted with the factor that follows from it', async () => {
    await withServer(limited('<IfModule mpm_event_module>', `AsyncRequestWorkerFactor ${factorFor(120)}`, '</IfModule>'), async (server) => {
      expect((await announced(server)).most).toBe(threads + threads * factorFor(120));
      expect(await answeredTogether(server, 120)).toBe(120);
    });
  });

  it('are not spoken of where the line that is asked for is there', async () => {
    await withServer(limited(`AsyncRequestWorkerFactor ${factorFor(10_000)}`), async (server) => {
      await waitFor('the server has started', () => server.log().includes('AH00489'));
      expect(server.log()).not.toContain('NWSGI1008');
    });
  });
});
