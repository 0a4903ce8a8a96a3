/** What the fixture identity.mjs tells about the process and the environment that answered. */
import { expect } from 'vitest';
import { daemon, waitFor, type HttpdServer } from '../harness/index.js';

export interface Identity {
  pid: number;
  instance: string;
}

export async function identity(server: HttpdServer): Promise<Identity> {
  const response = await server.get('/identity');
  expect(response.status).toBe(200);
  return response.json() as Identity;
}

/** A fresh environment serves: in the same child of httpd, in daemon mode in a new worker. */
export function expectFresh(after: Identity, before: Identity): void {
  expect(after.instance).not.toBe(before.instance);
  expect(after.pid === before.pid).toBe(!daemon);
}

/**
 * The answer of the environment after one whose loop was blocked. Embedded, the very next request gets it; a worker whose
 * JavaScript was interrupted goes on until its successor is ready.
 */
export async function answerAfterBlock<T extends Identity>(ask: () => Promise<T>, before: Identity): Promise<T> {
  const first = await ask();
  if (!daemon) return first;
  let last = first;
  await waitFor('a fresh worker', async () => last.instance !== before.instance || ((last = await ask()), false));
  return last;
}
