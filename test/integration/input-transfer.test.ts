// The request body on the wire: W-49, W-57 to W-60, W-109 and W-114 (PEP 3333).
import { beforeAll, describe, expect, it } from 'vitest';
import { describeEachMpm, head, type HttpdServer, type Mpm, sleep, useServer } from './harness/index.js';

const apps = [
  ...['input-operations.mjs', 'ignore-body.cjs', 'read-some.mjs', 'report-read-error.ts', 'throw-read-error.mjs'],
  ...['read-after-first-block.mjs', 'one-at-a-time.mjs', 'show-environ.mjs'],
];
const options = (mpm: Mpm) => ({
  mpm,
  // One child, so that warmUp() reaches the environment that later requests reach.
  children: 1,
  apps,
  directives: (s: HttpdServer) => [
    'WSGIApplicationGroup %{GLOBAL}',
    ...apps.map((name) => `WSGIScriptAlias /${name.replace(/\..*/, '')} ${s.app(name)}`),
    `WSGIScriptAlias /no-chunks ${s.app('input-operations.mjs')}`,
    '<Location /no-chunks>\n  WSGIChunkedRequest Off\n</Location>',
    `WSGIScriptAlias /limited ${s.app('report-read-error.ts')}`,
    '<Location /limited>\n  LimitRequestBody 100\n</Location>',
  ],
});

/** Reads everything at once. */
const readAll = `/input-operations?${encodeURIComponent('[["read"]]')}`;
const post = (path: string, ...lines: string[]) => head(`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines);
const chunked = (path: string, ...lines: string[]) => post(path, 'Transfer-Encoding: chunked', ...lines);
/** A client that half-closes is not waited for as long as a script may take to load. */
const warmUp = (server: HttpdServer) => async () => {
  for (const path of ['/report-read-error', '/throw-read-error']) expect((await server.get(path)).status).toBe(200);
};
const follower = head('GET /ignore-body?follower HTTP/1.1', 'Host: localhost', 'Connection: close');

describe('the request body on the wire', () => {
  const server = useServer(options('event'));
  beforeAll(() => warmUp(server)());

  /** Sends the bytes, and a second request behind them; returns the answers to both. */
  async function withFollower(bytes: string) {
    const client = await server.raw();
    await client.send(bytes + follower);
    const first = await client.readResponse();
    const second = await client.readResponse();
    await client.waitForEnd();
    expect(client.pending.toString('latin1')).toBe('');
    return { first, second };
  }

  /** The answer to bytes after which nothing more is sent; the server has to end the connection. */
  async function lastAnswer(bytes: string, { halfClose = false } = {}) {
    const client = await server.raw();
    await client.send(bytes);
    if (halfClose) client.halfClose();
    const response = await client.readResponse();
    await client.waitForEnd();
    expect(client.pending.toString('latin1')).toBe('');
    client.close();
    return response;
  }

  it('W-49: read() ends at Content-Length; what follows is the next request', async () => {
    const { first, second } = await withFollower(`${post(readAll, 'Content-Length: 5')}abcde`);
    expect(first.text).toBe('["abcde"]');
    expect(second.text).toBe('ignored GET follower');
  });

  it('W-49: read(size) beyond Content-Length ends there, too', async () => {
    const path = `/input-operations?${encodeURIComponent('[["read",1000],["read",1000]]')}`;
    const { first, second } = await withFollower(`${post(path, 'Content-Length: 5')}abcde`);
    expect(first.text).toBe('["abcde",""]');
    expect(second.text).toBe('ignored GET follower');
  });

  it('W-49: several pipelined bodies are kept apart', async () => {
    const client = await server.raw();
    await client.send(['one', 'three', '', 'x'].map((body) => post(readAll, `Content-Length: ${body.length}`) + body).join('') + follower);
    const texts: string[] = [];
    for (let i = 0; i < 5; i++) texts.push((await client.readResponse()).text);
    expect(texts).toEqual(['["one"]', '["three"]', '[""]', '["x"]', 'ignored GET follower']);
    client.close();
  });

  it.each([
    ['one chunk', '5\r\nabcde\r\n0\r\n\r\n', 'abcde'],
    ['several chunks', '1\r\na\r\n3\r\nbcd\r\n1\r\ne\r\n0\r\n\r\n', 'abcde'],
    ['no chunk', '0\r\n\r\n', ''],
    ['hexadecimal sizes in either case and with zeros', '000A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n', '01234567890123456789a'],
    ['chunk extensions', '5;ext=1;name="q\\"uoted"\r\nabcde\r\n0;last\r\n\r\n', 'abcde'],
    ['line ends inside the chunks', '7\r\na\r\n0\r\n\r\r\n0\r\n\r\n', 'a\r\n0\r\n\r'],
    ['trailers', '5\r\nabcde\r\n0\r\nX-Trailer: evil\r\nContent-Length: 99\r\n\r\n', 'abcde'],
  ])('W-57: a chunked body is decoded: %s', async (_, body, content) => {
    const { first, second } = await withFollower(chunked(readAll) + body);
    expect(first.text).toBe(JSON.stringify([content]));
    expect(second.text).toBe('ignored GET follower');
  });

  it('W-57: chunk frames that arrive byte by byte are decoded', async () => {
    const client = await server.raw();
    await client.send(chunked(readAll));
    for (const byte of '3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n') {
      await client.send(byte);
      await sleep(2);
    }
    expect((await client.readResponse()).text).toBe('["abcde"]');
    client.close();
  });

  it('W-57: trailers do not become headers of this request or the next', async () => {
    const client = await server.raw();
    await client.send(`${chunked('/show-environ')}0\r\nX-Trailer: evil\r\n\r\n${head('GET /show-environ HTTP/1.1', 'Host: localhost')}`);
    for (let i = 0; i < 2; i++) expect((await client.readResponse()).text).not.toContain('evil');
    client.close();
  });

  it('W-57: WSGIChunkedRequest Off answers 411 to a chunked body, and takes one with a length', async () => {
    const path = readAll.replace('/input-operations', '/no-chunks');
    expect((await lastAnswer(chunked(path, 'Connection: close') + '3\r\nabc\r\n0\r\n\r\n')).status).toBe(411);
    expect((await lastAnswer(`${post(path, 'Content-Length: 3', 'Connection: close')}abc`)).text).toBe('["abc"]');
  });

  it('W-57: a transfer coding that is not known is refused, before the application runs', async () => {
    const coded = (coding: string) => lastAnswer(`${post(readAll, `Transfer-Encoding: ${coding}`, 'Connection: close')}3\r\nabc\r\n0\r\n\r\n`);
    expect((await coded('gzip, chunked')).status).toBe(501);
    expect([400, 501]).toContain((await coded('gzip')).status);
    expect([400, 501]).toContain((await coded('chunked, gzip')).status);
    expect([400, 501]).toContain((await coded('xchunked')).status);
  });

  it('W-58: a body that ends early makes the read fail, and every later one; the connection is closed', async () => {
    const response = await lastAnswer(`${post('/report-read-error', 'Content-Length: 50')}abcde`, { halfClose: true });
    expect(response.status).toBe(200);
    expect(response.text).toBe('start abc, then failed NWSGI2301, then failed NWSGI2301');
  });

  it('W-58: a chunked body that ends early makes the read fail', async () => {
    const inside = await lastAnswer(`${chunked('/report-read-error')}5\r\nabc`, { halfClose: true });
    expect(inside.text).toBe('start abc, then failed NWSGI2301, then failed NWSGI2301');
    const between = await lastAnswer(`${chunked('/report-read-error')}5\r\nabcde\r\n`, { halfClose: true });
    expect(between.text).toBe('start abc, then failed NWSGI2301, then failed NWSGI2301');
  });

  it('W-58: an error of a read that leaves the application is a 400, not a success', async () => {
    const response = await lastAnswer(`${post('/throw-read-error', 'Content-Length: 50')}abcde`, { halfClose: true });
    expect(response.status).toBe(400);
    expect(response.complete).toBe(true);
  });

  it('W-58: a client that resets the connection makes the read fail', async () => {
    const since = server.mark();
    const client = await server.raw();
    await client.send(`${post('/report-read-error', 'Content-Length: 50')}abcde`);
    await sleep(100);
    client.reset();
    await server.expectLog(/read error report: start \w+, then failed NWSGI\d+, then failed NWSGI\d+/, { since });
    expect((await server.get('/ignore-body?after')).text).toBe('ignored GET after');
  });

  it.each([
    ['no digits', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['a sign', '-3\r\nabc\r\n0\r\n\r\n'],
    ['a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['nothing', '\r\nabc\r\n0\r\n\r\n'],
  ])('W-59: a chunk size that is %s does not reach the application as a body; 400 and the connection is closed', async (_, body) => {
    const response = await lastAnswer(chunked('/throw-read-error') + body + follower);
    expect(response.status).toBe(400);
    expect(response.text).not.toContain('follower');
  });

  it('W-59: a chunk size beyond all numbers is a 413, and the connection is closed', async () => {
    const response = await lastAnswer(`${chunked('/throw-read-error')}ffffffffffffffffff\r\nabc\r\n0\r\n\r\n${follower}`);
    expect(response.status).toBe(413);
    expect(response.text).not.toContain('follower');
  });

  it('W-59: a malformed chunk behind good ones makes the read fail, and the connection is closed', async () => {
    const since = server.mark();
    const response = await lastAnswer(`${chunked('/report-read-error')}3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n${follower}`);
    expect(response.text).not.toContain('follower');
    await server.expectLog(/read error report: start (abc|nothing), then failed NWSGI2301, then failed NWSGI2301/, { since });
  });

  it('W-59: a malformed chunk after the response has begun closes the connection, too', async () => {
    const client = await server.raw();
    await client.send(chunked('/read-after-first-block'));
    await client.readUntil('first\n');
    await client.send(`3\r\nabc\r\nzz\r\n${follower}`);
    const rest = (await client.readAll()).toString('latin1');
    expect(rest).not.toContain('follower');
    // Not complete: the last chunk is missing.
    expect(rest).not.toMatch(/(^|\r\n)0\r\n\r\n$/);
  });

  it('W-59: a Content-Length above LimitRequestBody is a 413; chunks above it make the read fail and close the connection', async () => {
    const announced = await lastAnswer(`${post('/limited', 'Content-Length: 101', 'Connection: close')}${'x'.repeat(101)}`);
    expect(announced.status).toBe(413);
    const tooMany = await lastAnswer(`${chunked('/limited')}65\r\n${'x'.repeat(101)}\r\n0\r\n\r\n${follower}`);
    expect(tooMany.text).not.toContain('follower');
    // The application has caught the error and answers as it likes.
    expect(tooMany.status).toBe(200);
    expect(tooMany.text).toMatch(/^start (nothing|xxx), then failed NWSGI2301, then failed NWSGI2301$/);
  });

  const smuggled = head('GET /ignore-body?smuggled HTTP/1.1', 'Host: localhost');

  it.each([
    ['a Content-Length', `${post('/ignore-body?unread', `Content-Length: ${smuggled.length}`)}${smuggled}`],
    ['chunks', `${chunked('/ignore-body?unread')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
    ['chunks and a trailer', `${chunked('/ignore-body?unread')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\nT: 1\r\n\r\n`],
    ['a large Content-Length', `${post('/ignore-body?unread', `Content-Length: ${smuggled.length * 20_000}`)}${smuggled.repeat(20_000)}`],
  ])('W-60: a body with %s that was not read is not taken for the next request', async (_, bytes) => {
    const { first, second } = await withFollower(bytes);
    expect(first.text).toBe('ignored POST unread');
    expect(second.text).toBe('ignored GET follower');
  });

  it.each([
    ['a Content-Length', `${post('/read-some', `Content-Length: ${smuggled.length}`)}${smuggled}`],
    ['chunks', `${chunked('/read-some')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
  ])('W-60: a body with %s of which a part was read is not taken for the next request', async (_, bytes) => {
    const { first, second } = await withFollower(bytes);
    expect(first.text).toBe('read GET ');
    expect(second.text).toBe('ignored GET follower');
  });

  it('W-60: an unread body that arrives after the response is not taken for the next request', async () => {
    const client = await server.raw();
    await client.send(post('/ignore-body?unread', `Content-Length: ${smuggled.length}`));
    await sleep(50);
    await client.send(smuggled + follower);
    expect((await client.readResponse()).text).toBe('ignored POST unread');
    expect((await client.readResponse()).text).toBe('ignored GET follower');
    client.close();
  });

  it('W-60: a malformed chunk in an unread body ends the connection', async () => {
    const client = await server.raw();
    await client.send(`${chunked('/ignore-body?unread')}zz\r\n${follower}`);
    const all = (await client.readAll()).toString('latin1');
    expect(all).not.toContain('follower');
  });

  it('W-114: an application never runs in two threads at the same moment', async () => {
    const texts = await Promise.all(Array.from({ length: 24 }, async () => (await server.get('/one-at-a-time')).text));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toMatch(/^\d+ 1$/);
  });
});

describeEachMpm('the request body on the wire', (mpm) => {
  const server = useServer(options(mpm));
  beforeAll(() => warmUp(server)());

  it('W-58, W-59: short and malformed bodies make reads fail', async () => {
    const client = await server.raw();
    await client.send(`${post('/report-read-error', 'Content-Length: 50')}abcde`);
    client.halfClose();
    expect((await client.readResponse()).text).toBe('start abc, then failed NWSGI2301, then failed NWSGI2301');
    await client.waitForEnd();
    const second = await server.raw();
    await second.send(`${chunked('/throw-read-error')}zz\r\n`);
    expect((await second.readResponse()).status).toBe(400);
    await second.waitForEnd();
  });

  it('W-57, W-60: an unread and a chunked body on one connection', async () => {
    const client = await server.raw();
    await client.send(`${post('/ignore-body?a', 'Content-Length: 5')}abcde${chunked(readAll)}3\r\nabc\r\n0\r\n\r\n${follower}`);
    const texts: string[] = [];
    for (let i = 0; i < 3; i++) texts.push((await client.readResponse()).text);
    expect(texts).toEqual(['ignored POST a', '["abc"]', 'ignored GET follower']);
    await client.waitForEnd();
  });

  it('W-109: "100 Continue" comes when the application reads', async () => {
    const client = await server.raw();
    await client.send(post(readAll, 'Expect: 100-continue', 'Content-Length: 3', 'Connection: close'));
    expect((await client.readUntil('\r\n\r\n')).toString('latin1')).toMatch(/^HTTP\/1\.1 100 /);
    await client.send('abc');
    expect((await client.readResponse()).text).toBe('["abc"]');
  });
});
