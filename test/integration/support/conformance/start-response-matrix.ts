/** What start_response accepts and refuses, value by value (W-71…W-80). Texts are literals that both languages read alike. */
import { describe, expect, it } from 'vitest';
import { useServer, type RawResponse } from '../../harness/index.js';
import { laboratory, type Language } from '../language.js';
import { get } from '../mounts.js';

/** An argument of a wrong type, and whether the error is one of its value in Python. */
type Wrong = string | { of: string; value: true };

/** Values that only one language has. */
const own: Record<Language['name'], { statuses: Wrong[]; headers: Wrong[] }> = {
  JavaScript: {
    statuses: ['Buffer.from("200 OK")', '200', 'undefined', 'null', '{ toString: () => "200 OK" }', 'new String("200 OK")'],
    headers: [
      ...['undefined', 'null', '"X-I: 1"', '{ "X-I": "1" }', 'new Map([["X-I", "1"]])', '(function* () { yield ["X-I", "1"]; })()', 'new Headers({ "X-I": "1" })'],
      ...['["X-I: 1"]', '[["X-I"]]', '[["X-I", "1", "2"]]', '[{ 0: "X-I", 1: "1", length: 2 }]', '[[Buffer.from("X-I"), "1"]]', '[["X-I", Buffer.from("1")]]'],
      ...['[["X-I", 1]]', '[["X-I", undefined]]', '[["X-I", ["1"]]]', '[null]', '[, ["X-I", "1"]]'],
    ],
  },
  Python: {
    statuses: ['b"200 OK"', 'bytearray(b"200 OK")', '200', '200.0', 'None', 'True', '("200", "OK")', '["200 OK"]', 'object()'],
    headers: [
      ...['None', '"X-I: 1"', 'b"X-I: 1"', '{"X-I": "1"}', '{("X-I", "1")}', '(("X-I", "1"),)', 'iter([("X-I", "1")])', '(pair for pair in [("X-I", "1")])', '{"X-I": "1"}.items()', '5'],
      ...['["X-I: 1"]', '["ab"]', '[["X-I", "1"]]', '[{"X-I", "1"}]', '[(b"X-I", "1")]', '[("X-I", b"1")]', '[("X-I", 1)]', '[("X-I", None)]', '[("X-I", ("1",))]', '[(None, "1")]'],
      ...['[None]', '[("Good", "1"), 5]'],
      ...['[("X-I",)]', '[("X-I", "1", "2")]', '[()]'].map((of) => ({ of, value: true as const })),
    ],
  },
};

export function startResponseMatrix(language: Language): void {
  const isPython = language.name === 'Python';
  const { statuses, headers: headerLists } = own[language.name];
  const lists = (values: readonly Wrong[]) => values.map((wrong) => (typeof wrong === 'string' ? ([wrong, 'type'] as const) : ([wrong.of, 'either'] as const)));
  /** The headers with these names and values, which are literals. */
  const pairs = (...list: readonly (readonly [string, string])[]) => `[${list.map(([name, value]) => (isPython ? `(${name}, ${value})` : `[${name}, ${value}]`)).join(', ')}]`;

  describe('validation in startResponse', () => {
    const server = useServer(laboratory(language, ['start-as-told']));

    /** Calls startResponse(status, headers) with two expressions. */
    async function start(status: string, headers = '[]'): Promise<RawResponse> {
      const client = await server.raw();
      try {
        await client.send(get(`/start-as-told?${encodeURIComponent(`[${status}, ${headers}]`)}`, 'Connection: close'));
        return await client.readResponse();
      } finally {
        client.close();
      }
    }

    /** In JavaScript all of these are a TypeError; Python tells wrong types from wrong values. */
    function expectRefusal(response: RawResponse, code: string, kind: 'type' | 'value' | 'either' = 'value'): void {
      // W-78: the application caught the error and answered.
      expect(response.header('X-Refused')).toBe('yes');
      expect(`${response.status} ${response.reason}`).toBe('200 OK');
      expect(response.header('X-I')).toBeUndefined();
      const seen = JSON.parse(response.text) as { code: string; isTypeError: boolean; isValueError: boolean };
      expect(seen.code).toBe(code);
      if (!isPython || kind === 'type') expect(seen.isTypeError).toBe(true);
      else if (kind === 'value') expect(seen.isValueError).toBe(true);
      else expect(seen.isTypeError || seen.isValueError).toBe(true);
    }

    it.each([
      ['"200"'],
      ['"OK"'],
      ['""'],
      ['"200 "'],
      ['"2000 OK"'],
      ['"20 OK"'],
      ['" 200 OK"'],
      ['"200 OK "'],
      ['"200\\tOK"'],
      ['"099 Low"'],
      ['"100 Continue"'],
      ['"103 Early Hints"'],
      ['"2x0 OK"'],
      ['"200 OK\\r\\nX-I: 1"'],
      ['"200 OK\\nX-I: 1"'],
      ['"200 OK\\r"'],
      ['"200 OK\\n"'],
      ['"200 O\\x00K"'],
      ['"200 O\\x01K"'],
      ['"200 O\\x7fK"'],
    ])('W-71 W-78 the status %s is refused', async (status) => {
      expectRefusal(await start(status), 'NWSGI2206');
    });

    it.each(lists(statuses))('W-72 W-78 the status %s is no string and is refused', async (status, kind) => {
      expectRefusal(await start(status), 'NWSGI2206', kind);
    });

    it.each([
      ['"200 OK"', '200 OK'],
      ['"200 Everything Is Fine"', '200 Everything Is Fine'],
      ['"299 Own"', '299 Own'],
      ['"404 Not Found (really)"', '404 Not Found (really)'],
      ['"418 I\'m a teapot"', "418 I'm a teapot"],
      ['"599 Own"', '599 Own'],
      ['"200 caf\\xe9"', '200 caf\xe9'],
    ])('W-71 the status %s reaches the client as it is', async (status, sent) => {
      const response = await start(status);
      expect(`${response.status} ${response.reason}`).toBe(sent);
      expect(response.header('X-Refused')).toBeUndefined();
      expect(response.text).toBe('sent, write is a function');
    });

    it.each(lists(headerLists))('W-73 W-78 the headers %s are refused', async (headers, kind) => {
      expectRefusal(await start('"202 Accepted"', headers), 'NWSGI2207', kind);
    });

    it.each([['""'], ['"X I"'], ['" X-I"'], ['"X-I "'], ['"X-A:"'], ['"X-I: 1\\r\\nX-A"'], ['"X\\n"'], ['"X\\x00"'], ['"X-\\xe9"'], ['"X-\\u65e5"'], ['"(X)"'], ['"X@Y"'], ['"X/Y"'], ['"X,Y"'], ['"X\\x7f"']])(
      'W-75 W-78 the header name %s is refused',
      async (name) => {
        expectRefusal(await start('"202 Accepted"', pairs([name, '"1"'])), 'NWSGI2207');
      },
    );

    it.each([['"a\\r\\nX-I: 1"'], ['"a\\nX-I: 1"'], ['"a\\rX-I: 1"'], ['"a\\x00b"'], ['"a\\x01b"'], ['"a\\x1fb"'], ['"a\\x7fb"'], ['"a\\n"']])(
      'W-76 W-78 the header value %s is refused',
      async (value) => {
        expectRefusal(await start('"202 Accepted"', pairs(['"X-V"', value])), 'NWSGI2207');
      },
    );

    it.each([
      ['"a\\tb"', 'a\tb'],
      ['""', ''],
      ['"caf\\xe9"', 'caf\xe9'],
      ['"\\x80\\xff"', '\x80\xff'],
      ['"a; b=\\"c, d\\""', 'a; b="c, d"'],
      [isPython ? '"x" * 4000' : '"x".repeat(4000)', 'x'.repeat(4000)],
    ])('W-76 the header value %s reaches the client byte by byte', async (value, sent) => {
      const response = await start('"202 Accepted"', pairs(['"X-V"', value]));
      expect(response.status).toBe(202);
      expect(response.header('X-V')).toBe(sent);
    });

    it.each([["!#$%&'*+-.^_`|~09azAZ"], ['X'], ['x-lower'], ['X_Under']])('W-75 the header name %s is accepted', async (name) => {
      const response = await start('"202 Accepted"', pairs([JSON.stringify(name), '"1"']));
      expect(response.status).toBe(202);
      expect(response.headers).toContainEqual([name, '1']);
    });

    it.each([
      ['a status', '"200 \\u65e5"', '[]', 'NWSGI2206'],
      ['a header value', '"200 OK"', pairs(['"X-V"', '"\\u65e5"']), 'NWSGI2207'],
      ['a header value with U+0100', '"200 OK"', pairs(['"X-V"', '"\\u0100"']), 'NWSGI2207'],
      ['a header value with half of a surrogate pair', '"200 OK"', pairs(['"X-V"', '"\\ud83d"']), 'NWSGI2207'],
    ])('W-77 W-78 %s above U+00FF is refused', async (_, status, headers, code) => {
      expectRefusal(await start(status, headers), code);
    });

    it.each([
      'Connection',
      'Keep-Alive',
      'Proxy-Authenticate',
      'Proxy-Authorization',
      'TE',
      'Trailer',
      'Trailers',
      'Transfer-Encoding',
      'Upgrade',
      'connection',
      'tRANSFER-eNCODING',
    ])('W-79 W-104 the hop-by-hop header %s is refused', async (name) => {
      const value = /encoding/i.test(name) ? 'chunked' : /^connection/i.test(name) ? 'X-Foo' : 'websocket';
      expectRefusal(await start('"202 Accepted"', pairs([`"${name}"`, `"${value}"`])), 'NWSGI2207');
    });

    it.each(['Status', 'status', 'STATUS'])('W-80 the header %s is refused and does not become the status', async (name) => {
      expectRefusal(await start('"202 Accepted"', pairs([`"${name}"`, '"404 Nope"'])), 'NWSGI2207');
    });

    it.each([
      ['letters', pairs(['"Content-Length"', '"abc"'])],
      ['a negative number', pairs(['"Content-Length"', '"-1"'])],
      ['a sign', pairs(['"Content-Length"', '"+5"'])],
      ['a fraction', pairs(['"Content-Length"', '"5.0"'])],
      ['hexadecimal', pairs(['"Content-Length"', '"0x5"'])],
      ['an empty value', pairs(['"Content-Length"', '""'])],
      ['a space', pairs(['"Content-Length"', '"5 "'])],
      ['a list', pairs(['"Content-Length"', '"5, 5"'])],
      ['more than fits', pairs(['"Content-Length"', '"99999999999999999999"'])],
      ['two equal values', pairs(['"Content-Length"', '"5"'], ['"content-length"', '"5"'])],
      ['two different values', pairs(['"Content-Length"', '"5"'], ['"Content-Length"', '"6"'])],
    ])('W-101 a Content-Length with %s is refused', async (_, headers) => {
      expectRefusal(await start('"202 Accepted"', headers), 'NWSGI2207');
    });

    it('W-95 names the offending header in the message', async () => {
      const response = await start('"200 OK"', pairs(['"Good"', '"1"'], ['"Bad Name"', '"2"']));
      expect((JSON.parse(response.text) as { message: string }).message).toMatch(/["']Bad Name["']/);
    });
  });
}
