// Where an address ends up in the environ: W-11 to W-15, W-19, W-32, W-33 and W-116 (PEP 3333).
import { describe, expect, it } from 'vitest';
import { head, useServer } from '../../harness/index.js';
import { byteRange, environFor, rawRequest } from '../environ.js';
import { filesOf, mount, type Language } from '../language.js';

/** Indices of the virtual hosts. */
const site = 0;
const tls = 1;
const rootMounts = 2;
const encodedSlashes = 3;
const rawSlashes = 4;
const doubleSlashes = 5;
const named = 6;
const physicalPort = 7;

const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

export function environPaths(language: Language): void {
  describe('addresses in the environ', () => {
    const server = useServer({
      apps: filesOf(language, ['show-environ', 'show-url']),
      directives: ['WSGIApplicationGroup %{GLOBAL}'],
      vhosts: [
        {
          directives: (s) => [
            mount(language, s, '/env', 'show-environ'),
            mount(language, s, '/below/', 'show-environ'),
            mount(language, s, '/url', 'show-url'),
            mount(language, s, '"/caf\u00e9 bar"', 'show-environ'),
            mount(language, s, '^/tenant/([a-z]+)', 'show-environ'),
          ],
        },
        { tls: true, directives: (s) => [mount(language, s, '/env', 'show-environ'), mount(language, s, '/url', 'show-url')] },
        {
          directives: (s) => [
            mount(language, s, '/a/b', 'show-environ'),
            mount(language, s, '/a', 'show-environ'),
            mount(language, s, '/', 'show-environ'),
          ],
        },
        { directives: (s) => ['AllowEncodedSlashes On', mount(language, s, '/env', 'show-environ')] },
        { directives: (s) => ['AllowEncodedSlashes NoDecode', mount(language, s, '/env', 'show-environ')] },
        { directives: (s) => ['MergeSlashes Off', mount(language, s, '/env', 'show-environ')] },
        { directives: (s) => ['ServerName named.test:8088', 'UseCanonicalName On', mount(language, s, '/env', 'show-environ')] },
        { directives: (s) => ['UseCanonicalPhysicalPort On', mount(language, s, '/env', 'show-environ'), mount(language, s, '/url', 'show-url')] },
      ],
    });

    const get = (target: string, host = site) => environFor(server, [`GET ${target} HTTP/1.1`, 'Host: localhost'], '', host);
    const statusOf = async (target: string, host = site) => (await rawRequest(server, [`GET ${target} HTTP/1.1`, 'Host: localhost'], '', host)).status;
    const splitOf = async (target: string, host = site) => {
      const environ = await get(target, host);
      return [environ.SCRIPT_NAME, environ.PATH_INFO];
    };

    it.each([
      ['/', '', '/'],
      ['/x', '', '/x'],
      ['/a', '/a', ''],
      ['/a/', '/a', '/'],
      ['/a/x/y', '/a', '/x/y'],
      ['/ab', '', '/ab'],
      ['/a/b', '/a/b', ''],
      ['/a/b/', '/a/b', '/'],
      ['/a/b/c', '/a/b', '/c'],
      ['/a/bc', '/a', '/bc'],
      ['/A', '', '/A'],
    ])('W-11: %s is split into SCRIPT_NAME "%s" and PATH_INFO "%s" by the mounts /a/b, /a and /', async (target, scriptName, pathInfo) => {
      expect(await splitOf(target, rootMounts)).toEqual([scriptName, pathInfo]);
    });

    it('W-11: a mount answers for whole segments only', async () => {
      expect(await splitOf('/env')).toEqual(['/env', '']);
      expect(await statusOf('/environ')).toBe(404);
      expect(await statusOf('/en')).toBe(404);
      expect(await statusOf('/')).not.toBe(500);
    });

    it('W-11: a mount with a slash at its end answers only for what is below it', async () => {
      expect(await splitOf('/below/x')).toEqual(['/below', '/x']);
      expect(await splitOf('/below/')).toEqual(['/below', '/']);
      expect(await statusOf('/below')).toBe(404);
    });

    it('W-11: SCRIPT_NAME of a WSGIScriptAliasMatch is the part of the address that names the script', async () => {
      const environ = await get('/tenant/blue/x');
      expect(`${environ.SCRIPT_NAME as string}${environ.PATH_INFO as string}`).toBe('/tenant/blue/x');
      expect(environ.SCRIPT_NAME).toBe('/tenant/blue');
    });

    it('W-11, W-12: a mount with a space and a non-ASCII letter appears decoded, as latin-1', async () => {
      expect(await splitOf('/caf%C3%A9%20bar/x')).toEqual([latin1('/café bar'), '/x']);
    });

    it('W-12: PATH_INFO is percent-decoded, keeps ";", "+" and "=", and shows bytes as latin-1', async () => {
      expect(await splitOf('/env/\xe9%C3%A9/a%20b;p=1+2=3')).toEqual(['/env', '/\xe9\xc3\xa9/a b;p=1+2=3']);
    });

    it('W-12: decodes once', async () => {
      expect(await splitOf('/env/%2541%253F%23')).toEqual(['/env', '/%41%3F#']);
    });

    it('W-12, W-34: every byte from 0x80 to 0xFF arrives as that code unit, encoded or raw', async () => {
      const bytes = byteRange(0x80, 0xff);
      const encoded = [...bytes].map((byte) => `%${byte.charCodeAt(0).toString(16)}`).join('');
      expect(await splitOf(`/env/${encoded}`)).toEqual(['/env', `/${bytes}`]);
      expect(await splitOf(`/env/${bytes}`)).toEqual(['/env', `/${bytes}`]);
    });

    it('W-12: encoded control characters arrive decoded; %00 and broken escapes do not arrive', async () => {
      expect(await splitOf('/env/a%01b%0D%0Ac%7F')).toEqual(['/env', '/a\x01b\r\nc\x7f']);
      expect(await statusOf('/env/a%00b')).toBe(404);
      expect(await statusOf('/env/a%zzb')).toBe(400);
      expect(await statusOf('/env/a%')).toBe(400);
    });

    it('W-13: an encoded slash is a 404 unless the site allows it', async () => {
      expect(await statusOf('/env/a%2Fb')).toBe(404);
      expect(await statusOf('/env/a%2fb')).toBe(404);
    });

    it('W-13: AllowEncodedSlashes On decodes the slash, NoDecode keeps it encoded', async () => {
      expect(await splitOf('/env/a%2Fb%41', encodedSlashes)).toEqual(['/env', '/a/bA']);
      expect(await splitOf('/env/a%2Fb%41', rawSlashes)).toEqual(['/env', '/a%2FbA']);
    });

    it('W-13: an encoded slash does not take part in finding the mount when it stays encoded', async () => {
      expect(await statusOf('/env%2Fa', rawSlashes)).toBe(404);
    });

    it('W-14: dot segments are resolved before the mount is looked up', async () => {
      expect(await splitOf('/env/x/../b')).toEqual(['/env', '/b']);
      expect(await splitOf('/env/./b/.')).toEqual(['/env', '/b/']);
      expect(await splitOf('/env/x/%2e%2E/b')).toEqual(['/env', '/b']);
      expect(await splitOf('/nowhere/../env/b')).toEqual(['/env', '/b']);
      expect(await statusOf('/env/../nowhere')).toBe(404);
    });

    it('W-14: dot segments do not lead above the root', async () => {
      expect(await statusOf('/../env')).toBe(400);
      expect(await statusOf('/env/../../etc/passwd')).toBe(400);
      expect(await statusOf('/env/%2e%2e/%2e%2e/etc/passwd')).toBe(400);
    });

    it('W-14: repeated slashes count as one by default', async () => {
      expect(await splitOf('//env///a//b//')).toEqual(['/env', '/a/b/']);
    });

    it('W-14: with MergeSlashes Off the mount is found as well, and SCRIPT_NAME and PATH_INFO are the address together', async () => {
      const environ = await get('/env//a//b', doubleSlashes);
      expect(environ.SCRIPT_NAME).toBe('/env');
      expect(environ.PATH_INFO).toBe('//a//b');
    });

    it.each([
      ['/env?q=%41&r=a+b', 'q=%41&r=a+b'],
      ['/env', ''],
      ['/env?', ''],
      ['/env/x?a?b=/../c//d', 'a?b=/../c//d'],
      ['/env?\xe9=%E9%00', '\xe9=%E9%00'],
      ['/env?%2F%zz', '%2F%zz'],
    ])('W-15: QUERY_STRING of %s is as sent: "%s"', async (target, query) => {
      expect((await get(target)).QUERY_STRING).toBe(query);
    });

    it('W-19: SERVER_NAME and SERVER_PORT come from Host', async () => {
      const environ = await environFor(server, ['GET /env HTTP/1.1', 'Host: example.test:81']);
      expect([environ.SERVER_NAME, environ.SERVER_PORT, environ.HTTP_HOST]).toEqual(['example.test', '81', 'example.test:81']);
    });

    it('W-19: HTTP/1.0 without Host gives the configured name, and the port that httpd is told to give', async () => {
      const serverOf = async (host: number) => {
        const environ = await environFor(server, ['GET /env HTTP/1.0'], '', host);
        expect(environ).not.toHaveProperty('HTTP_HOST');
        return [environ.SERVER_NAME, environ.SERVER_PORT];
      };
      // ServerName without a port means the scheme's port (UseCanonicalPhysicalPort).
      expect(await serverOf(site)).toEqual(['localhost', '80']);
      expect(await serverOf(named)).toEqual(['named.test', '8088']);
      expect(await serverOf(physicalPort)).toEqual(['localhost', String(server.ports[physicalPort])]);
    });

    it('W-19: with UseCanonicalName On the configuration goes before Host', async () => {
      const environ = await environFor(server, ['GET /env HTTP/1.1', 'Host: other.test:99'], '', named);
      expect([environ.SERVER_NAME, environ.SERVER_PORT, environ.HTTP_HOST]).toEqual(['named.test', '8088', 'other.test:99']);
    });

    it('W-19: an IPv6 address in Host is a SERVER_NAME in brackets (RFC 3875, 4.1.14)', async () => {
      const environ = await environFor(server, ['GET /env HTTP/1.1', 'Host: [::1]:8080']);
      expect([environ.SERVER_NAME, environ.SERVER_PORT, environ.HTTP_HOST]).toEqual(['[::1]', '8080', '[::1]:8080']);
    });

    it('W-19: HTTP/1.1 without Host, with an empty, a malformed or a second one is a 400', async () => {
      expect((await rawRequest(server, ['GET /env HTTP/1.1', 'Host:'])).status).toBe(400);
      expect((await rawRequest(server, ['GET /env HTTP/1.1'])).status).toBe(400);
      expect((await rawRequest(server, ['GET /env HTTP/1.1', 'Host: a', 'Host: b'])).status).toBe(400);
      expect((await rawRequest(server, ['GET /env HTTP/1.1', 'Host: a b'])).status).toBe(400);
    });

    it('W-32: REQUEST_URI and RAW_URI are the request target as sent', async () => {
      const target = '/env/x/../%61%2E\xe9//b;p?q=%41#\xff';
      const environ = await get(target.replace('#', '%23'));
      expect(environ.REQUEST_URI).toBe(target.replace('#', '%23'));
      expect(environ.RAW_URI).toBe(environ.REQUEST_URI);
      expect((await get('/env/a%2Fb?x', encodedSlashes)).REQUEST_URI).toBe('/env/a%2Fb?x');
    });

    it('W-32, W-33: a target in absolute form is kept as sent, and its host goes before the Host header', async () => {
      const environ = await environFor(server, ['GET http://example.test:81/env/p%20q?x HTTP/1.1', 'Host: other.test']);
      expect(environ.REQUEST_URI).toBe('http://example.test:81/env/p%20q?x');
      expect(environ.RAW_URI).toBe('http://example.test:81/env/p%20q?x');
      expect([environ.SCRIPT_NAME, environ.PATH_INFO, environ.QUERY_STRING]).toEqual(['/env', '/p q', 'x']);
      expect([environ.HTTP_HOST, environ.SERVER_NAME, environ.SERVER_PORT]).toEqual(['example.test:81', 'example.test', '81']);
    });

    it('W-33: a target in absolute form does without Host in HTTP/1.0', async () => {
      const environ = await environFor(server, ['GET http://example.test/env HTTP/1.0']);
      expect(environ.SERVER_NAME).toBe('example.test');
      expect(environ.SCRIPT_NAME).toBe('/env');
    });

    it('W-32: OPTIONS * does not reach an application', async () => {
      const response = await rawRequest(server, ['OPTIONS * HTTP/1.1', 'Host: localhost'], '', rootMounts);
      expect(response.status).toBe(200);
      expect(response.text).not.toContain('REQUEST_METHOD');
    });

    it('does not tell a script from its mount after a request on the same connection to another one', async () => {
      const client = await server.raw(rootMounts);
      const seen: unknown[] = [];
      for (const target of ['/a/b/c', '/a/c', '/c', '/a/b']) {
        await client.send(head(`GET ${target} HTTP/1.1`, 'Host: localhost'));
        const environ = JSON.parse((await client.readResponse()).text) as Record<string, unknown>;
        seen.push([environ.SCRIPT_NAME, environ.PATH_INFO]);
      }
      client.close();
      expect(seen).toEqual([['/a/b', '/c'], ['/a', '/c'], ['', '/c'], ['/a/b', '']]);
    });

    describe(`W-116: ${language.name === 'Python' ? 'wsgiref.util.request_uri()' : 'requestUri()'} rebuilds the address`, () => {
      const urls = async (lines: readonly string[], host = site) =>
        (await environFor(server, lines, '', host)) as { uri: string; bare: string; path: string };

      it('from Host, with the query or without it', async () => {
        const { uri, bare } = await urls(['GET /url/a/b?q=%41+b HTTP/1.1', 'Host: example.test:81']);
        expect(uri).toBe('http://example.test:81/url/a/b?q=%41+b');
        expect(bare).toBe('http://example.test:81/url/a/b');
      });

      it('with exactly one level of quoting for spaces, non-ASCII bytes and reserved characters', async () => {
        const { uri, path } = await urls(['GET /url/caf%C3%A9/a%20b%3F%23%25/%e9;p=1 HTTP/1.1', 'Host: example.test']);
        expect(uri).toBe('http://example.test/url/caf%C3%A9/a%20b%3F%23%25/%E9;p=1');
        expect(path).toBe('/café/a b?#%/\ufffd;p=1');
      });

      it('with raw non-ASCII bytes in the target', async () => {
        const { uri, path } = await urls([`GET /url/${latin1('ü')} HTTP/1.1`, 'Host: example.test']);
        expect(uri).toBe('http://example.test/url/%C3%BC');
        expect(path).toBe('/ü');
      });

      it('without Host, from the name and the port of the server', async () => {
        expect((await urls(['GET /url HTTP/1.0'], physicalPort)).uri).toBe(`http://localhost:${server.ports[physicalPort]}/url`);
        expect((await urls(['GET /url HTTP/1.0'])).uri).toBe('http://localhost/url');
      });

      it('without the port when that is the default of the scheme', async () => {
        expect((await urls(['GET /url/ HTTP/1.1', 'Host: h.test:80', 'X-Without-Host: 1'])).uri).toBe('http://h.test/url/');
        expect((await urls(['GET /url/ HTTP/1.1', 'Host: h.test:443', 'X-Without-Host: 1'])).uri).toBe('http://h.test:443/url/');
        expect((await urls(['GET /url/ HTTP/1.1', 'Host: h.test:443', 'X-Without-Host: 1'], tls)).uri).toBe('https://h.test/url/');
        expect((await urls(['GET /url/ HTTP/1.1', 'Host: h.test:80', 'X-Without-Host: 1'], tls)).uri).toBe('https://h.test:80/url/');
      });

      it('with an IPv6 host, from Host and from SERVER_NAME', async () => {
        expect((await urls(['GET /url HTTP/1.1', 'Host: [::1]:81'])).uri).toBe('http://[::1]:81/url');
        expect((await urls(['GET /url HTTP/1.1', 'Host: [::1]:81', 'X-Without-Host: 1'])).uri).toBe('http://[::1]:81/url');
      });

      it('with https', async () => {
        expect((await urls(['GET /url?x HTTP/1.1', 'Host: example.test'], tls)).uri).toBe('https://example.test/url?x');
      });
    });
  });
}
