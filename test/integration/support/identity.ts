/** What the fixture identity.mjs tells about the process and the environment that answered. */
import { expect } from 'vitest';
import { daemon, type HttpdServer } from '../harness/index.js';

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
