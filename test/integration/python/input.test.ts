// wsgi.input in Python: W-47 to W-60 (PEP 3333).
import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeEachMpm, head, sleep, useServer, type HttpdServer } from '../harness/index.js';

type Operation = [name: string, ...args: unknown[]];

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** The ways of digest() in input_lab.py. */
const ways = ['read', 'sized', 'read1', 'readinto', 'readline', 'short-lines', 'readlines', 'lines', 'buffered'];
const callables = ['operations', 'digest', 'echo', 'ignore', 'some', 'report_error', 'line_error', 'raise_error', 'after_first_block', 'keep', 'use_kept'];
const directives = (s: HttpdServer) => [
  ...callables.map((name) => `WSGIScriptAlias /${name} ${s.app('input_lab.py')} callable-object=${name}`),
  `WSGIScriptAlias /no-chunks ${s.app('input_lab.py')} callable-object=operations`,
  '<Location /no-chunks>\n  WSGIChunkedRequest Off\n</Location>',
  `WSGIScriptAlias /limited ${s.app('input_lab.py')} callable-object=report_error`,
  '<Location /limited>\n  LimitRequestBody 100\n</Location>',
];

const target = (operations: readonly Operation[]) => `/operations?${encodeURIComponent(JSON.stringify(operations))}`;
const readAll = target([['read']]);
const post = (path: string, ...lines: string[]) => head(`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines);
const chunked = (path: string, ...lines: string[]) => post(path, 'Transfer-Encoding: chunked', ...lines);
const follower = head('GET /ignore?follower HTTP/1.1', 'Host: localhost', 'Connection: close');
/** A client that half-closes is not waited for as long as a script may take to load. */
const warmUp = (server: HttpdServer) => async () => {
  for (const name of callables.slice(0, 8)) await server.get(`/${name}?[]`);
};

describe('wsgi.input', () => {
  const server = useServer({ apps: ['input_lab.py'], directives });
  beforeAll(() => warmUp(server)());

  /** Results of the operations on a body with a Content-Length, or without a body. */
  const perform = async (body: string | undefined, ...operations: Operation[]) => {
    const response = body === undefined ? await server.get(target(operations)) : await server.post(target(operations), Buffer.from(body, 'latin1'));
    expect(response.status).toBe(200);
    return response.json();
  };

  it('W-47: read(size) gives that many bytes, then what is left', async () => {
    expect(await perform('0123456789abcde', ['read', 10], ['read', 10], ['read', 10])).toEqual(['0123456789', 'abcde', '']);
    expect(await perform('abc', ['read', 1], ['read', 1], ['read', 1], ['read', 1])).toEqual(['a', 'b', 'c', '']);
    expect(await perform('abc', ['read', 3], ['read', 3])).toEqual(['abc', '']);
    expect(await perform('abc', ['read', 2 ** 62])).toEqual(['abc']);
  });

  it('W-47: bytes are given as they are, whatever they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString('latin1');
    expect(await perform(bytes, ['read'])).toEqual([bytes]);
    expect(await perform(bytes, ['read', 200], ['read', 200])).toEqual([bytes.slice(0, 200), bytes.slice(200)]);
  });

  it('W-48: read(), read(-1), read(None) and readall() give the rest', async () => {
    for (const operation of [['read'], ['read', -1], ['read', null], ['readall']] as Operation[]) {
      expect(await perform('0123456789abcde', ['read', 10], operation, operation)).toEqual(['0123456789', 'abcde', '']);
    }
  });

  it('W-50: reads at the end of the body, and of a request without one, are empty at once and again', async () => {
    const everything: Operation[] = [
      ...([['read'], ['read', 5], ['read1'], ['readline'], ['readline', 5], ['readlines'], ['lines'], ['readinto', 5]] as Operation[]),
      ...([['text-lines'], ['buffered', 3], ['read'], ['read', 0]] as Operation[]),
    ];
    const nothing = ['', '', '', '', '', [], [], '', [], [], '', ''];
    expect(await perform(undefined, ...everything)).toEqual(nothing);
    expect(await perform('', ...everything)).toEqual(nothing);
    expect(await perform('abc', ['read'], ...everything)).toEqual(['abc', ...nothing]);
  });

  it('W-50: reading does not wait for more on a connection that stays open', async () => {
    const client = await server.raw();
    for (let i = 0; i < 2; i++) {
      await client.send(head(`GET ${target([['read'], ['read', 1]])} HTTP/1.1`, 'Host: localhost'));
      expect((await client.readResponse({ milliseconds: 3000 })).text).toBe('["", ""]');
    }
    client.close();
  });

  it('W-51: read(0) gives nothing and takes nothing', async () => {
    const operations: Operation[] = [['read', 0], ['read1', 0], ['readinto', 0], ['read', 1], ['read', 0], ['readline', 0], ['read']];
    expect(await perform('abc', ...operations)).toEqual(['', '', '', 'a', '', '', 'bc']);
  });

  it('W-52: readline() gives one line with its newline, and the last one without', async () => {
    expect(await perform('ab\n\ncdef', ['readline'], ['readline'], ['readline'], ['readline'])).toEqual(['ab\n', '\n', 'cdef', '']);
    expect(await perform('ab\r\nc\rd\n', ['readline'], ['readline'], ['readline'])).toEqual(['ab\r\n', 'c\rd\n', '']);
  });

  it('W-52: readline(size) stops at the size or behind the newline, whichever comes first', async () => {
    expect(await perform('ab\ncdef', ['readline', 2], ['readline', 2], ['readline', 2], ['readline', 9], ['readline', 9])).toEqual(['ab', '\n', 'cd', 'ef', '']);
    expect(await perform('ab\ncd', ['readline', 3], ['readline', 3])).toEqual(['ab\n', 'cd']);
    expect(await perform('ab\ncd', ['readline', -1], ['readline', 100])).toEqual(['ab\n', 'cd']);
  });

  it('W-53: readlines() gives all lines; readlines(hint) stops behind the line that reaches the hint', async () => {
    expect(await perform('a\nb\n\nc', ['readlines'], ['readlines'])).toEqual([['a\n', 'b\n', '\n', 'c'], []]);
    expect(await perform('a\nb\n', ['readlines', 0])).toEqual([['a\n', 'b\n']]);
    expect(await perform('a\nb\nc\n', ['readlines', 1], ['readlines', 3])).toEqual([['a\n'], ['b\n', 'c\n']]);
  });

  it('W-54: iteration gives lines, goes on where it stopped, and mixes with other reads', async () => {
    expect(await perform('a\n\nbc', ['lines'], ['lines'])).toEqual([['a\n', '\n', 'bc'], []]);
    expect(await perform('a\nb\nc\nd', ['lines', 1], ['lines', 1], ['read', 1], ['readline'], ['lines'])).toEqual([['a\n'], ['b\n'], 'c', '\n', ['d']]);
    expect(await perform('a\nb\nc\nd', ['lines', 1], ['read1', 3], ['readinto', 1], ['read'])).toEqual([['a\n'], 'b\nc', '\n', 'd']);
  });

  it('W-47: a size that is no integer is refused and takes nothing', async () => {
    const failed = { error: 'TypeError' };
    expect(await perform('abc', ['read', 'x'], ['read', 1.5], ['readline', {}], ['readlines', 'x'], ['read', 1, 2], ['read'])).toEqual([failed, failed, failed, failed, failed, 'abc']);
  });

  it('W-55: close() does nothing, also by `with`', async () => {
    expect(await perform('abcd', ['read', 1], ['close'], ['read', 1], ['as-context'], ['read'], ['close'], ['read'])).toEqual(['a', null, 'b', true, 'cd', null, '']);
  });

  it('is a binary stream for reading that cannot be positioned', async () => {
    const facts = { closed: false, readable: true, writable: false, seekable: false, isatty: false, flush: null, iterator: true, absent: [] };
    expect(await perform('abc', ['facts'])).toEqual([facts]);
  });

  it("Python's own buffers and text readers work around it", async () => {
    expect(await perform('0123456789', ['buffered', 4])).toEqual([['0123', '4567', '89']]);
    expect(await perform('a\nb\r\nc', ['text-lines'], ['read'])).toEqual([['a\n', 'b\r\n', 'c'], '']);
  });

  it('threads of the application that read together get each byte once', async () => {
    expect(await perform('x'.repeat(5000), ['together', 3], ['read'])).toEqual([5000, '']);
  });

  it('raises RuntimeError after the request, but close() does not', async () => {
    await server.post('/keep', 'abc');
    const error = { error: 'RuntimeError' };
    expect((await server.get('/use_kept')).json()).toEqual([error, error, error, error, error, error, error, [false, null]]);
  });

  it.each(ways)('W-47 to W-54: a body of 1 MiB arrives unaltered by %s, with Content-Length and chunked', async (way) => {
    const body = randomBytes(1 << 20);
    const expected = { length: body.length, sha256: sha256(body) };
    expect((await server.post(`/digest?${way}`, body)).json()).toEqual(expected);
    const pieces = async function* () {
      for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 20_011) yield body.subarray(at, at + size);
    };
    expect((await server.post(`/digest?${way}`, pieces())).json()).toEqual(expected);
  });

  it('W-52: a line that arrives in pieces is one line', async () => {
    const client = await server.raw();
    await client.send(post(target([['readline'], ['readline'], ['readline']]), 'Content-Length: 12'));
    for (const piece of ['on', 'e', ' line\n', 'tw', 'o']) {
      await client.send(piece);
      await sleep(20);
    }
    expect((await client.readResponse()).text).toBe('["one line\\n", "two", ""]');
    client.close();
  });

  it('W-56: the application has the first bytes before the last ones are sent', async () => {
    const client = await server.raw();
    await client.send(post('/echo', 'Content-Length: 10', 'Connection: close') + 'first');
    await client.readUntil('first');
    await client.send('-last');
    expect((await client.readAll()).toString('latin1')).toContain('-last');
  });

  // ---- on the wire ----

  /** Sends the bytes, and a second request behind them; returns the answers to both. */
  async function withFollower(bytes: string) {
    const client = await server.raw();
    await client.send(bytes + follower);
    const first = await client.readResponse();
    const second = await client.readResponse();
    await client.waitForEnd();
    expect(client.pending.toString('latin1')).toBe('');
    return [first.text, second.text];
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

  it('W-49: read() and read(size) end at Content-Length; what follows is the next request', async () => {
    expect(await withFollower(`${post(readAll, 'Content-Length: 5')}abcde`)).toEqual(['["abcde"]', 'ignored GET follower']);
    const path = target([['read', 1000], ['read', 1000]]);
    expect(await withFollower(`${post(path, 'Content-Length: 5')}abcde`)).toEqual(['["abcde", ""]', 'ignored GET follower']);
  });

  it.each([
    ['several chunks', '1\r\na\r\n3\r\nbcd\r\n1\r\ne\r\n0\r\n\r\n', 'abcde'],
    ['no chunk', '0\r\n\r\n', ''],
    ['extensions and trailers', '5;ext=1;name="q\\"uoted"\r\nabcde\r\n0;last\r\nX-Trailer: evil\r\n\r\n', 'abcde'],
  ])('W-57: a chunked body is decoded: %s', async (_, body, content) => {
    expect(await withFollower(chunked(readAll) + body)).toEqual([JSON.stringify([content]), 'ignored GET follower']);
  });

  it('W-57: WSGIChunkedRequest Off answers 411 to a chunked body, and takes one with a length', async () => {
    const path = readAll.replace('/operations', '/no-chunks');
    expect((await lastAnswer(chunked(path, 'Connection: close') + '3\r\nabc\r\n0\r\n\r\n')).status).toBe(411);
    expect((await lastAnswer(`${post(path, 'Content-Length: 3', 'Connection: close')}abc`)).text).toBe('["abc"]');
  });

  const failedTwice = 'start abc, then failed NWSGI2301, then failed NWSGI2301';

  it('W-58: a body that ends early makes the read fail, and every later one; the connection is closed', async () => {
    for (const bytes of [`${post('/report_error', 'Content-Length: 50')}abcde`, `${chunked('/report_error')}5\r\nabc`, `${chunked('/report_error')}5\r\nabcde\r\n`]) {
      const response = await lastAnswer(bytes, { halfClose: true });
      expect([response.status, response.text]).toEqual([200, failedTwice]);
    }
  });

  it('W-58: whole lines before the end are read, the unfinished one is an error', async () => {
    const response = await lastAnswer(`${post('/line_error', 'Content-Length: 50')}one\ntwo\nthr`, { halfClose: true });
    expect(JSON.parse(response.text)).toEqual(['one\n', 'two\n', 'OSError', 'OSError']);
  });

  it('W-58: an error of a read that leaves the application is a 400, not a success', async () => {
    const response = await lastAnswer(`${post('/raise_error', 'Content-Length: 50')}abcde`, { halfClose: true });
    expect([response.status, response.complete]).toEqual([400, true]);
  });

  it('W-58: a client that resets the connection makes the read fail', async () => {
    const since = server.mark();
    const client = await server.raw();
    await client.send(`${post('/report_error', 'Content-Length: 50')}abcde`);
    await sleep(100);
    client.reset();
    await server.expectLog(/read error report: start \w+, then failed NWSGI\d+, then failed NWSGI\d+/, { since });
    expect((await server.get('/ignore?after')).text).toBe('ignored GET after');
  });

  it.each([
    ['no digits', 'zz\r\nabc\r\n0\r\n\r\n', 400],
    ['nothing', '\r\nabc\r\n0\r\n\r\n', 400],
    ['beyond all numbers', 'ffffffffffffffffff\r\nabc\r\n0\r\n\r\n', 413],
  ])('W-59: a chunk size that is %s does not reach the application as a body; the connection is closed', async (_, body, status) => {
    const response = await lastAnswer(chunked('/raise_error') + body + follower);
    expect(response.status).toBe(status);
    expect(response.text).not.toContain('follower');
  });

  it('W-59: a malformed chunk behind good ones makes the read fail, and the connection is closed', async () => {
    const since = server.mark();
    const response = await lastAnswer(`${chunked('/report_error')}3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n${follower}`);
    expect(response.text).not.toContain('follower');
    await server.expectLog(/read error report: start (abc|nothing), then failed NWSGI2301, then failed NWSGI2301/, { since });
  });

  it('W-59: a malformed chunk after the response has begun closes the connection, too', async () => {
    const client = await server.raw();
    await client.send(chunked('/after_first_block'));
    await client.readUntil('first\n');
    await client.send(`3\r\nabc\r\nzz\r\n${follower}`);
    const rest = (await client.readAll()).toString('latin1');
    expect(rest).not.toContain('follower');
    // Not complete: the last chunk is missing.
    expect(rest).not.toMatch(/(^|\r\n)0\r\n\r\n$/);
  });

  it('W-59: a Content-Length above LimitRequestBody is a 413; chunks above it make the read fail', async () => {
    const announced = await lastAnswer(`${post('/limited', 'Content-Length: 101', 'Connection: close')}${'x'.repeat(101)}`);
    expect(announced.status).toBe(413);
    const tooMany = await lastAnswer(`${chunked('/limited')}65\r\n${'x'.repeat(101)}\r\n0\r\n\r\n${follower}`);
    expect(tooMany.text).toMatch(/^start (nothing|xxx), then failed NWSGI2301, then failed NWSGI2301$/);
  });

  const smuggled = head('GET /ignore?smuggled HTTP/1.1', 'Host: localhost');

  it.each([
    ['a Content-Length', `${post('/ignore?unread', `Content-Length: ${smuggled.length}`)}${smuggled}`],
    ['chunks and a trailer', `${chunked('/ignore?unread')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\nT: 1\r\n\r\n`],
    ['a large Content-Length', `${post('/ignore?unread', `Content-Length: ${smuggled.length * 20_000}`)}${smuggled.repeat(20_000)}`],
  ])('W-60: a body with %s that was not read is not taken for the next request', async (_, bytes) => {
    expect(await withFollower(bytes)).toEqual(['ignored POST unread', 'ignored GET follower']);
  });

  it.each([
    ['a Content-Length', `${post('/some', `Content-Length: ${smuggled.length}`)}${smuggled}`],
    ['chunks', `${chunked('/some')}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`],
  ])('W-60: a body with %s of which a part was read is not taken for the next request', async (_, bytes) => {
    expect(await withFollower(bytes)).toEqual(['read GET ', 'ignored GET follower']);
  });
});

describeEachMpm('wsgi.input', (mpm) => {
  const server = useServer({ mpm, children: 1, apps: ['input_lab.py'], directives });
  beforeAll(() => warmUp(server)());

  it('W-47, W-50: a random body arrives unaltered, and an empty one ends at once', async () => {
    const body = randomBytes(300_001);
    expect((await server.post('/digest?sized', body)).json()).toEqual({ length: body.length, sha256: sha256(body) });
    expect((await server.get('/digest?read')).json()).toMatchObject({ length: 0 });
  });

  it('W-58, W-59: short and malformed bodies make reads fail', async () => {
    const client = await server.raw();
    await client.send(`${post('/report_error', 'Content-Length: 50')}abcde`);
    client.halfClose();
    expect((await client.readResponse()).text).toBe('start abc, then failed NWSGI2301, then failed NWSGI2301');
    await client.waitForEnd();
    const second = await server.raw();
    await second.send(`${chunked('/raise_error')}zz\r\n`);
    expect((await second.readResponse()).status).toBe(400);
    await second.waitForEnd();
  });
});
