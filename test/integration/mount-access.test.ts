// Access control of the script's folder applies to a mounted script, whether or not its folder has to be searched at
// each request: once with settings that allow the module to remember the result, once with .htaccess files enabled.
import { execFileSync } from 'node:child_process';
import { chownSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../scripts/lib/server-root.mjs';
import { useServer, type HttpdServer } from './harness/index.js';

const basic = (user: string, password: string) => ({ Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` });
const show = `export function application(environ, startResponse) {
  startResponse('200 OK', []);
  return [environ.REMOTE_USER ?? 'nobody'];
}
`;

const modules = ['auth_basic', 'authn_core', 'authn_file', 'authz_user', 'authz_host'];

const folders = ['open', 'denied', 'denied/below', 'private', 'files', 'limited', 'elsewhere', 'per-host', 'dir-match', 'located'];

function prepare(s: HttpdServer): void {
  for (const folder of folders) {
    s.writeApp(`${folder}/app.mjs`, show);
    s.writeApp(`${folder}/secret.mjs`, show);
  }
  s.writeFile('users', execFileSync('htpasswd', ['-nbs', 'alice', 'right'], { encoding: 'utf8' }));
}

const mounts = (s: HttpdServer) => [
  'WSGIApplicationGroup shared',
  ...folders.flatMap((folder) => [
    `WSGIScriptAlias /${folder.replace('/', '-')}/app ${s.app(`${folder}/app.mjs`)}`,
    `WSGIScriptAlias /${folder.replace('/', '-')}/secret ${s.app(`${folder}/secret.mjs`)}`,
  ]),
];

const rules = (s: HttpdServer) => [
  `<Directory "${s.app('denied')}">\nRequire all denied\n</Directory>`,
  `<Directory "${s.app('private')}">`,
  'AuthType Basic',
  'AuthName "members"',
  'AuthBasicProvider file',
  `AuthUserFile "${s.root}/users"`,
  'Require valid-user',
  '</Directory>',
  `<Directory "${s.app('files')}">\n<Files "secret.mjs">\nRequire all denied\n</Files>\n</Directory>`,
  `<Directory "${s.app('limited')}">\n<LimitExcept GET HEAD>\nRequire all denied\n</LimitExcept>\n</Directory>`,
  `<Directory "${s.app('elsewhere')}">\nRequire ip 192.0.2.0/24\n</Directory>`,
  `<DirectoryMatch "/dir-m[a-z]+/">\nRequire all denied\n</DirectoryMatch>`,
  `<Location "/located/secret">\nRequire all denied\n</Location>`,
];

describe.each([
  { way: 'remembered', override: 'None' },
  { way: 'searched at each request', override: 'All' },
])('access to a script whose folder is $way', ({ override }) => {
  const server = useServer(
    {
      modules,
      directives: (s) => [...mounts(s), `<Directory "${s.root}/apps">\nAllowOverride ${override}\n</Directory>`, ...rules(s)],
      vhosts: [{}, { directives: (s) => `<Directory "${s.app('per-host')}">\nRequire all denied\n</Directory>` }, { directives: mounts }],
    },
    prepare,
  );
  const status = async (path: string, host = 0, options: { method?: string; headers?: Record<string, string> } = {}) => {
    // The second answer may come another way than the first.
    const first = (await server.request(path, { host, ...options })).status;
    expect((await server.request(path, { host, ...options })).status).toBe(first);
    return first;
  };

  it('is allowed where nothing forbids it', async () => {
    expect(await status('/open/app')).toBe(200);
    expect(await status('/open/app/path', 1)).toBe(200);
    expect(await status('/open/app/path', 2)).toBe(200);
  });

  it('is refused with 403 where the folder, or one above it, is denied', async () => {
    for (const host of [0, 1, 2]) {
      expect(await status('/denied/app', host)).toBe(403);
      expect(await status('/denied-below/app/path', host)).toBe(403);
    }
    expect(await status('/dir-match/app')).toBe(403);
    expect(await status('/elsewhere/app')).toBe(403);
  });

  it('asks for a password where the folder wants one, and tells the application who it is', async () => {
    const anonymous = await server.get('/private/app');
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers['www-authenticate']).toContain('members');
    expect(await status('/private/app', 0, { headers: basic('alice', 'wrong') })).toBe(401);
    const member = await server.get('/private/app', basic('alice', 'right'));
    expect([member.status, member.text]).toEqual([200, 'alice']);
    expect((await server.get('/open/app', basic('alice', 'right'))).text).toBe('nobody');
    expect(await status('/private/app')).toBe(401);
  });

  it('follows <Files> sections', async () => {
    expect(await status('/files/app')).toBe(200);
    expect(await status('/files/secret')).toBe(403);
  });

  it('follows <LimitExcept> for each method', async () => {
    expect(await status('/limited/app')).toBe(200);
    expect(await status('/limited/app', 0, { method: 'DELETE' })).toBe(403);
  });

  it('follows <Location> sections', async () => {
    expect(await status('/located/app')).toBe(200);
    expect(await status('/located/secret')).toBe(403);
    expect(await status('/located/secret/path')).toBe(403);
  });

  it('is decided for each virtual host by its own sections', async () => {
    expect(await status('/per-host/app', 0)).toBe(200);
    expect(await status('/per-host/app', 1)).toBe(403);
    expect(await status('/per-host/app', 2)).toBe(200);
  });

  it('does not depend on who asked first', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => server.request(['/open/app', '/denied/app', '/files/secret', '/private/app'][i % 4] as string, { host: (i >> 2) % 3 })),
    );
    answers.forEach((answer, i) => expect(answer.status).toBe([200, 403, 403, 401][i % 4]));
  });
});

describe('.htaccess in the folder of a script', () => {
  const server = useServer(
    {
      modules,
      directives: (s) => [
        'WSGIApplicationGroup shared',
        ...['allowed', 'ignored', 'later'].map((name) => `WSGIScriptAlias /${name} ${s.app(`${name}/app.mjs`)}`),
        `<Directory "${s.app('allowed')}">\nAllowOverride AuthConfig Limit\n</Directory>`,
        `<Directory "${s.app('later')}">\nAllowOverride All\n</Directory>`,
      ],
    },
    (s) => {
      for (const name of ['allowed', 'ignored', 'later']) s.writeApp(`${name}/app.mjs`, show);
      for (const name of ['allowed', 'ignored']) s.writeApp(`${name}/.htaccess`, 'Require all denied\n');
    },
  );
  const status = async (path: string) => (await server.get(path)).status;

  it('counts with AllowOverride and not without', async () => {
    expect(await status('/allowed')).toBe(403);
    expect(await status('/ignored')).toBe(200);
  });

  it('takes effect when it changes', async () => {
    expect(await status('/allowed')).toBe(403);
    server.writeApp('allowed/.htaccess', 'Require all granted\n');
    expect(await status('/allowed')).toBe(200);
    server.writeApp('allowed/.htaccess', 'Require all denied\n');
    expect(await status('/allowed')).toBe(403);
  });

  it('takes effect when it appears after the first request, and ends with its removal', async () => {
    expect(await status('/later')).toBe(200);
    const file = server.writeApp('later/.htaccess', 'Require all denied\n');
    expect(await status('/later')).toBe(403);
    rmSync(file);
    expect(await status('/later')).toBe(200);
  });
});

describe('a script behind a symbolic link', () => {
  const identity = childIdentity();
  const server = useServer(
    {
      directives: (s) => [
        'WSGIApplicationGroup shared',
        ...['follow', 'strict', 'owner', 'foreign', 'swapped'].map((name) => `WSGIScriptAlias /${name} ${s.app(`${name}/app.mjs`)}`),
        `WSGIScriptAlias /through ${s.app('linked-folder/app.mjs')}`,
        `WSGIScriptAlias /strict-plain ${s.app('strict/plain.mjs')}`,
        `<Directory "${s.app('strict')}">\nOptions -FollowSymLinks\n</Directory>`,
        `<Directory "${s.app('owner')}">\nOptions SymLinksIfOwnerMatch\n</Directory>`,
        `<Directory "${s.app('foreign')}">\nOptions SymLinksIfOwnerMatch\n</Directory>`,
        `<Directory "${s.app('real/denied')}">\nRequire all denied\n</Directory>`,
      ],
    },
    (s) => {
      const real = s.writeApp('real/app.mjs', show);
      for (const name of ['follow', 'strict', 'owner', 'foreign', 'swapped']) {
        s.writeApp(`${name}/plain.mjs`, show);
        symlinkSync(real, s.app(`${name}/app.mjs`));
      }
      symlinkSync(s.app('real'), s.app('linked-folder'));
      s.writeApp('other/app.mjs', show.replace("'nobody'", "'another'"));
      if (identity) {
        const foreign = s.writeApp('real/foreign.mjs', show);
        chownSync(foreign, identity.uid, identity.gid);
        rmSync(s.app('foreign/app.mjs'));
        symlinkSync(foreign, s.app('foreign/app.mjs'));
      }
    },
  );
  const status = async (path: string) => {
    const first = (await server.get(path)).status;
    expect((await server.get(path)).status).toBe(first);
    return first;
  };

  it('is served with FollowSymLinks, also through a linked folder', async () => {
    expect(await status('/follow')).toBe(200);
    expect(await status('/through')).toBe(200);
  });

  it('is refused without FollowSymLinks; a plain file beside it is served', async () => {
    expect(await status('/strict')).toBe(403);
    expect(await status('/strict-plain')).toBe(200);
  });

  it('is served with SymLinksIfOwnerMatch when link and file have one owner', async () => {
    expect(await status('/owner')).toBe(200);
  });

  it.runIf(identity)('is refused with SymLinksIfOwnerMatch when the file has another owner', async () => {
    expect(await status('/foreign')).toBe(403);
  });

  it('leads to the new file when the link is replaced', async () => {
    expect((await server.get('/swapped')).text).toBe('nobody');
    symlinkSync(server.app('other/app.mjs'), server.app('swapped/new'));
    renameSync(server.app('swapped/new'), server.app('swapped/app.mjs'));
    await expect.poll(async () => (await server.get('/swapped')).text, { timeout: 10_000, interval: 100 }).toBe('another');
  });
});
