// What a worker needs beyond what the same node needs to run at all.
import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { expect, it } from 'vitest';
import { residentBytes, sanitized, sleep, withServer } from '../harness/index.js';

const MiB = 1024 * 1024;
const user = process.getuid?.() === 0 ? ' user=www-data group=www-data' : '';

const requests = 200;

/** Resident memory of a `node` whose own server has answered as many requests. */
async function plainNode(node: string): Promise<number> {
  const program = "const server = require('http').createServer((q, r) => r.end('hello')).listen(0, '127.0.0.1', () => console.log(server.address().port))";
  const child = spawn(node, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const port = Number(await new Promise((resolve) => child.stdout.once('data', resolve)));
    for (let i = 0; i < requests; i++) expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('hello');
    await sleep(1000);
    return residentBytes(child.pid as number);
  } finally {
    child.kill('SIGKILL');
  }
}

it.skipIf(sanitized)('a worker needs less than 7 MiB beyond a node that has answered as many requests', async () => {
  await withServer(
    { apps: ['hello.mjs'], directives: (s) => [`WSGIDaemonProcess small${user}`, `WSGIScriptAlias / ${s.app('hello.mjs')} process-group=small`] },
    async (s) => {
      for (let i = 0; i < requests; i++) expect((await s.get('/')).status).toBe(200);
      await sleep(1000);
      const [worker = 0] = s.workers();
      const used = residentBytes(worker);
      const plain = await plainNode(readlinkSync(`/proc/${worker}/exe`));
      console.log(`worker ${(used / MiB).toFixed(1)} MiB, plain node ${(plain / MiB).toFixed(1)} MiB`);
      expect(used - plain).toBeLessThan(7 * MiB);
    },
  );
});
