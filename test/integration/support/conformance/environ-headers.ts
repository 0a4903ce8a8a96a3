// Request headers in the environ: W-16 to W-18, W-21 to W-23, W-30, W-31, W-34 and W-35 (PEP 3333).
import { describe, expect, it } from 'vitest';
import { type HttpdServer, useServer } from '../../harness/index.js';
import { byteRange, environFor, rawRequest, type Seen } from '../environ.js';
import { filesOf, mount, type Language } from '../language.js';

/** Indices of the virtual hosts. */
const plain = 0;
const h2 = 1;
const h2c = 2;

const httpVariables = (environ: Seen) =>
  Object.fromEntries(Object.entries(environ).filter(([name]) => name.startsWith('HTTP_') && !['HTTP_HOST', 'HTTP_CONNECTION'].includes(name)));

export function environHeaders(language: Language): void {
  describe('headers in the environ', () => {
    const server = useServer({
      modules: ['auth_basic', 'authn_core', 'authn_file', 'authz_user'],
      apps: filesOf(language, ['show-environ']),
      directives: ['WSGIApplicationGroup %{GLOBAL}'],
      vhosts: [
        {
          directives: (s) => [
            mount(language, s, '/env', 'show-environ'),
            mount(language, s, '/pass-by-option', 'show-environ', 'pass-authorization=On'),
            mount(language, s, '/pass-by-directive', 'show-environ'),
            '<Location /pass-by-directive>',
            '  WSGIPassAuthorization On',
            '</Location>',
            mount(language, s, '/hide-by-option', 'show-environ', 'pass-authorization=Off'),
            '<Location /hide-by-option>',
            '  WSGIPassAuthorization On',
            '</Location>',
            mount(language, s, '/replaced-cookie', 'show-environ'),
            '<Location /replaced-cookie>',
            '  RequestHeader set Cookie "set=by, server=1"',
            '</Location>',
          ],
        },
        { tls: true, http2: true, directives: (s: HttpdServer) => mount(language, s, '/env', 'show-environ') },
        { http2: true, directives: (s: HttpdServer) => mount(language, s, '/env', 'show-environ') },
      ],
    });

    const withHeaders = (...lines: string[]) => environFor(server, ['GET /env HTTP/1.1', 'Host: localhost', ...lines]);
    const statusWith = async (...lines: string[]) => (await rawRequest(server, ['GET /env HTTP/1.1', 'Host: localhost', ...lines])).status;

    it('W-16, W-17: CONTENT_TYPE and CONTENT_LENGTH are absent without those headers', async () => {
      const environ = await withHeaders();
      expect(environ).not.toHaveProperty('CONTENT_TYPE');
      expect(environ).not.toHaveProperty('CONTENT_LENGTH');
    });

    it('W-16, W-17, W-18: they have the values of the headers, as strings, and no second name', async () => {
      const environ = await environFor(
        server,
        ['POST /env HTTP/1.1', 'Host: localhost', 'content-type: Text/X; charset="\xe9"', 'CONTENT-LENGTH: 5'],
        'abcde',
      );
      expect(environ.CONTENT_TYPE).toBe('Text/X; charset="\xe9"');
      expect(environ.CONTENT_LENGTH).toBe('5');
      expect(environ).not.toHaveProperty('HTTP_CONTENT_TYPE');
      expect(environ).not.toHaveProperty('HTTP_CONTENT_LENGTH');
    });

    it('W-17: "Content-Length: 0" is told, and an empty Content-Type is an empty string', async () => {
      const environ = await environFor(server, ['POST /env HTTP/1.1', 'Host: localhost', 'Content-Type:', 'Content-Length: 0']);
      expect(environ.CONTENT_LENGTH).toBe('0');
      expect(environ.CONTENT_TYPE).toBe('');
    });

    it('W-17: a chunked body has no CONTENT_LENGTH, also when the client sends one beside', async () => {
      const chunked = ['POST /env HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked'];
      expect(await environFor(server, chunked, '0\r\n\r\n')).not.toHaveProperty('CONTENT_LENGTH');
      const both = await rawRequest(server, [...chunked, 'Content-Length: 5'], '0\r\n\r\n');
      // httpd may refuse the request or ignore the length; it must not believe it.
      if (both.status === 200) expect(JSON.parse(both.text)).not.toHaveProperty('CONTENT_LENGTH');
      else expect(both.status).toBe(400);
    });

    it.each(['abc', '-1', '+5', '5, 6', '0x5', '99999999999999999999999'])('W-17: "Content-Length: %s" is a 400', async (value) => {
      expect((await rawRequest(server, ['POST /env HTTP/1.1', 'Host: localhost', `Content-Length: ${value}`], 'abcde')).status).toBe(400);
    });

    it('W-18, W-23: names that only look like Content-Length and Content-Type are dropped', async () => {
      const environ = await withHeaders('Content_Length: 99', 'Content_Type: text/evil', 'Content.Length: 98');
      expect(environ).not.toHaveProperty('CONTENT_LENGTH');
      expect(environ).not.toHaveProperty('CONTENT_TYPE');
      expect(httpVariables(environ)).toEqual({});
    });

    it('W-18, W-23: they do not change a true Content-Length either', async () => {
      const environ = await environFor(server, ['POST /env HTTP/1.1', 'Host: localhost', 'Content_Length: 99', 'Content-Length: 3', 'Content_Length: 98'], 'abc');
      expect(environ.CONTENT_LENGTH).toBe('3');
      expect(environ).not.toHaveProperty('HTTP_CONTENT_LENGTH');
    });

    it('W-21: HTTP_ variables mirror the headers: upper case, "-" as "_", empty values, no others', async () => {
      const environ = await withHeaders('X-Foo: a', 'x-lower-Case-3: b', 'X-Empty:', 'X-Blanks: \t c d \t ', 'X:y');
      expect(httpVariables(environ)).toEqual({ HTTP_X_FOO: 'a', HTTP_X_LOWER_CASE_3: 'b', HTTP_X_EMPTY: '', HTTP_X_BLANKS: 'c d', HTTP_X: 'y' });
    });

    it('W-21: headers do not stay for the next request of the connection', async () => {
      const client = await server.raw();
      await client.send('GET /env HTTP/1.1\r\nHost: localhost\r\nX-First: 1\r\nCookie: a=1\r\nContent-Type: x/y\r\n\r\n');
      expect(JSON.parse((await client.readResponse()).text)).toMatchObject({ HTTP_X_FIRST: '1', HTTP_COOKIE: 'a=1', CONTENT_TYPE: 'x/y' });
      await client.send('GET /env HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const second = JSON.parse((await client.readResponse()).text) as Seen;
      client.close();
      expect(httpVariables(second)).toEqual({});
      expect(second).not.toHaveProperty('CONTENT_TYPE');
    });

    it('W-22: repeated headers are joined with ", " in their order', async () => {
      expect((await withHeaders('X-D: 1', 'X-Other: x', 'x-d: 2, 3', 'X-D: 4')).HTTP_X_D).toBe('1, 2, 3, 4');
    });

    it.each<[string, string[], string]>([
      ['two lines', ['Cookie: a=1', 'Cookie: b=2'], 'a=1; b=2'],
      ['three lines', ['Cookie: a=1', 'Cookie: b=2', 'Cookie: c=3'], 'a=1; b=2; c=3'],
      ['lines with several cookies', ['Cookie: a=1; b=2', 'Cookie: c=3; d=4'], 'a=1; b=2; c=3; d=4'],
      ['other headers between them', ['Cookie: a=1', 'X-Between: x, y=z', 'Cookie: b=2'], 'a=1; b=2'],
      ['names in different case', ['cookie: a=1', 'COOKIE: b=2', 'Cookie: c=3'], 'a=1; b=2; c=3'],
      ['values with commas', ['Cookie: a=1,2', 'Cookie: b=3,c'], 'a=1,2; b=3,c'],
      ['a quoted value with a comma and a blank', ['Cookie: a="x, y"', 'Cookie: b=2'], 'a="x, y"; b=2'],
      ['empty values', ['Cookie: a=', 'Cookie: b='], 'a=; b='],
      ['values with "="', ['Cookie: a=x=y', 'Cookie: b==z='], 'a=x=y; b==z='],
      ['non-ASCII values', ['Cookie: a=\xe9', 'Cookie: b=\xc3\xa9'], 'a=\xe9; b=\xc3\xa9'],
      ['names of all token characters', ["Cookie: !#$%&'*+-.^_`|~9aZ=1", "Cookie: __Host-x=2"], "!#$%&'*+-.^_`|~9aZ=1; __Host-x=2"],
      ['many blanks before the values', ['Cookie:          a=1', 'Cookie: \t\t  b=2'], 'a=1; b=2'],
    ])('W-22: repeated Cookie lines are joined with "; " (%s)', async (_, lines, cookie) => {
      expect((await withHeaders(...lines)).HTTP_COOKIE).toBe(cookie);
    });

    it.each<[string, string[], string]>([
      ['with ", "', ['Cookie: a=1, b=2'], 'a=1, b=2'],
      ['with ", " and many blanks before it', [`Cookie:${' '.repeat(40)}a=1, b=2`], 'a=1, b=2'],
      ['with ", " and tabs before it', ['Cookie:\t\t\ta=1, b=2'], 'a=1, b=2'],
      ['with ", " and no blank before it', ['Cookie:a=1, b=2, c=3'], 'a=1, b=2, c=3'],
      ['among other repeated headers', ['X-D: 1', 'Cookie: a=1, b=2', 'X-D: 2'], 'a=1, b=2'],
      ['without a name', ['Cookie: x, y'], 'x, y'],
      ['that is empty', ['Cookie:'], ''],
    ])('W-22: a single Cookie line stays as it is (%s)', async (_, lines, cookie) => {
      expect((await withHeaders(...lines)).HTTP_COOKIE).toBe(cookie);
    });

    it('W-22: long Cookie lines are joined the same way', async () => {
      const cookies = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}=${name.repeat(1500)}`);
      const environ = await withHeaders(...cookies.map((cookie) => `Cookie: ${cookie}`), 'X-After: 1');
      expect(environ.HTTP_COOKIE).toBe(cookies.join('; '));
      expect(environ.HTTP_X_AFTER).toBe('1');
    });

    it('W-22: ninety Cookie lines are joined the same way', async () => {
      const cookies = Array.from({ length: 90 }, (_, index) => `n${index}=v${index}`);
      expect((await withHeaders(...cookies.map((cookie) => `Cookie: ${cookie}`))).HTTP_COOKIE).toBe(cookies.join('; '));
    });

    it('W-22: Cookie2 and Set-Cookie are ordinary headers', async () => {
      const environ = await withHeaders('Cookie2: a=1', 'Cookie2: b=2', 'Set-Cookie: c=1', 'Set-Cookie: d=2');
      expect(environ.HTTP_COOKIE2).toBe('a=1, b=2');
      expect(environ.HTTP_SET_COOKIE).toBe('c=1, d=2');
    });

    it('W-22: a Cookie header that the configuration sets replaces the lines of the client', async () => {
      const environ = await environFor(server, ['GET /replaced-cookie HTTP/1.1', 'Host: localhost', 'Cookie: a=1', 'Cookie: b=2']);
      expect(environ.HTTP_COOKIE).toMatch(/^set=by[,;] server=1$/);
    });

    it.each([
      ['over TLS', h2],
      ['with prior knowledge', h2c],
    ])('W-20, W-22: HTTP/2 %s: Cookie fields are joined with "; ", other headers with ", "', async (_, host) => {
      const client = await server.http2(host);
      const response = await client.request('/env?q', { headers: { cookie: ['a=1', 'b=2; c=3', 'd=x,y'], 'x-d': ['1', '2'], 'x-one': 'one' } });
      client.close();
      const environ = JSON.parse(response.text) as Seen;
      expect(environ.HTTP_COOKIE).toBe('a=1; b=2; c=3; d=x,y');
      expect(environ.HTTP_X_D).toBe('1, 2');
      expect(environ.HTTP_X_ONE).toBe('one');
      expect(environ.SERVER_PROTOCOL).toBe('HTTP/2.0');
      expect(environ.HTTP_HOST).toBe(`127.0.0.1:${server.ports[host]}`);
      expect([environ.SCRIPT_NAME, environ.PATH_INFO, environ.QUERY_STRING]).toEqual(['/env', '', 'q']);
      expect(Object.keys(environ).filter((name) => name.includes(':'))).toEqual([]);
    });

    it('W-22: HTTP/2: a single cookie with ", " stays as it is', async () => {
      const client = await server.http2(h2);
      const environ = JSON.parse((await client.request('/env', { headers: { cookie: 'a=1, b=2' } })).text) as Seen;
      client.close();
      expect(environ.HTTP_COOKIE).toBe('a=1, b=2');
    });

    it('W-23: a name with "_" cannot pass for one with "-", whichever comes first', async () => {
      expect(httpVariables(await withHeaders('X_Under: evil', 'X-Under: good'))).toEqual({ HTTP_X_UNDER: 'good' });
      expect(httpVariables(await withHeaders('X-Under: good', 'X_Under: evil'))).toEqual({ HTTP_X_UNDER: 'good' });
      expect(httpVariables(await withHeaders('X_Under: evil'))).toEqual({});
    });

    it('W-23: names with other characters than letters, digits and "-" are dropped', async () => {
      const names = ['X.Under', "X!#$%&'*+^`|~Under", '__proto__', '_', 'nwsgi.signal', 'constructor.x'];
      expect(httpVariables(await withHeaders(...names.map((name) => `${name}: evil`)))).toEqual({});
    });

    it('W-23: a header cannot pass for a CGI variable', async () => {
      const environ = await withHeaders('Remote-User: evil', 'Remote_User: evil', 'Script-Name: /evil', 'Https: on', 'Remote-Addr: 6.6.6.6');
      expect(environ).not.toHaveProperty('REMOTE_USER');
      expect(environ).not.toHaveProperty('HTTPS');
      expect(environ.SCRIPT_NAME).toBe('/env');
      expect(environ.REMOTE_ADDR).toBe('127.0.0.1');
      expect(environ.HTTP_REMOTE_USER).toBe('evil');
    });

    it('W-23: malformed header names and lines are a 400', async () => {
      expect(await statusWith('X Space: 1')).toBe(400);
      expect(await statusWith('X-Space : 1')).toBe(400);
      expect(await statusWith('no colon')).toBe(400);
      expect(await statusWith(': no name')).toBe(400);
      expect(await statusWith('X-\xe9: 1')).toBe(400);
    });

    it('W-30: the Proxy header does not become HTTP_PROXY', async () => {
      const environ = await withHeaders('Proxy: http://evil.test/', 'PROXY: http://evil.test/', 'Proxy-Foo: kept');
      expect(httpVariables(environ)).toEqual({ HTTP_PROXY_FOO: 'kept' });
    });

    describe('W-31: Authorization', () => {
      const credentials = `Basic ${Buffer.from('user:secret').toString('base64')}`;
      const get = (path: string) =>
        environFor(server, [`GET ${path} HTTP/1.1`, 'Host: localhost', `Authorization: ${credentials}`, 'Proxy-Authorization: Basic eHg=']);

      it('is hidden by default, with every trace of its content', async () => {
        const environ = await get('/env');
        expect(environ).not.toHaveProperty('HTTP_AUTHORIZATION');
        expect(environ).not.toHaveProperty('HTTP_PROXY_AUTHORIZATION');
        expect(JSON.stringify(environ)).not.toContain(credentials.slice(6));
      });

      it('is passed with pass-authorization=On on the alias, as sent', async () => {
        expect((await get('/pass-by-option')).HTTP_AUTHORIZATION).toBe(credentials);
      });

      it('is passed with WSGIPassAuthorization On', async () => {
        expect((await get('/pass-by-directive')).HTTP_AUTHORIZATION).toBe(credentials);
      });

      it('is hidden by pass-authorization=Off on the alias, whatever the directive says', async () => {
        expect(await get('/hide-by-option')).not.toHaveProperty('HTTP_AUTHORIZATION');
      });
    });

    it('W-34, W-35: header values are the raw bytes as latin-1', async () => {
      const bytes = byteRange(0x80, 0xff);
      const environ = await withHeaders(`X-Bytes: ${bytes}`, 'X-Latin: caf\xe9', 'X-Utf8: caf\xc3\xa9 \xe6\x97\xa5');
      expect(environ.HTTP_X_BYTES).toBe(bytes);
      expect(environ.HTTP_X_LATIN).toBe('caf\xe9');
      expect(environ.HTTP_X_UTF8).toBe('caf\xc3\xa9 \xe6\x97\xa5');
    });

    it('W-35: every printable ASCII character and the tab survive in a value', async () => {
      const value = `|\t${byteRange(0x20, 0x7e)}|`;
      expect((await withHeaders(`X-Ascii: ${value}`)).HTTP_X_ASCII).toBe(value);
    });

    it.each([0x00, 0x01, 0x0b, 0x1f, 0x7f])('W-35: a value with the control character %i is a 400', async (code) => {
      expect(await statusWith(`X-Control: a${String.fromCharCode(code)}b`)).toBe(400);
    });

    it('W-34: lengths around the limits of the record\'s encoding arrive whole (127, 128, 8000 bytes)', async () => {
      for (const length of [0, 1, 127, 128, 129, 255, 256, 8000]) {
        const value = '\xe9'.repeat(length);
        expect((await withHeaders(`X-Long: ${value}`)).HTTP_X_LONG).toBe(value);
      }
      const name = 'N'.repeat(200);
      expect((await withHeaders(`X-${name}: v`))[`HTTP_X_${name}`]).toBe('v');
    });

    it('W-34: a request with 90 headers of 1000 bytes each arrives whole', async () => {
      const lines = Array.from({ length: 90 }, (_, index) => `X-N${index}: ${String(index).padEnd(1000, '.')}`);
      const seen = httpVariables(await withHeaders(...lines));
      expect(Object.keys(seen).length).toBe(90);
      expect(seen.HTTP_X_N89).toBe('89'.padEnd(1000, '.'));
    });

    it('W-113: Connection, TE and Upgrade stay visible, and httpd acts upon Connection itself', async () => {
      const client = await server.raw(plain);
      await client.send('GET /env HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nUpgrade: foo\r\nConnection: close, te, upgrade\r\n\r\n');
      const response = await client.readResponse();
      await client.waitForEnd();
      expect(JSON.parse(response.text)).toMatchObject({ HTTP_TE: 'trailers', HTTP_UPGRADE: 'foo', HTTP_CONNECTION: 'close, te, upgrade' });
      expect(response.header('connection')).toBe('close');
    });
  });
}
