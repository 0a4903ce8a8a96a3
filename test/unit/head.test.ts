import { describe, expect, it } from 'vitest';
import { packHead } from '../../src/wsgi/head.js';
import type { Header } from '../../src/wsgi/types.js';

function pack(status: unknown, headers: unknown = []): { statusCode: number; head: string; contentLength: number } {
  const target = { statusCode: 0, head: '', contentLength: -1 };
  packHead(status as string, headers as Header[], target);
  return target;
}

describe('status (W-71, W-72)', () => {
  it.each(['200 OK', '404 Not Found', '599 x', '200 caf\xe9', '200 -', '999 Odd'])('accepts %j', (status) => {
    expect(pack(status)).toMatchObject({ statusCode: Number(status.slice(0, 3)), head: `${status}\n` });
  });

  it.each([
    '200', 'OK', '', '2000 OK', '20 OK', ' 200 OK', '200 OK ', '200 ', '200  ', '200\tOK', '099 Low', '100 Continue', '103 Early Hints',
    '200 OK\r\nX-I: 1', '200 O\x01K', '200 O\x7fK', '200 OK\n', '200 日', 200, null, undefined, Buffer.from('200 OK'), ['200 OK'],
  ])('refuses %j', (status) => {
    expect(() => pack(status)).toThrow(expect.objectContaining({ code: 'NWSGI2206' }));
  });
});

describe('headers (W-73…W-81, W-101)', () => {
  it.each([
    ['an empty list', [], ''],
    ['names with all token characters', [["!#$%&'*+-.^_`|~09AZaz", 'v']], "!#$%&'*+-.^_`|~09AZaz:v\n"],
    ['TAB and latin-1 in a value', [['X', 'a\tb\xe9']], 'X:a\tb\xe9\n'],
    ['an empty value', [['X', '']], 'X:\n'],
    ['duplicates, in order (W-81)', [['Set-Cookie', 'a'], ['set-cookie', 'b']], 'Set-Cookie:a\nset-cookie:b\n'],
  ])('accepts %s', (_name, headers, expected) => {
    expect(pack('200 OK', headers).head).toBe(`200 OK\n${expected}`);
  });

  it('keeps Content-Length apart, whatever its case', () => {
    expect(pack('200 OK', [['content-LENGTH', '12'], ['X', 'y']])).toMatchObject({ head: '200 OK\nX:y\n', contentLength: 12 });
  });

  it.each([
    ['no array', { a: 'b' }], ['null', null], ['a generator', (function* () {})()], ['a Map', new Map([['a', 'b']])],
    ['a pair of one', [['a']]], ['a triple', [['a', 'b', 'c']]], ['an object as pair', [{ 0: 'a', 1: 'b', length: 2 }]], ['a string as pair', ['ab']],
    ['a hole', new Array(1)], ['a name that is no string', [[1, 'b']]], ['a value that is no string', [['a', 1]]], ['a missing value', [['a', undefined]]],
    ['an empty name', [['', 'v']]], ['a space in a name', [['a b', 'v']]], ['a colon in a name', [['X-A:', 'v']]], ['a line end in a name', [['a\n', 'v']]],
    ['a name outside of ASCII', [['\xe9', 'v']]], ['CRLF in a value', [['X', 'a\r\nX-I: 1']]], ['LF in a value', [['X', 'a\nb']]], ['NUL in a value', [['X', '\0']]],
    ['a control in a value', [['X', '\x01']]], ['DEL in a value', [['X', '\x7f']]], ['a value above U+00FF', [['X', '日']]],
    ['Connection', [['Connection', 'close']]], ['Keep-Alive', [['Keep-Alive', '1']]], ['Proxy-Authenticate', [['Proxy-Authenticate', 'x']]],
    ['Proxy-Authorization', [['Proxy-Authorization', 'x']]], ['TE', [['tE', 'x']]], ['Trailer', [['Trailer', 'x']]],
    ['Transfer-Encoding', [['transfer-encoding', 'chunked']]], ['Upgrade', [['Upgrade', 'websocket']]], ['Status (W-80)', [['Status', '404 Nope']]],
    ['a Content-Length that is no number', [['Content-Length', 'abc']]], ['a negative Content-Length', [['Content-Length', '-1']]],
    ['an empty Content-Length', [['Content-Length', '']]], ['a hexadecimal Content-Length', [['Content-Length', '0x10']]], ['an endless Content-Length', [['Content-Length', '9'.repeat(16)]]],
    ['two Content-Lengths', [['Content-Length', '1'], ['content-length', '1']]],
  ])('refuses %s', (_name, headers) => {
    expect(() => pack('200 OK', headers)).toThrow(expect.objectContaining({ code: 'NWSGI2207', name: 'TypeError' }));
  });

  it('refuses a name each time, not only the first time', () => {
    for (let i = 0; i < 3; i++) expect(() => pack('200 OK', [['Upgrade', 'x']])).toThrow('Upgrade');
  });

  it('changes nothing when it throws', () => {
    const target = { statusCode: 200, head: '200 OK\n', contentLength: 5 };
    expect(() => packHead('500 X', [['bad name', '']], target)).toThrow();
    expect(target).toEqual({ statusCode: 200, head: '200 OK\n', contentLength: 5 });
  });
});
