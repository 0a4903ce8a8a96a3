// Large responses and request bodies of Python, and many small blocks: whole, in order, and with little memory (W-86, W-87).
import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { sanitized, useServer } from '../harness/index.js';
import { download, growth, upload } from '../harness/transfer.js';

const MiB = 1024 * 1024;
const callables = ['send', 'send_whole', 'measure', 'mixed', 'many_small', 'copy'];

const server = useServer({
  threads: 16,
  daemonOptions: 'threads=16',
  vhosts: [{}, { tls: true, http2: true }],
  apps: ['stream_lab.py', 'wsgi_notes.py'],
  directives: (s) => callables.map((name) => `WSGIScriptAlias /${name} ${s.app('stream_lab.py')} callable-object=${name}`),
});

it('sends 128 MiB with less than 16 MiB of memory', async () => {
  await download(server, '/send', 16 * MiB);
  const grown = await growth(server, () => download(server, '/send', 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(16 * MiB);
});

it('sends a block of 32 MiB with little more than it takes itself', async () => {
  const grown = await growth(server, () => download(server, '/send_whole', 32 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(80 * MiB);
});

it('receives 128 MiB with less than 16 MiB of memory', async () => {
  await upload(server, '/measure', 16 * MiB);
  const grown = await growth(server, () => upload(server, '/measure', 128 * MiB));
  if (!sanitized) expect(grown).toBeLessThan(16 * MiB);
});

it('serves many transfers at once, of fast and slow clients, each whole and in order', async () => {
  await Promise.all([
    ...Array.from({ length: 6 }, () => download(server, '/send', 6 * MiB)),
    download(server, '/send_whole', 6 * MiB),
    download(server, '/send', 2 * MiB, 5),
    download(server, '/send', MiB + 3, 20),
    upload(server, '/measure', 8 * MiB),
    upload(server, '/measure', 3 * MiB + 1),
  ]);
});

it('W-86 W-87 what is written and what is yielded arrives unaltered and in order, whatever its size', async () => {
  const sizes = '1,0,70000,3,300000,1000000,0,5,65536,262144,262145,1,131072';
  for (let i = 0; i < 2; i++) {
    const { body, complete } = await server.get(`/mixed?sizes=${sizes}`);
    const data = body.subarray(0, -32);
    expect(complete).toBe(true);
    expect(data.length).toBe(sizes.split(',').reduce((sum, size) => sum + Number(size), 0));
    expect(createHash('sha256').update(data).digest().equals(body.subarray(-32))).toBe(true);
  }
});

it('W-86 100,000 blocks of one byte arrive', async () => {
  const response = await server.get('/many_small?count=100000');
  expect([response.complete, response.body.length]).toEqual([true, 100_000]);
});

it('a body of 8 MiB comes back while it is sent', async () => {
  const body = randomBytes(8 * MiB);
  const response = await server.post('/copy', body);
  expect([response.status, response.complete, response.body.equals(body)]).toEqual([200, true, true]);
});

it('W-47 W-86 bodies over TLS, and of several HTTP/2 streams at once, arrive unaltered in both directions', async () => {
  const digest = (body: Buffer) => ({ length: body.length, sha256: createHash('sha256').update(body).digest('hex') });
  const bodies = [0, 1, 70_000, MiB].map((size) => randomBytes(size));
  const client = await server.http2(1);
  const measured = await Promise.all(bodies.map((body) => client.request('/measure', { method: 'POST', body })));
  const copied = await Promise.all(bodies.map((body) => client.request('/copy', { method: 'POST', body })));
  client.close();
  expect(measured.map((response) => JSON.parse(response.text) as unknown)).toEqual(bodies.map(digest));
  expect(copied.map((response) => digest(response.body))).toEqual(bodies.map(digest));
  const response = await server.request('/copy', { method: 'POST', body: bodies[3] as Buffer, host: 1 });
  expect(digest(response.body)).toEqual(digest(bodies[3] as Buffer));
});
