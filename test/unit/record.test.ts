import { describe, expect, it } from 'vitest';
import { encodeRecord, RecordDecoder } from '../../src/record.js';
import { NameTable, Role } from '../../src/names.js';
import type { Instructions } from '../../src/record.js';

function decode(record: string): { environ: Record<string, unknown>; instructions: Instructions } {
  const environ = Object.create(null) as Record<string, unknown>;
  const instructions: Instructions = { callable: '', developmentPage: false, reloading: false, multiprocess: false };
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
        ['nwsgi.x-callable', 'main'],
        ['nwsgi.x-error-page', 'Development'],
        ['nwsgi.x-reloading', '1'],
        ['nwsgi.x-multiprocess', '1'],
        ['nwsgi.x-of-tomorrow', 'x'],
        ['nwsgi.request_id', 'r'],
        ['nwsgi_x-callable', 'not an instruction'],
      ]),
    );
    expect(Object.keys(environ)).toEqual(['nwsgi.request_id', 'nwsgi_x-callable']);
    expect(instructions).toEqual({ callable: 'main', developmentPage: true, reloading: true, multiprocess: true });
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
    const instructions: Instructions = { callable: '', developmentPage: false, reloading: false, multiprocess: false };
    expect(expecting.all).toBe(0b111);
    expect(expecting.decode(bytes, 0, bytes.length, environ, instructions)).toBe(0b101);
    expect(environ).toEqual({ A: '1', C: '3', D: '4' });
  });
});

const USUAL = `
  GATEWAY_INTERFACE SERVER_PROTOCOL REQUEST_METHOD QUERY_STRING REQUEST_URI RAW_URI SCRIPT_NAME PATH_INFO SERVER_SOFTWARE SERVER_NAME SERVER_ADDR
  SERVER_PORT REMOTE_ADDR REMOTE_PORT DOCUMENT_ROOT REQUEST_SCHEME CONTEXT_PREFIX CONTEXT_DOCUMENT_ROOT SERVER_ADMIN SCRIPT_FILENAME HTTP_HOST
  HTTP_USER_AGENT HTTP_ACCEPT HTTP_ACCEPT_LANGUAGE HTTP_ACCEPT_ENCODING HTTP_CONNECTION HTTP_COOKIE wsgi.url_scheme nwsgi.process_group
  nwsgi.application_group nwsgi.callable_object nwsgi.request_id nwsgi.x-callable nwsgi.x-multiprocess nwsgi.x-reloading nwsgi.x-sendfile
  nwsgi.x-error-page CONTENT_TYPE CONTENT_LENGTH REMOTE_USER AUTH_TYPE HTTPS HTTP_REFERER HTTP_ORIGIN HTTP_CACHE_CONTROL HTTP_PRAGMA
  HTTP_UPGRADE_INSECURE_REQUESTS HTTP_SEC_FETCH_SITE HTTP_SEC_FETCH_MODE HTTP_SEC_FETCH_USER HTTP_SEC_FETCH_DEST HTTP_SEC_CH_UA HTTP_SEC_CH_UA_MOBILE
  HTTP_SEC_CH_UA_PLATFORM HTTP_IF_NONE_MATCH HTTP_IF_MODIFIED_SINCE HTTP_RANGE HTTP_DNT HTTP_TE HTTP_PRIORITY HTTP_X_FORWARDED_FOR
  HTTP_X_FORWARDED_PROTO HTTP_X_FORWARDED_HOST HTTP_X_REQUESTED_WITH HTTP_TRANSFER_ENCODING HTTP_EXPECT HTTP_AUTHORIZATION HTTP_X_REAL_IP
  HTTP_X_FORWARDED_SERVER HTTP_X_FORWARDED_PORT HTTP_TRACEPARENT HTTP_TRACESTATE SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI REDIRECT_STATUS REDIRECT_URL
  UNIQUE_ID
`.trim().split(/\s+/);

describe('NameTable', () => {
  it('keeps all usual names at the same time', () => {
    const learned: string[] = [];
    const table = new NameTable((name) => {
      learned.push(name);
      return Role.Plain;
    });
    for (let round = 0; round < 2; round++) {
      for (const name of USUAL) expect(table.texts[table.find(Buffer.from(`x${name}x`), 1, name.length)]).toBe(name);
    }
    expect(learned).toEqual(USUAL);
  });

  it('does not keep very long names', () => {
    expect(new NameTable(() => Role.Plain).find(Buffer.alloc(100, 'a'), 0, 100)).toBe(-1);
  });
});
