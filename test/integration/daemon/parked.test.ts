/** What parked requests of a process group cost, and those that cannot park. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { head, sleep, useServer } from '../harness/index.js';

const APP = 'node/does-as-told.mjs';
const STREAM = 'produces-for-ever.mjs';
const identity = childIdentity();
const user = identity ? `user=${identity.user} group=${identity.user}` : '';

const server = useServer({
  threads: 4,
  apps: [APP, STREAM],
  vhosts: [{}, { http2: true }],
  directives: (s) => [
    'AsyncRequestWorkerFactor 200',
    'SendBufferSize 16384',
    'H2MaxWorkers 32',
    `WSGIDaemonProcess shop ${user} processes=1 threads=1 queue-timeout=4`,
    `WSGIDaemonProcess streams ${user} processes=1`,
    `WSGIScriptAlias /shop "${s.app(APP)}" process-group=shop application-group=shop`,
    `WSGIScriptAlias /stream "${s.app(STREAM)}" process-group=streams application-group=streams`,
  ],
});

/** Processor time of a process, in seconds. */
const cpu = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

it('clients that do not read what a worker has sent cost the server no processor time', async () => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => server.raw()));
  for (const client of clients) {
    await client.send(head('GET /stream HTTP/1.1', 'Host: localhost'));
    client.pause();
  }
  await sleep(1500);
  const [child] = server.children();
  const before = cpu(child as number);
  await sleep(2000);
  expect(cpu(child as number) - before).toBeLessThan(0.3);
  for (const client of clients) client.reset();
});

it('streams of HTTP/2 wait for a worker in place, as long as others do', { timeout: 30_000 }, async () => {
  await server.get('/shop/');
  const client = await server.http2(1);
  const first = client.request('/shop/sleep/1500');
  await sleep(150);
  const queued = Array.from({ length: 8 }, () => client.request('/shop/sleep/20'));
  expect((await Promise.all([first, ...queued])).map(({ status }) => status)).toEqual(Array<number>(9).fill(200));
  const long = client.request('/shop/sleep/6000');
  await sleep(150);
  const began = performance.now();
  expect((await client.request('/shop/late')).status).toBe(504);
  expect(performance.now() - began).toBeLessThan(5000);
  expect((await long).status).toBe(200);
  client.close();
});
