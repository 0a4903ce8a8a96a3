// WSGIChunkedRequest with Python: bodies without a length. Off refuses them, On streams them, Buffered gives them a CONTENT_LENGTH.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { head, RawClient, useServer, waitFor } from '../harness/index.js';

const server = useServer({
  apps: ['chunked_lab.py'],
  directives: (s) => [
    `WSGIScriptAlias /off ${s.app('chunked_lab.py')}`,
    `WSGIScriptAlias /on ${s.app('chunked_lab.py')}`,
    `WSGIScriptAlias /buffered ${s.app('chunked_lab.py')}`,
    `WSGIScriptAlias /limited ${s.app('chunked_lab.py')}`,
    '<Location /off>\nWSGIChunkedRequest Off\n</Location>',
    '<Location /buffered>\nWSGIChunkedRequest Buffered\n</Location>',
    '<Location /limited>\nWSGIChunkedRequest Buffered\nLimitRequestBody 1000\n</Location>',
  ],
});

interface Report {
  length: string | null;
  chunked: string | null;
  flag: string | null;
  read: number;
  digest: string;
  rest: number;
}

async function* pieces(body: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}

const bytes = (length: number) => Buffer.alloc(length, 'The quick brown fox. ');
const digest = (body: Buffer) => createHash('sha256').update(body).digest('hex');
const post = async (path: string, body: Buffer, size = 8192) => {
  const response = await server.post(path, pieces(body, size));
  return { status: response.status, report: response.status === 200 ? (response.json() as Report) : undefined };
};

describe('WSGIChunkedRequest', () => {
  it('W-57: Off answers 411 to a chunked body', async () => {
    expect((await post('/off', bytes(10))).status).toBe(411);
    await server.expectLog(/NWSGI1205/);
    expect((await server.post('/off', 'abc')).json()).toMatchObject({ length: '3', read: 3, rest: 0 });
  });

  it('W-50: On, the default, streams it without CONTENT_LENGTH; wsgi.input ends where the body ends', async () => {
    const { report } = await post('/on', bytes(30_000));
    expect(report).toMatchObject({ length: null, read: 0, rest: 30_000, flag: '1' });
  });

  it.each([
    ['nothing', 0, 1],
    ['a little', 11, 3],
    ['what fits into memory', 64 * 1024, 5000],
    ['a byte more', 64 * 1024 + 1, 64 * 1024],
    ['much', 3_000_000, 100_000],
  ])('Buffered measures %s', async (_, length, size) => {
    const body = bytes(length);
    const { report } = await post('/buffered', body, size);
    expect(report).toEqual({ length: String(length), chunked: null, flag: '0', read: length, digest: digest(body), rest: 0 });
  });

  it('Buffered leaves bodies with a length as they are, and requests without a body', async () => {
    const body = bytes(200_000);
    const sent = (await server.post('/buffered', body)).json();
    expect(sent).toMatchObject({ length: '200000', read: 200_000, digest: digest(body), rest: 0 });
    expect((await server.get('/buffered')).json()).toMatchObject({ read: 0, rest: 0 });
  });

  it('Buffered keeps the connection in order, also when the application does not read', async () => {
    const client = await server.raw();
    for (const path of ['/buffered/unread', '/buffered/unread', '/buffered']) {
      await client.send(`${head(`POST ${path} HTTP/1.1`, 'Host: localhost', 'Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n`);
      const { status, body } = await client.readResponse();
      expect([status, (JSON.parse(String(body)) as Report).length]).toEqual([200, '5']);
    }
    client.close();
  });

  it('W-59: Buffered asks a client that waits for "100 Continue" before it reads', async () => {
    const client = await server.raw();
    await client.send(head('POST /buffered HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked', 'Expect: 100-continue'));
    expect((await client.readResponse()).status).toBe(100);
    await client.send('3\r\nabc\r\n0\r\n\r\n');
    expect(JSON.parse(String((await client.readResponse()).body))).toMatchObject({ length: '3', read: 3 });
    client.close();
  });

  it('LimitRequestBody holds: 413, and the application is not called', async () => {
    expect((await post('/limited', bytes(999))).report).toMatchObject({ read: 999 });
    const client = await RawClient.connect(server.port);
    const mark = server.mark();
    await client.send(`${head('POST /limited HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked')}400\r\n${'x'.repeat(1024)}\r\n0\r\n\r\n`);
    expect((await client.readResponse()).status).toBe(413);
    await server.expectLog(/NWSGI1220/, { since: mark });
    client.close();
  });

  it('a malformed body is a 400, one that breaks off ends the connection', async () => {
    const mark = server.mark();
    const client = await server.raw();
    await client.send(`${head('POST /buffered HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked')}zzz\r\nabc\r\n0\r\n\r\n`);
    expect((await client.readResponse()).status).toBe(400);
    client.close();
    const second = await server.raw();
    await second.send(`${head('POST /buffered HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked')}5\r\nab`);
    second.close();
    await server.expectLog(/NWSGI1208[^\n]*malformed[^]*NWSGI1208[^\n]*broke off/, { since: mark });
  });

  it('leaves no file behind', async () => {
    await waitFor('no temporary file', () => ['/tmp', '/var/tmp', join(server.root, 'run')].every((folder) => readdirSync(folder).every((name) => !name.startsWith('nwsgi-body-'))));
  });
});
