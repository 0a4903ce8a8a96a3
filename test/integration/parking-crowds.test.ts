// Hundreds of clients that wait, each for something else, and four threads: everybody else is answered at once.
import { describe, expect, it } from 'vitest';
import { head, sanitized, sleep, useServer, waitFor, type RawClient } from './harness/index.js';
import { parkingServer } from './support/parking.js';
import { addWs, WebSocketClient } from './support/websocket.js';

const crowd = 200;
const app = 'node/websocket.cjs';

const server = useServer(
  parkingServer({
    threads: 4,
    modules: ['status', 'reqtimeout'],
    apps: [app],
    logLevel: 'warn nwsgi:notice',
    directives: (s) => [
      'SendBufferSize 16384',
      'KeepAliveTimeout 10',
      'RequestReadTimeout header=0 body=0',
      `WSGIScriptAlias /ws ${s.app(app)}`,
      '<Location "/server-status">',
      'SetHandler server-status',
      '</Location>',
    ],
  }),
  addWs,
);

const get = (path: string) => head(`GET ${path} HTTP/1.1`, 'Host: localhost');

/** A crowd of clients that have sent something. */
function clients(prepare: (client: RawClient) => Promise<void>): Promise<RawClient[]> {
  return Promise.all(
    Array.from({ length: crowd }, async () => {
      const client = await server.raw();
      await prepare(client);
      return client;
    }),
  );
}

/** Requests of others are answered soon, and no thread of the MPM is held. */
async function expectOthersAtOnce(): Promise<void> {
  for (const path of ['/park?wait=20', '/auto?size=1', '/wait?wait=20', '/server-status?auto']) {
    const begin = performance.now();
    const answer = await server.get(path);
    expect(answer.status, path).toBe(200);
    expect(performance.now() - begin, path).toBeLessThan(sanitized ? 5000 : 1000);
    if (path.startsWith('/server')) expect(answer.text).toMatch(/^BusyWorkers: [12]$/m);
  }
}

const parked = async () => Number(/^RequestsParked: (\d+)$/m.exec((await server.get('/server-status?auto')).text)?.[1]);
const nobodyIsLeft = () => waitFor('nobody is left', async () => (await parked()) === 0, 10_000);

describe(`${crowd} clients`, () => {
  it('that read nothing', async () => {
    const all = await clients(async (client) => {
      client.pause();
      await client.send(get('/park?blocks=40&size=65536&length=1'));
    });
    await sleep(500);
    await expectOthersAtOnce();
    for (const client of all) client.reset();
    await nobodyIsLeft();
  });

  it('that send their bodies slowly', async () => {
    const all = await clients((client) => client.send(head('POST /park?read=1&blocks=0 HTTP/1.1', 'Host: localhost', 'Content-Length: 10') + '01234'));
    await waitFor('all are parked', async () => (await parked()) >= crowd);
    await expectOthersAtOnce();
    for (const client of all) void client.send('5678');
    await sleep(100);
    for (const client of all) void client.send('9');
    for (const client of all) {
      expect((await client.readResponse()).text).toBe('0123456789');
      client.close();
    }
    await nobodyIsLeft();
  });

  it('that are kept alive', async () => {
    const all = await clients(async (client) => {
      await client.send(get('/park?wait=20'));
      await client.readResponse();
    });
    await expectOthersAtOnce();
    for (const client of all) void client.send(get('/park?wait=300'));
    const begin = performance.now();
    for (const client of all) {
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    }
    expect(performance.now() - begin).toBeLessThan(3000);
  });

  it('that listen to a stream of events', async () => {
    const all = await clients((client) => client.send(get('/auto?blocks=12&gap=150&size=5&type=text/event-stream')));
    for (const client of all) await client.readUntil('xxxxx');
    await expectOthersAtOnce();
    for (const client of all) {
      await client.readUntil('0\r\n\r\n');
      client.close();
    }
    await nobodyIsLeft();
  });

  it('that have WebSockets', async () => {
    const url = server.url('/ws/echo').replace(/^http/, 'ws');
    const all = await Promise.all(Array.from({ length: crowd }, () => WebSocketClient.open(url)));
    await expectOthersAtOnce();
    const answers = await Promise.all(all.map((client, i) => client.ask(`message ${i}`)));
    expect(answers).toEqual(all.map((_, i) => `message ${i}`));
    await Promise.all(all.map((client) => client.close()));
    await nobodyIsLeft();
  });

  it('that left', async () => {
    const all = await clients((client) => client.send(get('/park?wait=20000')));
    await waitFor('all are parked', async () => (await parked()) >= crowd);
    all.forEach((client, i) => (i % 2 === 0 ? client.reset() : client.close()));
    await nobodyIsLeft();
    await expectOthersAtOnce();
  });
});
