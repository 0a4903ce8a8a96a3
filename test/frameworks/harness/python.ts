/**
 * Python applications (test/frameworks/apps/python) in Apache: embedded, in a process group, and in mod_wsgi's embedded
 * mode, whose behaviour is what is expected of the others. Each is mounted at the root of a virtual host, and below a prefix of a second
 * one; an Express application is in the same Apache.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, describe, it, expect } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { daemon, projectRoot, useServer, type HttpdServer, type Mpm } from '../../integration/harness/index.js';
import { apps } from './apps.js';
import { Target } from './targets.js';

export type Place = 'embedded' | 'daemon' | 'mod_wsgi' | 'nwsgi serve' | 'nwsgi serve behind NGINX';

/** Where the tests of a file run: NWSGI_TEST_PLACE=embedded,daemon chooses. */
const wanted = (process.env.NWSGI_TEST_PLACE || undefined)?.split(',') as Place[] | undefined;
/** For tests that run with `npm test`, once for each mode. */
export const thisMode: readonly Place[] = wanted ?? [daemon ? 'daemon' : 'embedded'];
export const everyPlace: readonly Place[] = wanted ?? ['mod_wsgi', 'embedded', 'daemon'];

const sources = join(projectRoot, 'test', 'frameworks', 'apps', 'python');
const prefix = '/mounted';
const group = 'python-test';

export interface PythonApp {
  /** Folder of apps/python, which is copied to the server's. */
  name: string;
  /** What WSGIScriptAlias is given, in that folder or anywhere. */
  script: string;
  /** Where the folder comes from, when it is not apps/python. */
  source?: string;
  /** Directives for its virtual hosts beside the mount. `folder`: where the application is. */
  directives?: (folder: string, mount: string, server: HttpdServer, place: Place) => string[];
  /** Modules of httpd that these need. */
  modules?: string[];
  /** WSGIChunkedRequest; mod_wsgi has no "Buffered". */
  chunked?: 'Off' | 'On' | 'Buffered';
  /** How Apache runs: event, with 16 threads in one child; others also have one child. */
  mpm?: Mpm;
  /** Served by TLS and HTTP/2. */
  tls?: boolean;
  /** It can be below a prefix: true. */
  mountable?: boolean;
  /** Makes what else the application needs in its folder. */
  prepare?: (folder: string, server: HttpdServer) => void | Promise<void>;
}

/** What the tests use of the server. */
export type PythonServer = Pick<HttpdServer, 'ports' | 'app' | 'writeFile' | 'mark' | 'log' | 'expectLog'>;

/** A Python application that runs somewhere. */
export class PythonTarget<S extends PythonServer = HttpdServer> extends Target {
  readonly place: Place;
  readonly app: PythonApp;
  readonly server: S;

  constructor(place: Place, app: PythonApp, mount: string, server: S, host: number) {
    super(true, mount, () => server.ports[host] as number);
    this.place = place;
    this.app = app;
    this.server = server;
  }

  override url(path: string, scheme = this.app.tls ? 'https' : 'http'): string {
    return super.url(path, scheme);
  }

  /** Nothing stands between client and server that has ideas of its own. */
  get direct(): boolean {
    return this.place !== 'nwsgi serve behind NGINX';
  }

  /** It is not mod_wsgi that answers. */
  get ours(): boolean {
    return this.place !== 'mod_wsgi';
  }

  /** Folder of the application. */
  get folder(): string {
    return this.server.app(this.app.name);
  }

  /** A path of the site, in front of which the mount has been put. */
  path(path: string): string {
    return `${this.mount}${path}`;
  }

  /** Waits for a line of the error log. mod_wsgi has one level for all. */
  async expectLogged(level: string, text: RegExp, since: number): Promise<void> {
    const tag = this.ours ? `nwsgi:${level}` : 'wsgi:error';
    // Its terminal has other marks, and nothing below notice.
    if (!this.place.startsWith('nwsgi serve')) await this.server.expectLog(new RegExp(`\\[${tag}\\][^\\n]*${text.source}`, text.flags), { since });
    else if (level !== 'debug' && level !== 'info') await this.server.expectLog(text, { since });
  }
}

const quoted = (path: string) => `"${path}"`;

function prepareFolder(app: PythonApp, server: HttpdServer): string {
  const folder = server.app(app.name);
  cpSync(app.source ?? join(sources, app.name), folder, { recursive: true });
  // A checkout may have been made with a strict umask.
  spawnSync('chmod', ['-R', 'a+rX', folder]);
  // Where the application may write.
  const data = join(folder, 'data');
  if (!existsSync(data)) mkdirSync(data);
  spawnSync('chmod', ['-R', 'a+rwX', data]);
  return folder;
}

function serverLines(app: PythonApp, place: Place, server: HttpdServer): string[] {
  const folder = server.app(app.name);
  const identity = childIdentity();
  const ids = identity ? ` user=${identity.user} group=${identity.user}` : '';
  const chunked = app.chunked === 'Buffered' && place === 'mod_wsgi' ? 'On' : (app.chunked ?? 'Off');
  return [
    `<Directory ${quoted(apps.express5.folder)}>`,
    '  Require all granted',
    '</Directory>',
    `WSGIChunkedRequest ${chunked}`,
    ...(place === 'daemon'
      ? [`WSGISocketPrefix ${quoted(join(server.root, 'run', 'python'))}`, `WSGIDaemonProcess ${group} processes=1 threads=15${ids} python-path=${folder}`]
      : [`WSGIPythonPath ${quoted(folder)}`]),
  ];
}

/** At the root the application has the main interpreter, below the prefix a named one. */
function hostLines(app: PythonApp, place: Place, mount: string, server: HttpdServer): string[] {
  const folder = server.app(app.name);
  const processGroup = place === 'daemon' ? group : '%{GLOBAL}';
  const mounted = (path: string, script: string, applicationGroup: string) =>
    `WSGIScriptAlias ${path} ${quoted(script)} process-group=${processGroup} application-group=${applicationGroup}`;
  return [
    ...(app.directives?.(folder, mount, server, place) ?? []),
    ...(place === 'mod_wsgi' ? [] : [mounted('/beside', apps.express5.script, 'express')]),
    mounted(mount || '/', resolve(folder, app.script), mount === '' ? '%{GLOBAL}' : 'mounted'),
  ];
}

/** Describes the application's tests in every place and mount. */
export function describePython(app: PythonApp, places: readonly Place[], body: (target: PythonTarget) => void): void {
  describe.each(places)(`${app.name} in %s`, (place) => {
    const mounts = app.mountable === false ? [''] : ['', prefix];
    const server = useServer(
      {
        ...(app.mpm ? { mpm: app.mpm } : {}),
        threads: 16,
        children: 1,
        nwsgi: place !== 'mod_wsgi',
        modules: [...(place === 'mod_wsgi' ? ['wsgi'] : []), ...(app.modules ?? [])],
        directives: (server) => serverLines(app, place, server),
        vhosts: mounts.map((mount) => ({ tls: app.tls === true, http2: app.tls === true, directives: (server: HttpdServer) => hostLines(app, place, mount, server) })),
      },
      async (server) => {
        const folder = prepareFolder(app, server);
        await app.prepare?.(folder, server);
      },
    );
    mounts.forEach((mount, index) => {
      describe(mount === '' ? 'at the root' : `below ${mount}`, () => body(new PythonTarget(place, app, mount, server, index)));
    });
    if (place === 'mod_wsgi') return;
    it('is beside an Express application', async () => {
      const [page, session] = [await server.get('/beside/'), await server.get('/beside/session')];
      expect([page.status, session.json()]).toEqual([200, { views: 1 }]);
      expect(page.text).toContain('&lt;two&gt;');
    });
    afterEach(() => {
      expect(server.log()).not.toMatch(/NWSGI26(03|10)/);
    });
  });
}
