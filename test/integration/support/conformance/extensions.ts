/** Early hints and the request's id (W-130, W-43). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { head, useServer, waitFor } from '../../harness/index.js';
import { get } from '../mounts.js';
import { laboratory, type Language } from '../language.js';

export function extensions(language: Language): void {
  describe('extensions', () => {
    const server = useServer(
      laboratory(language, ['early-hints', 'show-environ', 'hello'], {
        vhosts: [{ directives: ['CustomLog logs/ids.log "%L %U%q"'] }, { tls: true, http2: true, directives: ['H2EarlyHints on'] }],
      }),
    );

    it('W-130 the final answer does not repeat the hints, and the hints have nothing of the answer', async () => {
      const client = await server.raw();
      await client.send(get('/early-hints'));
      const { interim, response } = await client.readFinalResponse();
      expect(response.header('Link')).toBeUndefined();
      expect(response.header('X-Final')).toBe('yes');
      expect(interim[0]?.header('X-Final')).toBeUndefined();
      expect(interim[0]?.header('Content-Type')).toBeUndefined();
      await client.send(get('/hello'));
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    });

    it('W-130 hints can be sent more than once and with several headers', async () => {
      const client = await server.raw();
      await client.send(get('/early-hints?kind=two'));
      const { interim, response } = await client.readFinalResponse();
      expect(interim.map(({ status }) => status)).toEqual([103, 103]);
      expect(interim[0]?.all('link').join(', ')).toBe('</a.css>; rel=preload, </b.js>; rel=preload');
      expect(interim[1]?.all('link')).toEqual(['</c.png>; rel=preload']);
      expect(response.header('Link')).toBeUndefined();
      client.close();
    });

    it('W-130 hints leave a client that waits for "100 Continue" waiting for it', async () => {
      const client = await server.raw();
      await client.send(head('POST /early-hints?kind=body HTTP/1.1', 'Host: localhost', 'Expect: 100-continue', 'Content-Length: 4'));
      expect((await client.readUntil('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 103 /);
      expect((await client.readUntil('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 100 /);
      await client.send('body');
      expect((await client.readResponse()).text).toBe('body');
      client.close();
    });

    it('W-130 hints are not sent to HTTP/1.0', async () => {
      const client = await server.raw();
      await client.send(head('GET /early-hints HTTP/1.0'));
      const { interim, response } = await client.readFinalResponse();
      expect(interim).toEqual([]);
      expect(response.text).toBe('the answer');
      client.close();
    });

    it('W-130 hints after the answer has begun are without effect', async () => {
      const client = await server.raw();
      await client.send(get('/early-hints?kind=late'));
      const { interim, response } = await client.readFinalResponse();
      expect(interim).toEqual([]);
      expect(response.text).toBe('begun ended');
      expect(response.raw.toString('latin1')).not.toContain('late.css');
      client.close();
    });

    it('W-130 hints are checked as headers are', async () => {
      const response = await server.get('/early-hints?kind=bad');
      expect(response.text).toBe('NWSGI2207');
      expect(response.interim).toEqual([]);
    });

    it('W-130 hints reach an HTTP/2 client where H2EarlyHints is on', async () => {
      const client = await server.http2(1);
      const stream = client.stream('/early-hints', {}, true);
      const hints: Record<string, unknown>[] = [];
      stream.on('headers', (headers) => hints.push(headers));
      const final = await new Promise<Record<string, unknown>>((resolve) => stream.on('response', resolve));
      stream.resume();
      await new Promise((resolve) => stream.once('close', resolve));
      client.close();
      expect(final[':status']).toBe(200);
      expect(hints).toHaveLength(1);
      expect(hints[0]).toMatchObject({ ':status': 103, link: '</style.css>; rel=preload; as=style' });
    });

    it('W-130 nwsgi.request_id is the %L of the access log, another one for each request', async () => {
      const ids: string[] = [];
      const client = await server.raw();
      for (let i = 0; i < 3; i++) {
        await client.send(get(`/show-environ?${i}`));
        ids.push((JSON.parse((await client.readResponse()).text) as Record<string, string>)['nwsgi.request_id'] as string);
      }
      client.close();
      expect(new Set(ids).size).toBe(3);
      await waitFor('the access log', () => readFileSync(`${server.root}/logs/ids.log`, 'utf8').includes(`${ids[2]} /show-environ?2`));
      const log = readFileSync(`${server.root}/logs/ids.log`, 'utf8');
      ids.forEach((id, i) => expect(log).toContain(`${id} /show-environ?${i}\n`));
    });

    it('W-43 the names of extensions are lower-case and have a prefix', async () => {
      const environ = (await server.get('/show-environ')).json() as Record<string, unknown>;
      const own = Object.keys(environ).filter((key) => key.includes('.'));
      for (const key of own) expect(key).toMatch(/^(wsgi|nwsgi|mod_wsgi|apache)\.[a-z0-9_.]+$/);
      expect(own).toContain('nwsgi.version');
      expect(own).toContain('wsgi.early_hints');
    });
  });
}
