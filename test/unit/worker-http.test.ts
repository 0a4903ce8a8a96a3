/** HTTP of a worker without a server in front: what clients get from applications of all kinds. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGateway, root } from './helpers/gateway.js';
import { startWorker } from './helpers/worker.js';
import type { TestWorker } from './helpers/worker.js';

const fixture = (name: string): string => join(root, 'test/fixtures/apps', name);
let gateway = '';
const workers: TestWorker[] = [];
const worker = async (path: string, extra: object = {}): Promise<TestWorker> => {
  const started = await startWorker({ gateway, script: { path: fixture(path) }, ...extra });
  workers.push(started);
  return started;
};

beforeAll(() => {
  gateway = compileGateway('gateway-worker');
}, 60_000);
afterAll(() => Promise.all(workers.map((started) => started.end())));

describe('a worker with HTTP', { timeout: 30_000 }, () => {
  it('serves a WSGI application', async () => {
    const { url } = await worker('hello.mjs');
    const response = await fetch(`${url}/a/b?c=d`);
    expect(response.status).toBe(200);
    console.log(await response.text(), [...response.headers]);
  });
});
