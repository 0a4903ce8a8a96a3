/** Middleware between the gateway and an application (W-125…W-129). */
import { describe, expect, it } from 'vitest';
import { open, useServer, waitFor } from '../../harness/index.js';
import { get, newRun, notesOf } from '../mounts.js';
import { laboratory, type Language } from '../language.js';

export function middleware(language: Language): void {
  describe('middleware', () => {
    const server = useServer(laboratory(language, ['counting-middleware', 'hello']));

    async function arrivals(path: string): Promise<[string, number][]> {
      await server.get('/hello');
      const begin = performance.now();
      const { response } = await open(server.url(path));
      const list: [string, number][] = [];
      for await (const chunk of response) list.push([String(chunk), performance.now() - begin]);
      return list;
    }

    it('W-125 W-126 W-127 each block of the inner application is passed on before the next one is asked for', async () => {
      await server.get('/counting-middleware?kind=closing&run=warm');
      const list = await arrivals('/counting-middleware?kind=upperCase&run=x');
      expect(list.map(([text]) => text).join('')).toBe('ONE TWO THREE');
      expect(list[0]?.[0]).toBe('ONE ');
      expect(list[0]?.[1]).toBeLessThan(200);
      expect(list.at(-1)?.[1]).toBeGreaterThan(350);
    });

    it('W-125 W-66 a middleware may yield empty blocks until it knows the body', async () => {
      const response = await server.get('/counting-middleware?kind=collecting&run=x');
      expect(response.status).toBe(200);
      expect(response.text).toBe('one two three');
    });

    it('W-129 close() of the outer body reaches the inner one', async () => {
      const run = newRun();
      expect((await server.get(`/counting-middleware?kind=closing&run=${run}`)).text).toBe('xxyy');
      await waitFor('close()', async () => (await notesOf(server, run)).length > 0);
      expect(await notesOf(server, run)).toEqual(['outer closed', 'inner closed']);
    });

    it('W-129 a client that leaves ends the inner generator', async () => {
      const run = newRun();
      const client = await server.raw();
      await client.send(get(`/counting-middleware?kind=upperCase&run=${run}`));
      await client.readUntil('ONE');
      client.reset();
      await waitFor('the end of the inner application', async () => (await notesOf(server, run)).includes('inner ended'), 2000);
      expect(await notesOf(server, run)).not.toContain('block three');
    });

    it('a middleware may change the head', async () => {
      const response = await server.get('/counting-middleware?kind=heading&run=x');
      expect(`${response.status} ${response.statusText}`).toBe('201 Changed');
      expect(response.headers['x-middleware']).toBe('yes');
      expect(response.text).toBe('one two three');
    });
  });
}
