/** The responses that applications write to the socket of an 'upgrade' event, as bytes. */
import { describe, expect, it } from 'vitest';
import { endOfHead, parseRawHead, RawBody } from '../../src/node/raw-response.js';

const head = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

describe('heads', () => {
  it('are found once they are complete', () => {
    expect(endOfHead(Buffer.from('HTTP/1.1 101 X\r\nA: b\r\n'))).toBe(-1);
    expect(endOfHead(Buffer.from('HTTP/1.1 101 X\r\nA: b\r\n\r\nrest'))).toBe(24);
  });

  it('become what the bridge takes, with the names as they were written', () => {
    const parsed = parseRawHead(head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: abc='));
    expect(parsed?.status).toBe(101);
    expect(parsed?.packed).toBe('101 Switching Protocols\nUpgrade:websocket\nConnection:Upgrade\nSec-WebSocket-Accept:abc=\n');
  });

  it('get a reason when they have none', () => {
    expect(parseRawHead(head('HTTP/1.1 401'))?.packed).toBe('401 Unauthorized\n');
    expect(parseRawHead(head('HTTP/1.0 599 '))?.packed).toBe('599 Unknown\n');
  });

  it('lose what could be taken for another header', () => {
    const parsed = parseRawHead(head('HTTP/1.1 400 Bad\nX: y', 'Good: a\nSet-Cookie: b', 'no colon', 'bad name: c', ' folded: d'));
    expect(parsed?.packed).toBe(undefined);
    expect(parseRawHead(head('HTTP/1.1 400 Bad', 'Good: a\nSet-Cookie: b', 'no colon', 'bad name: c', ' folded: d'))?.packed).toBe('400 Bad\nGood:aSet-Cookie: b\n');
  });

  it.each(['', 'GET / HTTP/1.1\r\n\r\n', 'HTTP/2 200 OK\r\n\r\n', 'HTTP/1.1 42 No\r\n\r\n', '\x81\x05hello'])('are not %j', (text) => {
    expect(parseRawHead(text)).toBe(undefined);
  });

  it.each([
    ['Content-Length: 5', 5, '200 OK\nContent-Length:5\n'],
    ['Content-Length: five', 'close', '200 OK\n'],
    ['Transfer-Encoding: chunked', 'chunked', '200 OK\n'],
    ['Connection: close', 'close', '200 OK\nConnection:close\n'],
  ])('say by %j how the body ends', (line, framing, packed) => {
    const parsed = parseRawHead(head('HTTP/1.1 200 OK', line));
    expect(parsed?.framing).toBe(framing);
    expect(parsed?.packed).toBe(packed);
  });

  it('of 204 and 304 have no body', () => {
    expect(parseRawHead(head('HTTP/1.1 304 Not Modified', 'Content-Length: 7'))?.framing).toBe(0);
  });
});

describe('bodies', () => {
  const read = (body: RawBody, ...chunks: string[]): string => chunks.flatMap((chunk) => body.push(Buffer.from(chunk))).map(String).join('');

  it('end with their length, and nothing follows', () => {
    const body = new RawBody(5);
    expect(read(body, 'he')).toBe('he');
    expect(body.end()).toBe(false);
    expect(read(body, 'llo and more', 'more')).toBe('llo');
    expect(body.complete).toBe(true);
    expect(body.end()).toBe(true);
  });

  it('end with what is written', () => {
    const body = new RawBody('close');
    expect(read(body, 'a', 'b')).toBe('ab');
    expect(body.complete).toBe(false);
    expect(body.end()).toBe(true);
  });

  const chunked = '5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n';

  it('in chunks end with the last one', () => {
    const body = new RawBody('chunked');
    expect(read(body, `${chunked}more`)).toBe('hello world');
    expect(body.complete).toBe(true);
  });

  it('in chunks may be cut anywhere', () => {
    for (let at = 1; at < chunked.length; at++) {
      const body = new RawBody('chunked');
      expect(read(body, chunked.slice(0, at), chunked.slice(at))).toBe('hello world');
      expect(body.end()).toBe(true);
    }
    const body = new RawBody('chunked');
    expect(read(body, ...chunked)).toBe('hello world');
    expect(body.complete).toBe(true);
  });

  it.each(['x\r\n', '-5\r\n', '5\r\nhello, world\r\n', `${'1'.repeat(20_000)}`])('in chunks are not %.20j', (text) => {
    const body = new RawBody('chunked');
    read(body, text);
    expect(body.broken).toBe(true);
    expect(body.end()).toBe(false);
  });
});
