// How settings of server, virtual host, Directory, Location, .htaccess and a mount's own options combine.
import { expect, it } from 'vitest';
import { useServer } from './harness/index.js';

const server = useServer(
  {
    apps: ['identity.mjs', 'several-callables.mjs', 'request-facts.mjs', 'faults/answer.mjs', 'faults/answers-slowly.mjs'],
    threads: 12,
    modules: ['rewrite', 'deflate', 'filter'],
    directives: (s) => [
      'WSGIApplicationGroup of-the-server',
      'WSGIPassAuthorization On',
      'WSGINodeOptions --no-warnings',
      'WSGINodeOptions --stack-trace-limit=17 --max-old-space-size=200',
      `WSGIScriptAlias /base ${s.app('identity.mjs')}`,
      `WSGIScriptAlias /facts ${s.app('request-facts.mjs')}`,
      `<Directory "${s.app('nested')}">`,
      'WSGIApplicationGroup of-the-directory',
      '</Directory>',
      `<Directory "${s.app('nested/deeper')}">`,
      'WSGIApplicationGroup of-the-deeper-directory',
      '</Directory>',
    ],
    vhosts: [
      {},
      {
        directives: (s) => [
          'WSGIApplicationGroup of-the-host',
          'WSGIPassAuthorization Off',
          `WSGIScriptAlias /nested ${s.app('nested/identity.mjs')}`,
          `WSGIScriptAlias /deeper ${s.app('nested/deeper/identity.mjs')}`,
          `WSGIScriptAlias /located ${s.app('nested/identity.mjs')}`,
          '<Location "/located">',
          'WSGIApplicationGroup of-the-location',
          'WSGIPassAuthorization On',
          '</Location>',
          `WSGIScriptAlias /option ${s.app('nested/identity.mjs')} application-group=of-the-mount`,
          '<Location "/option">',
          'WSGIApplicationGroup of-the-location',
          '</Location>',
          `WSGIScriptAlias /secret ${s.app('request-facts.mjs')} pass-authorization=On`,
          `WSGIScriptAlias /if ${s.app('identity.mjs')}`,
          `<If "%{HTTP:X-Group} == 'special'">`,
          'WSGIApplicationGroup of-the-condition',
          '</If>',
        ],
      },
      {
        directives: (s) => [
          `<Directory "${s.app('callables')}">`,
          'AllowOverride FileInfo',
          'WSGICallableObject $third',
          '<Files "by-files.mjs">',
          'WSGICallableObject default',
          '</Files>',
          '</Directory>',
          `WSGIScriptAlias /directory ${s.app('callables/plain/several.mjs')}`,
          `WSGIScriptAlias /files ${s.app('callables/plain/by-files.mjs')}`,
          `WSGIScriptAlias /htaccess ${s.app('callables/htaccess/several.mjs')}`,
          `WSGIScriptAlias /option ${s.app('callables/htaccess/several.mjs')} callable-object=application`,
          `WSGIScriptAlias /forbidden ${s.app('callables/forbidden/several.mjs')}`,
          `WSGIScriptAlias /variable ${s.app('several-callables.mjs')} callable-object=%{ENV:CALLABLE}`,
          'SetEnvIf X-Callable (.+) CALLABLE=$1',
          `WSGIScriptAlias /process-group ${s.app('several-callables.mjs')} process-group=%{ENV:PROCESS_GROUP}`,
          'SetEnvIf X-Process-Group (.+) PROCESS_GROUP=$1',
        ],
      },
      {
        directives: (s) => [
          ...['none', 'on', 'off', 'auto'].map((name) => `WSGIScriptAlias /${name} ${s.app('request-facts.mjs')}`),
          ...['on', 'off', 'auto'].flatMap((name) => [`<Location "/${name}">`, `WSGIMapHEADToGET ${name}`, '</Location>']),
          `WSGIScriptAlias /filtered ${s.app('request-facts.mjs')}`,
          '<Location "/filtered">',
          'SetOutputFilter DEFLATE',
          '</Location>',
          `WSGIScriptAlias /whole ${s.app('request-facts.mjs')}`,
          '<Location "/whole">',
          'WSGIChunkedRequest Off',
          '</Location>',
          `WSGIScriptAlias /bad-dev ${s.app('bad/throws.mjs')}`,
          `WSGIScriptAlias /bad ${s.app('bad/throws.mjs')}`,
          '<Location "/bad-dev">',
          'WSGIErrorPage Development',
          '</Location>',
          'WSGIRequestTimeout 400ms',
          `WSGIScriptAlias /limited ${s.app('faults/answers-slowly.mjs')}`,
          `WSGIScriptAlias /unlimited ${s.app('faults/answers-slowly.mjs')}`,
          '<Location "/unlimited">',
          'WSGIRequestTimeout 0',
          '</Location>',
        ],
      },
    ],
  },
  (s) => {
    const identity = `export { application } from '../identity.mjs';`;
    s.writeApp('nested/identity.mjs', identity);
    s.writeApp('nested/deeper/identity.mjs', identity.replace('..', '../..'));
    const several = (up: string) => `export * from '${up}/several-callables.mjs';\nexport { default } from '${up}/several-callables.mjs';`;
    s.writeApp('callables/plain/several.mjs', several('../..'));
    s.writeApp('callables/plain/by-files.mjs', several('../..'));
    s.writeApp('callables/htaccess/several.mjs', several('../..'));
    s.writeApp('callables/htaccess/.htaccess', 'WSGICallableObject other\n');
    s.writeApp('callables/forbidden/several.mjs', several('../..'));
    s.writeApp('callables/forbidden/.htaccess', 'WSGIApplicationGroup mine\n');
    s.writeApp('bad/throws.mjs', `export function application() { throw new Error('a telling message'); }\n`);
  },
);

const group = async (path: string, host = 0, headers: Record<string, string> = {}) => {
  const response = await server.request(path, { host, headers });
  expect(response.status, response.text).toBe(200);
  return (response.json() as { group: string }).group;
};
const text = async (path: string, host: number, headers: Record<string, string> = {}) => {
  const response = await server.request(path, { host, headers });
  return response.status === 200 ? (response.text.split(' ')[0] as string) : response.status;
};

it('uses the setting of the main server where nothing else is said', async () => {
  expect(await group('/base')).toBe('of-the-server');
});

it('prefers a virtual host over the main server, also for a mount that the main server declares', async () => {
  expect(await group('/base', 1)).toBe('of-the-host');
});

it('prefers Directory over the virtual host, and the deeper Directory over the other', async () => {
  expect(await group('/nested', 1)).toBe('of-the-directory');
  expect(await group('/deeper', 1)).toBe('of-the-deeper-directory');
});

it('prefers Location over Directory', async () => {
  expect(await group('/located', 1)).toBe('of-the-location');
});

it("prefers a mount's own option over every section", async () => {
  expect(await group('/option', 1)).toBe('of-the-mount');
});

it('honours <If> sections', async () => {
  expect(await group('/if', 1)).toBe('of-the-host');
  expect(await group('/if', 1, { 'X-Group': 'special' })).toBe('of-the-condition');
});

it('takes WSGICallableObject from Directory, Files, .htaccess and the mount, the nearest winning', async () => {
  expect(await text('/directory', 2)).toBe('$third');
  expect(await text('/files', 2)).toBe('default');
  expect(await text('/htaccess', 2)).toBe('other');
  expect(await text('/option', 2)).toBe('application');
});

it('expands %{ENV:…} in the name of the callable for each request, and refuses what is no name', async () => {
  expect(await text('/variable', 2, { 'X-Callable': 'other' })).toBe('other');
  expect(await text('/variable', 2, { 'X-Callable': 'application' })).toBe('application');
  expect(await text('/variable', 2, { 'X-Callable': 'no such thing' })).toBe(500);
  expect(await text('/variable', 2, { 'X-Callable': 'absent' })).toBe(500);
});

it('expands %{ENV:…} in the name of the process group for each request, and answers 500 when there is no such group', async () => {
  expect(await text('/process-group', 2)).toBe('application');
  expect(await text('/process-group', 2, { 'X-Process-Group': '%{GLOBAL}' })).toBe('application');
  const since = server.mark();
  expect(await text('/process-group', 2, { 'X-Process-Group': 'nobody' })).toBe(500);
  await server.expectLog(/NWSGI1206.*nobody/, { since });
});

it('refuses WSGIApplicationGroup in .htaccess and says why in the log', async () => {
  const since = server.mark();
  expect(await text('/forbidden', 2)).toBe(500);
  await server.expectLog(/WSGIApplicationGroup not allowed here/, { since });
});

it('passes Authorization where it is switched on, and nowhere else', async () => {
  const headers = { Authorization: 'Bearer token' };
  const seen = async (path: string, host: number) => (await server.request(path, { host, headers })).headers['x-authorization'];
  expect(await seen('/facts', 0)).toBe('Bearer token');
  expect(await seen('/facts', 1)).toBe('none');
  expect(await seen('/secret', 1)).toBe('Bearer token');
  expect(await seen('/facts', 2)).toBe('Bearer token');
});

it('gives HEAD to the application as WSGIMapHEADToGET says: as GET only where a filter needs the body', async () => {
  const method = async (path: string) => (await server.request(path, { host: 3, method: 'HEAD' })).headers['x-method'];
  expect(await method('/none')).toBe('HEAD');
  expect(await method('/on')).toBe('GET');
  expect(await method('/off')).toBe('HEAD');
  expect(await method('/auto')).toBe('HEAD');
  expect(await method('/filtered')).toBe('GET');
});

it('takes a chunked body by default, and refuses it with 411 where WSGIChunkedRequest is off', async () => {
  const send = (path: string) =>
    server.request(path, {
      host: 3,
      body: (async function* () {
        yield 'some bytes';
      })(),
    });
  expect((await send('/none')).status).toBe(200);
  expect((await send('/whole')).status).toBe(411);
});

it('shows errors in the browser only where WSGIErrorPage says Development', async () => {
  const development = await server.request('/bad-dev', { host: 3 });
  const production = await server.request('/bad', { host: 3 });
  expect([development.status, production.status]).toEqual([500, 500]);
  expect(development.text).toContain('a telling message');
  expect(production.text).not.toContain('a telling message');
});

it('limits the time to the answer where WSGIRequestTimeout says so, and not where it is 0', async () => {
  const limited = await server.request('/limited?1500', { host: 3 });
  expect(limited.status).toBe(504);
  expect((await server.request('/limited?1', { host: 3 })).status).toBe(200);
  expect((await server.request('/unlimited?1000', { host: 3 })).status).toBe(200);
});

it('hands all WSGINodeOptions to Node', async () => {
  const response = await server.get('/facts');
  expect(response.headers['x-stack-trace-limit']).toBe('17');
  const limit = Number(response.headers['x-heap-limit']);
  expect(limit).toBeGreaterThan(190 * 1024 * 1024);
  expect(limit).toBeLessThan(350 * 1024 * 1024);
});
