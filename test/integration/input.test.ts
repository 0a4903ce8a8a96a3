// Reading wsgi.input: W-47 to W-56 (PEP 3333).
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, type HttpdServer, sanitized, useServer } from './harness/index.js';

type Operation = [name: string, ...args: unknown[]];

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The ways of digest-body.mjs. */
const ways = ['read', 'sized', 'readline', 'readlines', 'lines', 'chunks', 'readable'];

describe('reading wsgi.input', () => {
  const server = useServer({
    apps: ['input-operations.mjs', 'digest-body.mjs', 'echo-body.mjs'],
    directives: (s) => [
      'WSGIApplicationGroup %{GLOBAL}',
      `WSGIScriptAlias /operations ${s.app('input-operations.mjs')}`,
      `WSGIScriptAlias /digest ${s.app('digest-body.mjs')}`,
      `WSGIScriptAlias /echo ${s.app('echo-body.mjs')}`,
    ],
  });

  const target = (operations: readonly Operation[]) => `/operations?${encodeURIComponent(JSON.stringify(operations))}`;
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
  });

  it('W-47: bytes are given as they are, whatever they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString('latin1');
    expect(await perform(bytes, ['read'])).toEqual([bytes]);
    expect(await perform(bytes, ['read', 200], ['read', 200])).toEqual([bytes.slice(0, 200), bytes.slice(200)]);
  });

  it.each([
    ['read()', ['read'] as Operation],
    ['read(-1)', ['read', -1] as Operation],
    ['read(null)', ['read', null] as Operation],
  ])('W-48: %s gives the rest', async (_, operation) => {
    expect(await perform('0123456789abcde', ['read', 10], operation, operation)).toEqual(['0123456789', 'abcde', '']);
  });

  it('W-50: reads at the end of the body, and of a request without one, are empty at once and again', async () => {
    const everything: Operation[] = [['read'], ['read', 5], ['readline'], ['readline', 5], ['readlines'], ['lines'], ['chunks'], ['readable'], ['read'], ['read', 0]];
    const nothing = ['', '', '', '', [], [], [''], [''], '', ''];
    expect(await perform(undefined, ...everything)).toEqual(nothing);
    expect(await perform('', ...everything)).toEqual(nothing);
    expect(await perform('abc', ['read'], ...everything)).toEqual(['abc', ...nothing]);
  });

  it('W-50: reading does not wait for more on a connection that stays open', async () => {
    const client = await server.raw();
    for (let i = 0; i < 2; i++) {
      await client.send(head(`GET ${target([['read'], ['read', 1]])} HTTP/1.1`, 'Host: localhost'));
      expect((await client.readResponse({ milliseconds: 3000 })).text).toBe('["",""]');
    }
    client.close();
  });

  it('W-51: read(0) gives nothing and takes nothing', async () => {
    expect(await perform('abc', ['read', 0], ['read', 0], ['read', 1], ['read', 0], ['readline', 0], ['read'])).toEqual(['', '', 'a', '', '', 'bc']);
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

  it('W-54: iteration gives lines', async () => {
    expect(await perform('a\n\nbc', ['lines'], ['lines'])).toEqual([['a\n', '\n', 'bc'], []]);
  });

  it('W-54: an iteration that was left goes on where it stopped, and other reads go on, too', async () => {
    expect(await perform('a\nb\nc\nd', ['lines', 1], ['lines', 1], ['read', 1], ['readline'], ['lines'])).toEqual([['a\n'], ['b\n'], 'c', '\n', ['d']]);
  });

  it('W-54: chunks() and toReadable() give the bytes that are left', async () => {
    expect(await perform('a\nb\nc', ['readline'], ['chunks'], ['read'])).toEqual(['a\n', ['b\nc'], '']);
    expect(await perform('a\nb\nc', ['read', 3], ['readable'], ['read'])).toEqual(['a\nb', ['\nc'], '']);
  });

  it('W-47: reads that were not awaited are done one after the other', async () => {
    expect(await perform('abcdefgh', ['together', 1, 2, 3, 4, 5])).toEqual([['a', 'bc', 'def', 'gh', '']]);
  });

  it('W-47: a size that is no number is refused and takes nothing', async () => {
    expect(await perform('abc', ['read', 'x'], ['readline', {}], ['read'])).toEqual([{ error: 'TypeError' }, { error: 'TypeError' }, 'abc']);
  });

  it('W-55: close() does nothing', async () => {
    expect(await perform('abcd', ['read', 1], ['close'], ['read'], ['close'], ['read'])).toEqual(['a', 'undefined', 'bcd', 'undefined', '']);
    expect((await server.get('/digest')).status).toBe(200);
  });

  it.each(ways)('W-47 to W-54: a body of 1 MiB arrives unaltered by %s, with Content-Length and chunked', async (way) => {
    const body = randomBytes(1 << 20);
    const expected = { bytes: body.length, sha256: sha256(body) };
    expect((await server.post(`/digest?${way}`, body)).json()).toEqual(expected);
    const pieces = async function* () {
      for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 20_011) yield body.subarray(at, at + size);
    };
    expect((await server.post(`/digest?${way}`, pieces())).json()).toEqual(expected);
  });

  it('W-52: a line that arrives in pieces is one line', async () => {
    const client = await server.raw();
    await client.send(head(`POST ${target([['readline'], ['readline'], ['readline']])} HTTP/1.1`, 'Host: localhost', 'Content-Length: 12'));
    for (const piece of ['on', 'e', ' line\n', 'tw', 'o']) {
      await client.send(piece);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await client.readResponse()).text).toBe(JSON.stringify(['one line\n', 'two', '']));
    client.close();
  });

  it('W-56: the application has the first bytes before the last ones are sent', async () => {
    const client = await server.raw();
    await client.send(head('POST /echo HTTP/1.1', 'Host: localhost', 'Content-Length: 10', 'Connection: close'));
    await client.send('first');
    await client.readUntil('first');
    await client.send('-last');
    expect((await client.readAll()).toString('latin1')).toContain('-last');
  });

  it.skipIf(sanitized)('W-56: a body of 64 MiB passes through without staying in memory', async () => {
    const block = randomBytes(1 << 16);
    const hash = createHash('sha256');
    const body = async function* () {
      for (let i = 0; i < 1024; i++) {
        hash.update(block);
        yield block;
      }
    };
    await server.post('/digest?chunks', randomBytes(4 << 20));
    const before = server.resident();
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, server.resident())), 10);
    const response = await server.post('/digest?chunks', body());
    clearInterval(watch);
    expect(response.json()).toEqual({ bytes: 64 << 20, sha256: hash.digest('hex') });
    expect((most - before) / (1 << 20)).toBeLessThan(32);
  });
});

describeEachMpm('reading wsgi.input', (mpm) => {
  const server: HttpdServer = useServer({
    mpm,
    apps: ['digest-body.mjs', 'input-operations.mjs'],
    directives: (s) => [`WSGIScriptAlias /digest ${s.app('digest-body.mjs')}`, `WSGIScriptAlias /operations ${s.app('input-operations.mjs')}`],
  });

  it('W-47, W-50: a random body arrives unaltered, and an empty one ends at once', async () => {
    const body = randomBytes(300_001);
    expect((await server.post('/digest?sized', body)).json()).toEqual({ bytes: body.length, sha256: sha256(body) });
    expect((await server.get('/digest?read')).json()).toMatchObject({ bytes: 0 });
  });

  it('W-52, W-54: lines', async () => {
    const operations = encodeURIComponent(JSON.stringify([['readline'], ['readline', 2], ['lines']]));
    expect((await server.post(`/operations?${operations}`, 'one\ntwo\nthree')).json()).toEqual(['one\n', 'tw', ['o\n', 'three']]);
  });
});
