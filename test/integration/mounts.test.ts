// Which script a URL reaches, and what SCRIPT_NAME and PATH_INFO the application sees.
import { describe, expect, it } from 'vitest';
import { head, useServer, withServer } from './harness/index.js';

interface Identity {
  scriptName: string;
  pathInfo: string;
  file: string;
  instance: string;
}

const server = useServer(
  {
    apps: ['identity.mjs', 'hello.ts', 'hello.cjs'],
    modules: ['mime', 'status', 'rewrite'],
    directives: 'TypesConfig /etc/mime.types',
    vhosts: [
      {
        directives: (s) => [
          'WSGIApplicationGroup shared',
          `WSGIScriptAlias /file ${s.app('identity.mjs')}`,
          `WSGIScriptAlias /below/ ${s.app('identity.mjs')}`,
          `WSGIScriptAlias /first ${s.app('a.mjs')}`,
          `WSGIScriptAlias /first/deeper ${s.app('b.mjs')}`,
          `WSGIScriptAlias /second/deeper ${s.app('b.mjs')}`,
          `WSGIScriptAlias /second ${s.app('a.mjs')}`,
          `WSGIScriptAlias /ordered/literal ${s.app('a.mjs')}`,
          `WSGIScriptAliasMatch ^/ordered/ ${s.app('b.mjs')}`,
          `WSGIScriptAlias /ordered/hidden ${s.app('a.mjs')}`,
          `WSGIScriptAlias /scripts ${s.app('folder')}`,
          `WSGIScriptAlias /slash/ ${s.app('folder')}/`,
          `WSGIScriptAliasMatch ^/match/([a-z]+) ${s.app('$1.mjs')}`,
          `WSGIScriptAliasMatch ^/escape/(.+)$ ${s.app('folder')}/$1`,
          `WSGIScriptAlias /absent ${s.app('absent.mjs')}`,
          `WSGIScriptAlias /turns-up ${s.app('turns-up.mjs')}`,
          `WSGIScriptAlias "/with blank" ${s.app('identity.mjs')}`,
          'RewriteEngine On',
          'RewriteRule ^/pretty/(.*)$ /file/$1 [PT]',
          'ErrorDocument 410 /file/gone',
          'Redirect gone /was-here',
        ],
      },
      {
        directives: (s) => [
          'WSGIApplicationGroup shared',
          `Alias /static "${s.root}/htdocs"`,
          `WSGIScriptAlias / ${s.app('identity.mjs')}`,
          '<Location "/server-status">',
          'SetHandler server-status',
          '</Location>',
        ],
      },
      {
        directives: (s) => [
          'WSGIApplicationGroup shared',
          'AddHandler wsgi-script .mjs',
          `<Directory "${s.root}/htdocs/run">`,
          'Options +ExecCGI',
          '</Directory>',
          `<Directory "${s.root}/htdocs/run/strict">`,
          'AcceptPathInfo Off',
          '</Directory>',
          '<Files "application">',
          'SetHandler wsgi-script',
          '</Files>',
          `<Directory "${s.root}/htdocs/htaccess">`,
          'AllowOverride FileInfo Options=ExecCGI',
          '</Directory>',
        ],
      },
      { name: 'one.test', port: 1, directives: (s) => `WSGIScriptAlias / ${s.app('a.mjs')}` },
      { name: 'two.test', port: 1, directives: (s) => `WSGIScriptAlias / ${s.app('b.mjs')}` },
    ],
  },
  (s) => {
    const identity = (up: string) => `export { application } from '${up}identity.mjs';\n`;
    for (const name of ['a.mjs', 'b.mjs']) s.writeApp(name, identity('./'));
    s.writeApp('folder/one.mjs', identity('../'));
    s.writeApp('folder/sub/two.mjs', identity('../../'));
    for (const folder of ['run', 'run/strict', 'plain', 'htaccess']) {
      s.writeFile(`htdocs/${folder}/app.mjs`, identity(`${s.root}/apps/`));
    }
    s.writeFile('htdocs/run/application', `exports.application = (environ, startResponse) => (startResponse('200 OK', []), ['by SetHandler']);\n`);
    s.writeFile('htdocs/htaccess/.htaccess', 'Options +ExecCGI\nSetHandler wsgi-script\n');
    s.writeFile('htdocs/file.txt', 'a static file');
  },
);

async function reached(path: string, host = 0): Promise<[string, string, string] | number> {
  const response = await server.request(path, { host });
  if (response.status !== 200) return response.status;
  const { scriptName, pathInfo, file } = response.json() as Identity;
  return [scriptName, pathInfo, file.slice(file.lastIndexOf('/') + 1)];
}

describe('WSGIScriptAlias with a script', () => {
  it.each([
    ['/file', '/file', ''],
    ['/file/', '/file', '/'],
    ['/file/a/b', '/file', '/a/b'],
    ['/file/a%20b?q=/c', '/file', '/a b'],
    ['/file//a', '/file', '/a'],
    ['//file/a', '/file', '/a'],
    ['/below/', '/below', '/'],
    ['/below/x', '/below', '/x'],
    ['/with%20blank/x', '/with blank', '/x'],
  ])('splits %s into "%s" and "%s"', async (url, scriptName, pathInfo) => {
    expect(await reached(url)).toEqual([scriptName, pathInfo, 'identity.mjs']);
  });

  it('matches whole segments of the URL only', async () => {
    expect(await reached('/filename')).toBe(404);
    expect(await reached('/fil')).toBe(404);
    expect(await reached('/FILE')).toBe(404);
  });

  it('with a slash at its end matches only what is below', async () => {
    expect(await reached('/below')).toBe(404);
  });

  it('takes the first match in the order of the configuration', async () => {
    expect(await reached('/first/deeper/x')).toEqual(['/first', '/deeper/x', 'a.mjs']);
    expect(await reached('/second/deeper/x')).toEqual(['/second/deeper', '/x', 'b.mjs']);
    expect(await reached('/second/other')).toEqual(['/second', '/other', 'a.mjs']);
    expect(await reached('/ordered/literal')).toEqual(['/ordered/literal', '', 'a.mjs']);
    expect(await reached('/ordered/hidden')).toMatchObject({ 2: 'b.mjs' });
  });

  it('refuses an encoded slash, as httpd does by default', async () => {
    expect(await reached('/file/a%2Fb')).toBe(404);
  });

  it('answers 404 with the path in the log while the script is missing, and serves it once it is there', async () => {
    const since = server.mark();
    expect(await reached('/absent')).toBe(404);
    await server.expectLog(/NWSGI\d{4}.*absent\.mjs/, { since });
    expect(await reached('/turns-up')).toBe(404);
    server.writeApp('turns-up.mjs', `export { application } from './identity.mjs';\n`);
    expect(await reached('/turns-up/x')).toEqual(['/turns-up', '/x', 'turns-up.mjs']);
  });

  it('is reached by an internal rewrite and as an ErrorDocument', async () => {
    expect(await reached('/pretty/a/b')).toEqual(['/file', '/a/b', 'identity.mjs']);
    const gone = await server.get('/was-here');
    expect(gone.json()).toMatchObject({ scriptName: '/file', pathInfo: '/gone' });
  });
});

describe('WSGIScriptAlias with a folder', () => {
  it('finds the script by the following segments, and gives the rest as PATH_INFO', async () => {
    expect(await reached('/scripts/one.mjs')).toEqual(['/scripts/one.mjs', '', 'one.mjs']);
    expect(await reached('/scripts/one.mjs/a/b')).toEqual(['/scripts/one.mjs', '/a/b', 'one.mjs']);
    expect(await reached('/scripts/sub/two.mjs/c')).toEqual(['/scripts/sub/two.mjs', '/c', 'two.mjs']);
    expect(await reached('/slash/one.mjs/a')).toEqual(['/slash/one.mjs', '/a', 'one.mjs']);
  });

  it('answers 404 for what is not there and 403 for a folder', async () => {
    expect(await reached('/scripts/three.mjs')).toBe(404);
    expect(await reached('/scripts')).toBe(403);
    expect(await reached('/scripts/')).toBe(403);
    expect(await reached('/scripts/sub')).toBe(403);
  });

  it.each(['/scripts/../identity.mjs', '/scripts/%2e%2e/identity.mjs', '/scripts/..%2fidentity.mjs', '/escape/%2e%2e/identity.mjs', '/escape/x/..%2f..%2fidentity.mjs'])(
    'is not left by %s',
    async (path) => {
      const client = await server.raw();
      await client.send(head(`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close'));
      expect((await client.readResponse()).status).toBeGreaterThanOrEqual(400);
      client.close();
    },
  );
});

describe('WSGIScriptAliasMatch', () => {
  it('builds the path of the script from the groups of the expression', async () => {
    expect(await reached('/match/a')).toEqual(['/match/a', '', 'a.mjs']);
    expect(await reached('/match/b')).toEqual(['/match/b', '', 'b.mjs']);
    expect(await reached('/match/c')).toBe(404);
    expect(await reached('/match/1')).toBe(404);
  });

  it('gives what follows the match to the application as PATH_INFO', async () => {
    expect(await reached('/match/a/x/y')).toEqual(['/match/a', '/x/y', 'a.mjs']);
  });
});

describe('a mount of the whole site', () => {
  it('takes every URL', async () => {
    expect(await reached('/', 1)).toEqual(['', '/', 'identity.mjs']);
    expect(await reached('/any/thing', 1)).toEqual(['', '/any/thing', 'identity.mjs']);
  });

  it('takes OPTIONS * without harm', async () => {
    const client = await server.raw(1);
    await client.send(head('OPTIONS * HTTP/1.1', 'Host: localhost', 'Connection: close'));
    expect((await client.readResponse()).status).toBeLessThan(500);
    client.close();
  });

  it('leaves a Location with a SetHandler of its own to that handler', async () => {
    const response = await server.request('/server-status?auto', { host: 1 });
    expect(response.status).toBe(200);
    expect(response.text).toContain('ServerUptimeSeconds');
  });

  it('leaves an Alias to the file behind it', async () => {
    expect((await server.request('/static/file.txt', { host: 1 })).text).toBe('a static file');
    expect((await server.request('/static/absent.txt', { host: 1 })).status).toBe(404);
  });
});

describe('scripts found by their handler', () => {
  it('run where ExecCGI is allowed', async () => {
    expect(await reached('/run/app.mjs/a/b', 2)).toEqual(['/run/app.mjs', '/a/b', 'app.mjs']);
    expect((await server.request('/run/application', { host: 2 })).text).toBe('by SetHandler');
    expect(await reached('/htaccess/app.mjs', 2)).toEqual(['/htaccess/app.mjs', '', 'app.mjs']);
  });

  it('are refused with 403 elsewhere, and the log names Options ExecCGI', async () => {
    const since = server.mark();
    const response = await server.request('/plain/app.mjs', { host: 2 });
    expect(response.status).toBe(403);
    expect(response.text).not.toContain('export');
    await server.expectLog(/NWSGI1203.*ExecCGI/, { since });
  });

  it('honour AcceptPathInfo Off', async () => {
    expect(await reached('/run/strict/app.mjs', 2)).toEqual(['/run/strict/app.mjs', '', 'app.mjs']);
    expect(await reached('/run/strict/app.mjs/extra', 2)).toBe(404);
  });
});

it('keeps the mounts of virtual hosts on one port apart', async () => {
  const file = async (name: string) => ((await server.request('/x', { host: 3, headers: { Host: name } })).json() as Identity).file;
  expect(await file('one.test')).toMatch(/a\.mjs$/);
  expect(await file('two.test')).toMatch(/b\.mjs$/);
});

describe('a configuration with 1,000 mounts', () => {
  it('starts within seconds and finds the first, the last and none of them', async () => {
    const begin = performance.now();
    await withServer(
      {
        apps: ['identity.mjs'],
        directives: (s) => ['WSGIApplicationGroup all', ...Array.from({ length: 1000 }, (_, i) => `WSGIScriptAlias /mounts/m${i} ${s.app('identity.mjs')}`)],
      },
      async (s) => {
        expect(performance.now() - begin).toBeLessThan(8000);
        for (const number of [0, 1, 500, 999]) {
          expect((await s.get(`/mounts/m${number}/x`)).json()).toMatchObject({ scriptName: `/mounts/m${number}`, pathInfo: '/x' });
        }
        for (const path of ['/mounts/m1000', '/mounts', '/mounts/m', '/']) expect((await s.get(path)).status).not.toBe(200);
        expect(s.log()).not.toMatch(/NWSGI1108/);
      },
    );
  });
});
