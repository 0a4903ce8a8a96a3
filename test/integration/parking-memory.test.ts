// Where many requests are parked, blocks of memory go from connections that wait to those that are served (spare_memory.h):
// requests that were read in part, that wait for their bodies or came in a row are answered as ever.
import { describe, expect, it } from 'vitest';
import { head, useServer, type RawClient } from './harness/index.js';

/** More than the number from which on memory is passed on. */
const waiting = 400;

const server = useServer({
  apps: ['faults/answers-slowly.mjs', 'faults/answer.mjs', 'echo-body.mjs'],
  modules: ['status'],
  directives: (s) => [
    'AsyncRequestWorkerFactor 200',
    'WSGIApplicationGroup parked',
    'WSGIParkAfter 0',
    `WSGIScriptAlias /slow ${s.app('faults/answers-slowly.mjs')}`,
    `WSGIScriptAlias /echo ${s.app('echo-body.mjs')}`,
    '<Location "/server-status">',
    'SetHandler server-status',
    '</Location>',
  ],
});

const get = (path: string) => head(`GET ${path} HTTP/1.1`, 'Host: localhost');

async function answered(client: RawClient, count: number): Promise<number[]> {
  const statuses = [];
  for (let i = 0; i < count; i += 1) statuses.push((await client.readResponse()).status);
  return statuses;
}

describe('many parked requests', () => {
  it('are answered, wave after wave on the same connections, beside bodies that come in pieces', { timeout: 60_000 }, async () => {
    await server.get('/slow?1');
    const clients = await Promise.all(Array.from({ length: waiting }, () => server.raw()));
    for (let wave = 0; wave < 3; wave += 1) {
      await Promise.all(clients.map((client) => client.send(get('/slow?1500'))));
      const uploads = await Promise.all(Array.from({ length: 20 }, () => server.raw()));
      for (const [index, client] of uploads.entries()) {
        await client.send(head('POST /echo HTTP/1.1', 'Host: localhost', `Content-Length: ${30_000 + index}`) + 'a'.repeat(10_000));
      }
      // One after the other in one piece, of another handler too.
      const rows = await Promise.all(Array.from({ length: 20 }, () => server.raw()));
      await Promise.all(rows.map((client) => client.send(get('/slow?300') + get('/server-status?auto') + get('/slow?1') + get('/slow?10'))));
      for (const client of uploads) await client.send('b'.repeat(20_000));
      for (const [index, client] of uploads.entries()) {
        await client.send('c'.repeat(index));
        const answer = await client.readResponse();
        expect(answer.status).toBe(200);
        expect(answer.text).toContain('a'.repeat(10_000) + 'b'.repeat(20_000) + 'c'.repeat(index));
        client.close();
      }
      for (const client of rows) {
        expect(await answered(client, 4)).toEqual([200, 200, 200, 200]);
        client.close();
      }
      expect((await Promise.all(clients.map((client) => answered(client, 1)))).flat()).toEqual(Array<number>(waiting).fill(200));
    }
    for (const client of clients) client.close();
  });
});
