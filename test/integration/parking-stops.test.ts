// Parked requests when the server restarts or stops: as those that wait in place.
import { describe, expect, it } from 'vitest';
import { daemon, head, sleep, waitFor, withServer, type HttpdServer, type RawClient, type RawResponse } from './harness/index.js';
import { forms, parkingServer, type Form } from './support/parking.js';

const get = (path: string) => head(`GET ${path} HTTP/1.1`, 'Host: localhost');

async function asked(server: HttpdServer, path: string): Promise<RawClient> {
  const client = await server.raw();
  await client.send(get(path));
  return client;
}

/** What became of requests that nobody has time for: the answer, or the end of the connection. */
async function answer(client: RawClient): Promise<RawResponse | undefined> {
  try {
    return await client.readResponse();
  } catch (error) {
    if (client.ended) return undefined;
    throw error;
  } finally {
    client.close();
  }
}

const every = <T>(body: (form: Form) => Promise<T>): Promise<T[]> => Promise.all(forms.map(body));

describe.concurrent('parked requests', () => {
  it('outlive a graceful restart until they are answered; connections that are only kept alive do not', async () => {
    await withServer(parkingServer({ directives: ['KeepAliveTimeout 20'] }), async (server) => {
      const kept = await asked(server, '/park?wait=50');
      await kept.readResponse();
      const old = server.children();
      const waiting = await every((form) => asked(server, `/${form}?wait=2500`));
      const streams = await Promise.all(['park', 'auto'].map((form) => asked(server, `/${form}?blocks=25&gap=100`)));
      await sleep(300);
      await server.graceful();
      await kept.waitForEnd(2000);
      for (const form of forms) expect((await server.get(`/${form}?wait=20`)).status).toBe(200);
      const answers = await Promise.all(waiting.map(answer));
      expect(answers.map((one) => [one?.status, one?.text, one?.header('connection')])).toEqual(forms.map(() => [200, 'xx', 'close']));
      expect((await Promise.all(streams.map(answer))).map((one) => [one?.complete, one?.text.length])).toEqual([[true, 50], [true, 50]]);
      await waitFor('the old child leaves', () => old.every((pid) => !server.children().includes(pid)));
    });
  });

  it('outlive a graceful stop until they are answered', async () => {
    await withServer(parkingServer({}), async (server) => {
      await server.get('/wait');
      const waiting = await every((form) => asked(server, `/${form}?wait=2000`));
      await sleep(300);
      const stopped = server.gracefulStop();
      expect((await Promise.all(waiting.map(answer))).map((one) => one?.status)).toEqual(forms.map(() => 200));
      await stopped;
    });
  });

  it('have GracefulShutdownTimeout, then get 503 or are cut off', async () => {
    await withServer(parkingServer({ directives: ['GracefulShutdownTimeout 2'] }), async (server) => {
      await server.get('/wait');
      const waiting = await every((form) => asked(server, `/${form}?wait=25000`));
      const stream = await asked(server, '/park?blocks=300&gap=100');
      await sleep(300);
      const begin = performance.now();
      const stopped = server.gracefulStop();
      const answers = await Promise.all(waiting.map(answer));
      expect(performance.now() - begin).toBeGreaterThan(1500);
      expect(performance.now() - begin).toBeLessThan(6000);
      expect(answers.slice(1).map((one) => one?.status)).toEqual([503, 503]);
      expect((await answer(stream))?.complete).toBe(false);
      await stopped;
    });
  });

  // A process group that has not changed outlives the restart.
  it.skipIf(daemon)('have it in a graceful restart, too', async () => {
    await withServer(parkingServer({ directives: ['GracefulShutdownTimeout 2'] }), async (server) => {
      await server.get('/wait');
      const old = server.children();
      const waiting = await Promise.all(['park', 'auto'].map((form) => asked(server, `/${form}?wait=25000`)));
      await sleep(300);
      await server.graceful();
      const begin = performance.now();
      expect((await Promise.all(waiting.map(answer))).map((one) => one?.status)).toEqual([503, 503]);
      expect(performance.now() - begin).toBeLessThan(4000);
      await waitFor('the old child leaves', () => old.every((pid) => !server.children().includes(pid)));
    });
  });

  it('end at once with a stop that is not graceful', async () => {
    await withServer(parkingServer({}), async (server) => {
      await server.get('/wait');
      const waiting = await Promise.all(['park', 'auto'].map((form) => asked(server, `/${form}?wait=25000`)));
      await sleep(300);
      const begin = performance.now();
      const ended = Promise.all(waiting.map(answer));
      await server.restart();
      for (const one of await ended) expect([undefined, 503]).toContain(one?.status);
      expect(performance.now() - begin).toBeLessThan(5000);
    });
  });
});
