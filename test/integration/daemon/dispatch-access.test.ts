/** Who may use a process group, and for which scripts. */
import { chmodSync, chownSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { useServer } from '../harness/index.js';

const APP = 'node/does-as-told.mjs';
const identity = childIdentity();
const user = identity ? `user=${identity.user} group=${identity.user}` : '';

describe('WSGIRestrictEmbedded', () => {
  const server = useServer({
    apps: [APP],
    directives: (s) => [
      'WSGIRestrictEmbedded On',
      `WSGIDaemonProcess shop ${user}`,
      `WSGIScriptAlias /embedded "${s.app(APP)}" process-group=%{ENV:GROUP}`,
      `WSGIScriptAlias /group "${s.app(APP)}" process-group=shop`,
      'SetEnvIf X-Group "(.*)" GROUP=$1',
    ],
  });

  it('refuses requests for applications of no process group', async () => {
    const before = server.mark();
    expect((await server.get('/embedded')).status).toBe(500);
    expect(server.log(before)).toContain('NWSGI4111');
    expect((await server.get('/group')).status).toBe(200);
  });

  it('a name that is expanded for the request reaches its group', async () => {
    expect((await server.get('/embedded', { 'X-Group': 'shop' })).status).toBe(200);
    const before = server.mark();
    expect((await server.get('/embedded', { 'X-Group': 'nowhere' })).status).toBe(500);
    expect(server.log(before)).toContain('NWSGI1206');
  });
});

describe('WSGIRestrictProcess', () => {
  const server = useServer({
    apps: [APP],
    directives: (s) => [
      `WSGIDaemonProcess shop ${user}`,
      `WSGIDaemonProcess other ${user}`,
      'WSGIRestrictProcess shop',
      `WSGIScriptAlias / "${s.app(APP)}" process-group=%{ENV:GROUP}`,
      'SetEnvIf X-Group "(.*)" GROUP=$1',
    ],
  });

  it('lets requests use the groups that it lists only', async () => {
    expect((await server.get('/', { 'X-Group': 'shop' })).status).toBe(200);
    const before = server.mark();
    expect((await server.get('/', { 'X-Group': 'other' })).status).toBe(500);
    expect(server.log(before)).toContain('NWSGI4112');
  });
});

describe('a group of a virtual host', () => {
  const host = (s: { app(name: string): string }, group: string) => [
    ...(group === '' ? [] : [`WSGIDaemonProcess ${group} ${user}`]),
    `WSGIScriptAlias / "${s.app(APP)}" process-group=%{ENV:GROUP}`,
    'SetEnvIf X-Group "(.*)" GROUP=$1',
  ];
  const server = useServer({
    apps: [APP],
    vhosts: [
      { name: 'one.example', directives: (s) => host(s, 'one') },
      { name: 'two.example', directives: (s) => host(s, 'two') },
    ],
  });

  it('is for that host', async () => {
    expect((await server.request('/', { headers: { 'X-Group': 'one' } })).status).toBe(200);
    const before = server.mark();
    expect((await server.request('/', { headers: { 'X-Group': 'one' }, host: 1 })).status).toBe(500);
    expect(server.log(before)).toContain('NWSGI4113');
    expect((await server.request('/', { headers: { 'X-Group': 'two' }, host: 1 })).status).toBe(200);
  });
});

describe.skipIf(!identity)('script-user', () => {
  const server = useServer({
    apps: [APP],
    directives: (s) => [
      `WSGIDaemonProcess shop ${user} script-user=${identity?.user}`,
      `WSGIScriptAlias / "${s.app(APP)}" process-group=shop`,
    ],
  });

  it('lets scripts of that user run, to which nobody else may write', async () => {
    const script = server.app(APP);
    const folder = script.slice(0, script.lastIndexOf('/'));
    const before = server.mark();
    expect((await server.get('/')).status).toBe(403);
    expect(server.log(before)).toContain('NWSGI4114');
    for (const path of [script, folder]) chownSync(path, identity?.uid ?? 0, identity?.gid ?? 0);
    expect((await server.get('/')).status).toBe(200);
    chmodSync(script, 0o666);
    expect((await server.get('/')).status).toBe(403);
    chmodSync(script, 0o644);
    chmodSync(folder, 0o777);
    expect((await server.get('/')).status).toBe(403);
    chmodSync(folder, 0o755);
    expect((await server.get('/')).status).toBe(200);
  });
});
