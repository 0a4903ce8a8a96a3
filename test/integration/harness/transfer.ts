/** Large transfers whose every byte is checked, and what they cost the server in memory. */
import { createHash } from 'node:crypto';
import { open } from './client.js';
import { residentBytes } from './processes.js';
import type { HttpdServer } from './server.js';
import { sleep } from './wait.js';

const BLOCK = 65536;

/** Largest resident size of the server's one child, and in daemon mode of its workers, while `body` runs, beyond what it was before. */
export async function growth(server: HttpdServer, body: () => Promise<void>): Promise<number> {
  const processes = () => [...server.children(), ...server.workers()];
  if (server.children().length !== 1) throw new Error(`the server has ${server.children().length} children, not one`);
  const pids = processes();
  const resident = () => pids.reduce((sum, pid) => sum + residentBytes(pid), 0);
  const before = resident();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, resident())), 20);
  try {
    await body();
  } finally {
    clearInterval(timer);
  }
  most = Math.max(most, resident());
  if (processes().join() !== pids.join()) throw new Error('a process was replaced');
  return most - before;
}

/** Gets `path`, an application like sends-many-bytes.mjs, which numbers its blocks. `pause` makes a slow client. */
export async function download(server: HttpdServer, path: string, bytes: number, pause = 0): Promise<void> {
  const { response } = await open(server.url(`${path}?${bytes}`), { timeout: 60_000 });
  let received = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (let number = Math.ceil(received / BLOCK); number * BLOCK + 4 <= received + chunk.length; number++) {
      const seen = chunk.readUInt32BE(number * BLOCK - received);
      if (seen !== number) throw new Error(`block ${number} says that it is ${seen}`);
    }
    received += chunk.length;
    if (pause) await sleep(pause);
  }
  if (!response.complete || received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`);
}

/** Posts to `path`, an application like measures-body.ts, which answers with length and digest. */
export async function upload(server: HttpdServer, path: string, bytes: number): Promise<void> {
  const hash = createHash('sha256');
  const body = (async function* () {
    for (let sent = 0, number = 0; sent < bytes; number++) {
      const block = Buffer.alloc(Math.min(BLOCK, bytes - sent), number & 255);
      hash.update(block);
      sent += block.length;
      yield block;
    }
  })();
  const response = await server.request(path, { method: 'POST', body, timeout: 120_000 });
  const expected = JSON.stringify({ length: bytes, sha256: hash.digest('hex') });
  if (response.text !== expected) throw new Error(`status ${response.status}: ${response.text}, not ${expected}`);
}
