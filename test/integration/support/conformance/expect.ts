/** What a client expects before it sends a body, and connections that end or go on (W-109…W-113). */
import { describe, expect, it } from 'vitest';
import { head, type RawResponse, sleep, useServer, waitFor } from '../../harness/index.js';
import { laboratory, type Language } from '../language.js';

const post = (path: string, ...lines: string[]) => head(`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines);

export function expectations(language: Language): void {
  describe('expectations and connections', () => {
    const server = useServer(laboratory(language, ['ignore-body', 'hold-read', 'echo-body', 'read-after-first-block']));

    /** The answer to bytes after which nothing more is sent; the server has to end the connection. */
    async function lastAnswer(bytes: string): Promise<RawResponse> {
      const client = await server.raw();
      await client.send(bytes);
      const response = await client.readResponse();
      await client.waitForEnd();
      expect(client.pending.toString('latin1')).toBe('');
      client.close();
      return response;
    }

    const expecting = (path: string, ...lines: string[]) => post(path, 'Expect: 100-continue', ...lines);

    it('W-109: an application that does not read answers without a "100 Continue"', async () => {
      const client = await server.raw();
      await client.send(expecting('/ignore-body?unread', 'Content-Length: 5'));
      const { interim, response } = await client.readFinalResponse({ milliseconds: 3000 });
      expect(interim).toEqual([]);
      expect(response.text).toBe('ignored POST unread');
      // Nobody can know whether the body or another request would come next.
      expect(response.header('connection')).toBe('close');
      await client.waitForEnd();
    });

    it('W-109: "100 Continue" comes with the first read, not before', async () => {
      const client = await server.raw();
      await client.send(expecting('/hold-read', 'Content-Length: 5'));
      // The request is with the application when releasing finds it.
      await sleep(150);
      expect(client.pending.length).toBe(0);
      await waitFor('the held request', async () => (await server.get('/hold-read?release')).text === '1');
      expect((await client.readUntil('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 100 Continue\r\n/);
      await client.send('abcde');
      const { interim, response } = await client.readFinalResponse();
      expect(interim).toEqual([]);
      expect(response.text).toBe('held abcde');
      await client.send(head('GET /ignore-body?next HTTP/1.1', 'Host: localhost'));
      expect((await client.readResponse()).text).toBe('ignored GET next');
      client.close();
    });

    it('W-109: "100 Continue" comes for a chunked body as well', async () => {
      const client = await server.raw();
      await client.send(expecting('/echo-body', 'Transfer-Encoding: chunked'));
      expect((await client.readUntil('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 100 /);
      await client.send('5\r\nabcde\r\n0\r\n\r\n');
      const { interim, response } = await client.readFinalResponse();
      expect(interim).toEqual([]);
      expect(response.text).toBe('abcde');
      client.close();
    });

    it('W-109: a client that does not wait is served as well, with at most one "100 Continue"', async () => {
      const client = await server.raw();
      await client.send(`${expecting('/echo-body', 'Content-Length: 5')}abcde`);
      const { interim, response } = await client.readFinalResponse();
      expect(interim.length).toBeLessThanOrEqual(1);
      expect(response.text).toBe('abcde');
      // Its body has come: the connection is used again.
      await client.send(head('GET /ignore-body?next HTTP/1.1', 'Host: localhost'));
      expect((await client.readResponse()).text).toBe('ignored GET next');
      client.close();
    });

    it('W-109: the response has the headers and the status of the application after a "100 Continue"', async () => {
      const client = await server.raw();
      await client.send(expecting('/echo-body', 'Content-Length: 5', 'Content-Type: text/x-echo', 'Connection: close'));
      await client.readUntil('100 Continue\r\n\r\n');
      await client.send('abcde');
      const response = await client.readResponse();
      expect([response.status, response.reason, response.header('content-type'), response.text]).toEqual([200, 'OK', 'text/x-echo', 'abcde']);
    });

    it('W-110: HTTP/1.0 with Expect gets no "100 Continue"', async () => {
      const client = await server.raw();
      await client.send(head('POST /echo-body HTTP/1.0', 'Expect: 100-continue', 'Content-Length: 5'));
      await sleep(150);
      expect(client.pending.length).toBe(0);
      await client.send('abcde');
      const { interim, response } = await client.readFinalResponse();
      expect(interim).toEqual([]);
      expect(response.text).toBe('abcde');
    });

    it('W-111: an expectation that is not known is a 417', async () => {
      const client = await server.raw();
      await client.send(head('GET /ignore-body HTTP/1.1', 'Host: localhost', 'Expect: 42', 'Connection: close'));
      expect((await client.readResponse()).status).toBe(417);
    });

    it('W-112: no "100 Continue" comes after the response has begun', async () => {
      const client = await server.raw();
      await client.send(expecting('/read-after-first-block', 'Content-Length: 5', 'Connection: close'));
      const start = (await client.readUntil('first\n')).toString('latin1');
      expect(start).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      await sleep(100);
      await client.send('abcde');
      const rest = (await client.readAll()).toString('latin1');
      expect(start + rest).not.toContain('100 Continue');
      expect(rest).toContain('abcde');
    });

    it('W-113: "Connection: close" is httpd\'s business: the response says it and the connection ends', async () => {
      const response = await lastAnswer(head('GET /ignore-body HTTP/1.1', 'Host: localhost', 'Connection: close'));
      expect(response.header('connection')).toBe('close');
    });

    it('W-113: HTTP/1.0 connections end, unless the client asks to keep them', async () => {
      expect((await lastAnswer(head('GET /ignore-body?old HTTP/1.0'))).text).toBe('ignored GET old');
      const client = await server.raw();
      for (let i = 0; i < 2; i++) {
        await client.send(head('GET /ignore-body?kept HTTP/1.0', 'Connection: keep-alive'));
        const response = await client.readResponse();
        expect(response.header('connection')).toMatch(/keep-alive/i);
        expect(response.text).toBe('ignored GET kept');
      }
      client.close();
    });

    it('W-113: a request to upgrade to an unknown protocol is answered as HTTP/1.1', async () => {
      const client = await server.raw();
      await client.send(head('GET /ignore-body?up HTTP/1.1', 'Host: localhost', 'Connection: Upgrade, close', 'Upgrade: foo/1'));
      const response = await client.readResponse();
      expect([response.status, response.text]).toEqual([200, 'ignored GET up']);
    });
  });
}
