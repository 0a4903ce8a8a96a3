import { describe, expect, it } from 'vitest';
import { encodeRecord, parseTarget, RecordDecoder, targetOf } from '../../src/record.js';
import { RequestHead } from '../../src/request-head.js';
import { NameTable, Role } from '../../src/names.js';
import type { Instructions } from '../../src/record.js';

function noInstructions(): Instructions {
  return { developmentPage: false, reloading: false, multiprocess: false, authorization: undefined, environment: '', localPort: '' };
}

function decode(record: string): { environ: Record<string, unknown>; instructions: Instructions } {
  const environ = Object.create(null) as Record<string, unknown>;
  const instructions = noInstructions();
  // Something before and behind it, as in the buffer of a turn.
  decoder.decode(Buffer.from(`xx${record}\x01\x01yz`, 'latin1'), 2, 2 + record.length, environ, instructions);
  return { environ, instructions };
}

const decoder = new RecordDecoder();
const byte = (...codes: number[]): string => String.fromCharCode(...codes);

const VALID: [name: string, record: string, expected: Record<string, string>][] = [
  ['an empty record', '', {}],
  ['one pair', byte(1, 1) + 'ab', { a: 'b' }],
  ['an empty value', byte(3, 0) + 'abc', { abc: '' }],
  ['an empty name', byte(0, 1) + 'v', { '': 'v' }],
  ['a value of 127 bytes', byte(1, 127) + 'k' + 'v'.repeat(127), { k: 'v'.repeat(127) }],
  ['a value of 128 bytes', byte(1, 128, 0, 0, 128) + 'k' + 'v'.repeat(128), { k: 'v'.repeat(128) }],
  ['a long form for a short value', byte(1, 128, 0, 0, 1) + 'kv', { k: 'v' }],
  ['a long name', byte(128, 0, 1, 44, 1) + 'n'.repeat(300) + 'v', { ['n'.repeat(300)]: 'v' }],
  ['bytes above 0x7f', byte(1, 2) + 'k' + byte(0xc3, 0xa9), { k: '\xc3\xa9' }],
  ['NUL and line ends in values', byte(1, 3) + 'k\0\r\n', { k: '\0\r\n' }],
  ['equal names: the last wins', byte(1, 1) + 'ka' + byte(1, 1) + 'kb', { k: 'b' }],
  ['__proto__ as a name', byte(9, 1) + '__proto__x', JSON.parse('{"__proto__":"x"}') as Record<string, string>],
];

const INVALID: [name: string, record: string][] = [
  ['a name length only', byte(1)],
  ['a long name length cut after two bytes', byte(128, 0)],
  ['a long value length cut', byte(1, 128, 0, 0)],
  ['a name longer than the record', byte(5, 0) + 'abc'],
  ['a value longer than the record', byte(1, 5) + 'kabc'],
  ['the greatest length', byte(255, 255, 255, 255, 255, 255, 255, 255)],
  ['a good pair and a bad one', byte(1, 1) + 'ab' + byte(9, 9)],
];

describe('RecordDecoder', () => {
  it.each(VALID)('decodes %s', (_name, record, expected) => {
    expect(Object.entries(decode(record).environ)).toEqual(Object.entries(expected));
  });

  it.each(INVALID)('refuses %s', (_name, record) => {
    expect(() => decode(record)).toThrow(expect.objectContaining({ code: 'NWSGI2213' }));
  });

  it('keeps nwsgi.x- keys out of the environ and obeys them', () => {
    const { environ, instructions } = decode(
      encodeRecord([
        ['nwsgi.x-target', 'wsgi\nmain\n/app.mjs'],
        ['nwsgi.x-env', 'A=1\0B=2'],
        ['nwsgi.x-local-port', '8080'],
        ['nwsgi.x-error-page', 'Development'],
        ['nwsgi.x-reloading', '1'],
        ['nwsgi.x-multiprocess', '1'],
        ['nwsgi.x-of-tomorrow', 'x'],
        ['nwsgi.request_id', 'r'],
        ['nwsgi_x-callable', 'not an instruction'],
      ]),
    );
    expect(Object.keys(environ)).toEqual(['nwsgi.request_id', 'nwsgi_x-callable']);
    expect(instructions).toEqual({ developmentPage: true, reloading: true, multiprocess: true, authorization: undefined, environment: 'A=1\0B=2', localPort: '8080' });
  });

  it('makes variables of headers, and leaves out what variables cannot tell apart', () => {
    const headers = [[':X-Some', 'a'], [':x_some', 'b'], [':content-type', 'c'], [':CONTENT-LENGTH', '4'], [':Proxy', 'd'], [':X.Y', 'e'], [`:${'L'.repeat(60)}`, 'f'], [`:${'_'.repeat(60)}`, 'g']] as const;
    expect(decode(encodeRecord(headers)).environ).toEqual({ HTTP_X_SOME: 'a', CONTENT_TYPE: 'c', CONTENT_LENGTH: '4', [`HTTP_${'L'.repeat(60)}`]: 'f' });
  });

  it('gives Authorization to WSGI applications only when the record allows it', () => {
    const pairs = [[':Authorization', 'a'], [':proxy-authorization', 'b']] as const;
    const allow = ['nwsgi.x-authorization', '1'] as const;
    expect(decode(encodeRecord(pairs)).environ).toEqual({});
    expect(decode(encodeRecord([...pairs, ['nwsgi.x-authorization', '0']])).environ).toEqual({});
    for (const record of [[...pairs, allow], [allow, ...pairs]]) {
      expect(decode(encodeRecord(record)).environ).toEqual({ HTTP_AUTHORIZATION: 'a', HTTP_PROXY_AUTHORIZATION: 'b' });
    }
  });

  it('decodes what encodeRecord encodes', () => {
    const pairs = Array.from({ length: 200 }, (_, i): [string, string] => [`K${i}`, String.fromCharCode(i).repeat(i * 7)]);
    expect(Object.entries(decode(encodeRecord(pairs)).environ)).toEqual(pairs);
  });

  it('either decodes random bytes or refuses them, and never makes up bytes', () => {
    let seed = 12345;
    const random = (below: number): number => {
      seed ^= seed << 13;
      seed ^= seed >>> 17;
      seed ^= seed << 5;
      return (seed >>> 0) % below;
    };
    let decoded = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Array.from({ length: random(40) }, () => (random(3) === 0 ? random(256) : random(8)));
      const record = byte(...bytes);
      try {
        const { environ } = decode(record);
        const used = Object.entries(environ).reduce((sum, [name, value]) => sum + name.length + String(value).length, 0);
        expect(used).toBeLessThanOrEqual(record.length);
        decoded++;
      } catch (error) {
        expect(error).toMatchObject({ code: 'NWSGI2213' });
      }
    }
    expect(decoded).toBeGreaterThan(100);
  });

  it('tells names apart that share their hash, and forgets none of their bytes', () => {
    const pairs = Array.from({ length: 5000 }, (_, i): [string, string] => [`HTTP_X_${(i * 7919) % 5000}_${i}`, String(i)]);
    for (let round = 0; round < 2; round++) expect(Object.entries(decode(encodeRecord(pairs)).environ)).toEqual(pairs);
  });

  it('tells which expected names were there, and leaves ignored ones out', () => {
    const expecting = new RecordDecoder(['A', 'B', 'C'], ['own.key']);
    const bytes = Buffer.from(encodeRecord([['A', '1'], ['own.key', '2'], ['C', '3'], ['D', '4']]), 'latin1');
    const environ: Record<string, unknown> = {};
    const instructions = noInstructions();
    expect(expecting.all).toBe(0b111);
    expect(expecting.decode(bytes, 0, bytes.length, environ, instructions)).toBe(0b101);
    expect(environ).toEqual({ A: '1', C: '3', D: '4' });
  });
});

const VARIABLES = `
  GATEWAY_INTERFACE SERVER_PROTOCOL REQUEST_METHOD QUERY_STRING REQUEST_URI RAW_URI SCRIPT_NAME PATH_INFO SERVER_SOFTWARE SERVER_NAME SERVER_ADDR
  SERVER_PORT REMOTE_ADDR REMOTE_PORT DOCUMENT_ROOT REQUEST_SCHEME CONTEXT_PREFIX CONTEXT_DOCUMENT_ROOT SERVER_ADMIN SCRIPT_FILENAME
  wsgi.url_scheme nwsgi.process_group nwsgi.application_group nwsgi.callable_object nwsgi.request_id nwsgi.x-target nwsgi.x-multiprocess
  nwsgi.x-reloading nwsgi.x-sendfile nwsgi.x-error-page nwsgi.x-local-port nwsgi.x-authorization nwsgi.x-env REMOTE_USER AUTH_TYPE HTTPS
  SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI REDIRECT_STATUS REDIRECT_URL UNIQUE_ID HTTP_HOST HTTP_USER_AGENT HTTP_ACCEPT CONTENT_TYPE CONTENT_LENGTH
`.trim().split(/\s+/);

/** As browsers and programs write them, and in lower case as in HTTP/2. */
const HEADERS = `
  Host User-Agent Accept Accept-Language Accept-Encoding Connection Cookie Referer Origin Cache-Control Pragma Upgrade-Insecure-Requests
  Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-User Sec-Fetch-Dest Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform If-None-Match If-Modified-Since Range
  Dnt Te Priority X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Requested-With Transfer-Encoding Expect Authorization X-Real-Ip
  X-Forwarded-Server X-Forwarded-Port Traceparent Tracestate Content-Type Content-Length Upgrade Sec-Websocket-Key Sec-Websocket-Version
  Sec-Websocket-Extensions Sec-Websocket-Protocol Keep-Alive Via
`.trim().split(/\s+/);
const USUAL = [...VARIABLES, ...HEADERS.map((name) => `:${name}`), ...HEADERS.map((name) => `:${name.toLowerCase()}`)];

describe('targetOf', () => {
  const of = (pairs: readonly (readonly [string, string])[]): string => {
    const record = encodeRecord(pairs);
    return targetOf(Buffer.from(`xx${record}yz`, 'latin1'), 2, 2 + record.length);
  };

  it('is the first pair, whatever follows', () => {
    expect(of([['nwsgi.x-target', 'node\nmain\n/srv/app.js'], ['SCRIPT_FILENAME', '/other']])).toBe('node\nmain\n/srv/app.js');
  });

  it('is made of the script where a FastCGI client gives none', () => {
    expect(of([['A', '1'], ['SCRIPT_FILENAME', '/srv/app.js']])).toBe('auto\napplication\n/srv/app.js');
  });

  it('is taken apart again, with line ends in the path', () => {
    expect(parseTarget('fetch\nmain\n/srv/a\nb')).toEqual({ type: 'fetch', callable: 'main', script: '/srv/a\nb' });
    expect(parseTarget('other\nmain\n/a')).toEqual({ type: 'auto', callable: 'main', script: '/a' });
  });
});

describe('RequestHead', () => {
  const head = (pairs: readonly (readonly [string, string])[], instructions = noInstructions()): RequestHead => {
    const record = encodeRecord(pairs);
    return RequestHead.decode(Buffer.from(`xx${record}yz`, 'latin1'), 2, 2 + record.length, instructions);
  };

  it('has headers as the client wrote them, with _ too', () => {
    expect(head([[':X-Foo', 'a'], ['HTTPS', 'on'], [':x_foo', 'b'], [`:${'l'.repeat(60)}`, 'c']]).rawHeaders).toEqual(['X-Foo', 'a', 'x_foo', 'b', 'l'.repeat(60), 'c']);
  });

  it('makes headers of the variables of a plain FastCGI client', () => {
    expect(head([['HTTP_X_FOO', 'a'], ['CONTENT_TYPE', 'b'], ['OTHER', 'c']]).rawHeaders).toEqual(['x-foo', 'a', 'content-type', 'b']);
  });

  it('has Authorization unless the record forbids it', () => {
    expect(head([[':Authorization', 'a']]).header('authorization')).toBe('a');
    expect(head([[':Authorization', 'a'], ['nwsgi.x-authorization', '0']]).header('authorization')).toBe(undefined);
  });

  it.each([
    ['', '/a/b?c', '/a/b?c'],
    ['', 'http://host/a?b', 'http://host/a?b'],
    ['', '', '/'],
    ['/shop', '/shop', '/'],
    ['/shop', '/shop?x=/shop', '/?x=/shop'],
    ['/shop', '/shop/a%2Fb//c?d', '/a%2Fb//c?d'],
    ['/shop', 'http://host/shop/a', '/a'],
    ['/shop', '/%73hop/a%20b%3F?c', '/a%20b%3F?c'],
  ])('below the mount "%s", %s is %s', (scriptName, target, url) => {
    expect(head([['SCRIPT_NAME', scriptName], ['REQUEST_URI', target], ['PATH_INFO', '/a b?']]).urlBelowMount()).toBe(url);
  });
});

describe('NameTable', () => {
  it('keeps all usual names at the same time', () => {
    const learned: string[] = [];
    const table = new NameTable((name) => {
      learned.push(name);
      return { text: name, role: Role.Plain };
    });
    for (let round = 0; round < 2; round++) {
      for (const name of USUAL) expect(table.texts[table.find(Buffer.from(`x${name}x`), 1, name.length)]).toBe(name);
    }
    expect(learned).toEqual(USUAL);
  });

  it('does not keep very long names', () => {
    expect(new NameTable((text) => ({ text, role: Role.Plain })).find(Buffer.alloc(100, 'a'), 0, 100)).toBe(-1);
  });
});
