// Variables of the server and of the configuration in the environ: W-10, W-20 and W-24 to W-29 (PEP 3333).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type HttpdServer, projectRoot, useServer } from '../../harness/index.js';
import { environFor, rawRequest, type Seen } from '../environ.js';
import { filesOf, mount, type Language } from '../language.js';

/** Indices of the virtual hosts. */
const plain = 0;
const tls = 1;
const tlsWithoutVariables = 2;
/** Nothing here sets variables of its own. */
const bare = 3;

const credentials = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
// htpasswd -nbs: {SHA} of "secret".
const passwords = 'ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n';

const privateLocation = (server: HttpdServer) => [
  '<Location /private>',
  '  AuthType Basic',
  '  AuthName "test"',
  '  AuthBasicProvider file',
  `  AuthUserFile "${join(server.root, 'passwords')}"`,
  '  Require valid-user',
  '</Location>',
];

/** What a request and the server say; SetEnv does not get the better of them. */
const forged = ['REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'CONTENT_LENGTH', 'HTTP_X_FOO', 'SERVER_PROTOCOL', 'wsgi.url_scheme', 'wsgi.input', 'wsgi.version', 'nwsgi.version'];

/** Variables in the guide's table that only applications in JavaScript see. */
const ofJavaScript = ['nwsgi.interleaved', 'nwsgi.signal'];

/** Names of variables in the first cells of a document's tables: | `NAME`, `NAME_*` | … | */
const documentedIn = (document: string): string[] =>
  readFileSync(join(projectRoot, 'docs', document), 'utf8')
    .split('\n')
    .map((line) => /^\|\s*(`[^|]*`)\s*\|/.exec(line)?.[1] ?? '')
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string))
    .filter((name) => /^([A-Z][A-Z0-9_]*\*?|(n?wsgi|mod_wsgi|apache)\.[a-z0-9_]+)$/.test(name));

export function environVariables(language: Language): void {
  describe('variables in the environ', () => {
    const server = useServer(
      {
        modules: ['auth_basic', 'authn_core', 'authn_file', 'authz_user', 'filter', 'deflate', 'rewrite'],
        apps: filesOf(language, ['show-environ', 'show-method', 'other-callable']),
        env: { TEST_SECRET: 'of the operating system', TEST_PASSED: 'by PassEnv' },
        directives: ['WSGIApplicationGroup %{GLOBAL}'],
        vhosts: [
          {
            directives: (s: HttpdServer) => [
              'ServerAdmin admin@example.test',
              'SetEnv my.key v',
              'SetEnv MY_EMPTY ""',
              'SetEnv MY_BYTES "caf\u00e9"',
              'SetEnv __proto__ own',
              'SetEnv constructor own',
              'PassEnv TEST_PASSED',
              'SetEnvIf X-Colour (.+) COLOUR=$1',
              mount(language, s, '/env', 'show-environ'),
              mount(language, s, '/method', 'show-method'),
              mount(language, s, '/get-for-head', 'show-method'),
              '<Location /get-for-head>\n  WSGIMapHEADToGET On\n</Location>',
              mount(language, s, '/filtered', 'show-method'),
              '<Location /filtered>\n  SetOutputFilter DEFLATE\n</Location>',
              mount(language, s, '/filtered-head', 'show-method'),
              '<Location /filtered-head>\n  SetOutputFilter DEFLATE\n  WSGIMapHEADToGET Off\n</Location>',
              mount(language, s, '/private', 'show-environ'),
              ...privateLocation(s),
              mount(language, s, '/forged', 'show-environ'),
              '<Location /forged>',
              ...forged.map((name) => `  SetEnv ${name} forged`),
              '</Location>',
              mount(language, s, '/instructed', 'other-callable'),
              '<Location /instructed>\n  SetEnv nwsgi.x-callable other\n  SetEnv nwsgi.x-error-page development\n</Location>',
              mount(language, s, '/chosen', 'other-callable'),
              '<Location /chosen>\n  SetEnv WANTED other\n  WSGICallableObject %{ENV:WANTED}\n</Location>',
              'RewriteEngine On',
              'RewriteRule ^/moved/(.*)$ /env/$1?moved=1 [PT,QSA,E=REWRITTEN:$1]',
              'ErrorDocument 404 /env/error-document',
            ],
          },
          {
            tls: true,
            directives: (s: HttpdServer) => ['SSLOptions +StdEnvVars', mount(language, s, '/env', 'show-environ')],
          },
          { tls: true, directives: (s: HttpdServer) => mount(language, s, '/env', 'show-environ') },
          {
            directives: (s: HttpdServer) => [
              mount(language, s, '/env', 'show-environ'),
              mount(language, s, '/private', 'show-environ'),
              ...privateLocation(s),
              'ErrorDocument 404 /env/error-document',
            ],
          },
        ],
      },
      (s) => void s.writeFile('passwords', passwords),
    );

    const environ = async (path: string, options: Parameters<HttpdServer['request']>[1] = {}) => (await server.request(path, options)).json() as Seen;

    it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'PROPFIND', 'BREW', 'get'])('W-10: REQUEST_METHOD is %s as sent', async (method) => {
      const client = await server.raw();
      await client.send(`${method} /method HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      const response = await client.readResponse({ method });
      client.close();
      expect(response.status).toBe(200);
      expect(response.header('x-method')).toBe(method);
      expect(response.header('x-method-type')).toBe('string');
    });

    it('W-10: TRACE does not reach the application', async () => {
      const response = await rawRequest(server, ['TRACE /method HTTP/1.1', 'Host: localhost']);
      expect(response.header('x-method')).toBeUndefined();
    });

    it('W-10: WSGIMapHEADToGET shows HEAD as GET: always with On, with an output filter by default, never with Off', async () => {
      const methodSeen = async (path: string) => (await server.request(path, { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } })).headers['x-method'];
      expect(await methodSeen('/method')).toBe('HEAD');
      expect(await methodSeen('/get-for-head')).toBe('GET');
      expect(await methodSeen('/filtered')).toBe('GET');
      expect(await methodSeen('/filtered-head')).toBe('HEAD');
    });

    it.each(['HTTP/1.0', 'HTTP/1.1'])('W-20: SERVER_PROTOCOL is %s as the client used it', async (version) => {
      expect((await environFor(server, [`GET /env ${version}`, 'Host: localhost'])).SERVER_PROTOCOL).toBe(version);
    });

    it('W-20: SERVER_PROTOCOL of a request without a version is HTTP/0.9, and the answer is the bare body', async () => {
      const client = await server.raw();
      await client.send('GET /env\r\n');
      const seen = JSON.parse((await client.readAll()).toString('utf8')) as Seen;
      expect(seen.SERVER_PROTOCOL).toBe('HTTP/0.9');
      expect(seen.PATH_INFO).toBe('');
    });

    it('W-24: variables without a value are left out: no user, no type, no length, nothing undefined or null', async () => {
      const seen = await environ('/env');
      for (const name of ['REMOTE_USER', 'AUTH_TYPE', 'CONTENT_TYPE', 'CONTENT_LENGTH', 'HTTPS', 'COLOUR', 'REDIRECT_URL']) expect(seen).not.toHaveProperty(name);
      for (const value of Object.values(seen)) expect([null, '[undefined]']).not.toContain(value);
    });

    it.each([plain, tls])('W-25: every variable whose name has no dot is a string (virtual host %i)', async (host) => {
      const seen = await environ('/env?q', { host, method: 'POST', body: 'abc', headers: { 'X-Colour': '1' } });
      const others = Object.entries(seen).filter(([name, value]) => !name.includes('.') && typeof value !== 'string');
      expect(others).toEqual([]);
    });

    it('W-26: the variables of CGI and of Apache have their values', async () => {
      const client = await server.raw();
      await client.send('GET /env/x?q HTTP/1.1\r\nHost: localhost\r\n\r\n');
      const seen = JSON.parse((await client.readResponse()).text) as Seen;
      expect(seen).toMatchObject({
        GATEWAY_INTERFACE: 'CGI/1.1',
        REMOTE_ADDR: '127.0.0.1',
        REMOTE_PORT: String(client.socket.localPort),
        SERVER_ADDR: '127.0.0.1',
        SERVER_ADMIN: 'admin@example.test',
        SERVER_NAME: 'localhost',
        DOCUMENT_ROOT: `${server.root}/htdocs`,
        SCRIPT_FILENAME: server.app(language.find('show-environ').file),
        REQUEST_SCHEME: 'http',
        REQUEST_METHOD: 'GET',
      });
      expect(seen.SERVER_SOFTWARE).toMatch(/^Apache/);
      client.close();
    });

    it('W-26: nwsgi.request_id is there and differs between requests', async () => {
      const seen = await environ('/env');
      expect(seen['nwsgi.request_id']).toMatch(/^\S{8,}$/);
      expect((await environ('/env'))['nwsgi.request_id']).not.toBe(seen['nwsgi.request_id']);
    });

    it('W-26: AUTH_TYPE and REMOTE_USER are those of a user that Apache has authenticated, without the password', async () => {
      expect((await server.get('/private')).status).toBe(401);
      expect((await server.get('/private', { Authorization: `Basic ${Buffer.from('ann:wrong').toString('base64')}` })).status).toBe(401);
      const seen = await environ('/private', { headers: { Authorization: credentials } });
      expect([seen.AUTH_TYPE, seen.REMOTE_USER]).toEqual(['Basic', 'ann']);
      expect(seen).not.toHaveProperty('HTTP_AUTHORIZATION');
    });

    it('W-24, W-31: credentials that nobody has checked make no REMOTE_USER', async () => {
      const seen = await environ('/env', { headers: { Authorization: credentials } });
      expect(seen).not.toHaveProperty('REMOTE_USER');
      expect(seen).not.toHaveProperty('AUTH_TYPE');
    });

    it('W-26: an address that was rewritten keeps its own REQUEST_URI', async () => {
      const seen = await environ('/moved/here?own=2');
      expect(seen).toMatchObject({ SCRIPT_NAME: '/env', PATH_INFO: '/here', QUERY_STRING: 'moved=1&own=2', REQUEST_URI: '/moved/here?own=2', REWRITTEN: 'here' });
    });

    it('W-26: an application that is an ErrorDocument sees the address that failed', async () => {
      const response = await server.get('/nowhere?q=1');
      // It said 200, which makes the page and not the status.
      expect(response.status).toBe(404);
      const seen = response.json() as Seen;
      expect(seen).toMatchObject({ PATH_INFO: '/error-document', REDIRECT_STATUS: '404', REDIRECT_URL: '/nowhere', REDIRECT_QUERY_STRING: 'q=1', REQUEST_URI: '/nowhere?q=1' });
    });

    it('W-27: with TLS and StdEnvVars the variables of mod_ssl are there', async () => {
      const seen = await environ('/env', { host: tls });
      expect(seen).toMatchObject({ HTTPS: 'on', 'wsgi.url_scheme': 'https', REQUEST_SCHEME: 'https', SSL_SERVER_S_DN_CN: 'localhost' });
      expect(seen.SSL_PROTOCOL).toMatch(/^TLSv1\.[23]$/);
      expect(seen.SSL_CIPHER).toMatch(/^[A-Z0-9_-]{8,}$/);
    });

    it('W-27: without StdEnvVars only HTTPS is there', async () => {
      const seen = await environ('/env', { host: tlsWithoutVariables });
      expect(seen.HTTPS).toBe('on');
      expect(seen).not.toHaveProperty('SSL_PROTOCOL');
    });

    it('W-29: values of SetEnv, SetEnvIf and PassEnv arrive under their own names, as latin-1', async () => {
      const seen = await environ('/env', { headers: { 'X-Colour': 'blue' } });
      expect(seen).toMatchObject({ 'my.key': 'v', MY_EMPTY: '', MY_BYTES: 'caf\xc3\xa9', TEST_PASSED: 'by PassEnv', COLOUR: 'blue' });
    });

    it('W-29: the environment of the operating system stays outside', async () => {
      const seen = await environ('/env');
      for (const name of ['TEST_SECRET', 'PATH', 'HOME', 'LANG', 'LD_LIBRARY_PATH']) expect(seen).not.toHaveProperty(name);
    });

    it('W-29: SetEnv __proto__ and constructor make ordinary variables', async () => {
      expect(Object.entries(await environ('/env'))).toEqual(expect.arrayContaining([['__proto__', 'own'], ['constructor', 'own']]));
    });

    it('W-29: SetEnv does not replace what the request itself says, nor wsgi.* and nwsgi.*', async () => {
      const seen = await environ('/forged/p?q', { method: 'POST', body: 'abc', headers: { 'X-Foo': 'true' } });
      expect(seen).toMatchObject({
        REQUEST_METHOD: 'POST',
        SCRIPT_NAME: '/forged',
        PATH_INFO: '/p',
        QUERY_STRING: 'q',
        CONTENT_LENGTH: '3',
        HTTP_X_FOO: 'true',
        SERVER_PROTOCOL: 'HTTP/1.1',
        'wsgi.url_scheme': 'http',
        'wsgi.version': [1, 0],
        'wsgi.input': '[object]',
      });
      expect(seen['nwsgi.version']).not.toBe('forged');
    });

    it('W-29: SetEnv cannot give orders to the gateway', async () => {
      expect((await server.get('/instructed')).text).toBe('application');
      expect((await server.get('/chosen')).text).toBe('other');
    });

    it('W-28: the tables of variables in the documentation name exactly what applications see', async () => {
      const seen = new Set<string>();
      const look = async (...request: Parameters<typeof environ>) => Object.keys(await environ(...request)).forEach((name) => seen.add(name));
      await look('/env', { host: bare });
      await look('/env?q', { host: bare, method: 'POST', body: 'abc', headers: { 'Content-Type': 'x/y', 'X-Foo': '1' } });
      await look('/private', { host: bare, headers: { Authorization: credentials } });
      await look('/nowhere?q', { host: bare });
      await look('/env', { host: tls });

      // docs/python.md has what Python applications see beside that.
      const others = language.name === 'Python' ? documentedIn('python.md') : [];
      const common = documentedIn('application-guide.md');
      const names = [...common, ...others];
      const families = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
      const inFamily = (name: string) => families.some((family) => name.startsWith(family));

      expect([...seen].filter((name) => !names.includes(name) && !inFamily(name)).sort(), 'seen and not in the guide').toEqual([]);
      const expected = language.name === 'Python' ? [...common.filter((name) => !ofJavaScript.includes(name)), ...others] : common;
      expect(expected.filter((name) => !name.endsWith('*') && !seen.has(name)).sort(), 'in the guide and not seen').toEqual([]);
      expect(families.filter((family) => ![...seen].some((name) => name.startsWith(family))), 'families in the guide and not seen').toEqual([]);
    });
  });
}
