// What the options of `nwsgi serve` do to its workers.
import { existsSync, mkdirSync, readFileSync, realpathSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { NwsgiServe, request, sleep, waitFor, withServe, type HttpResponse } from '../harness/index.js';
import { frontArguments, fronts } from '../support/fronts.js';

const facts = `
import { writeFileSync } from 'node:fs';
import os from 'node:os';
export function other(environ, startResponse) {
  startResponse('200 OK', [['Content-Type', 'application/json']]);
  const { A, B, LANG, LC_ALL, HOME, USER, NODE_ENV, NOTIFY_SOCKET, LISTEN_FDS, NWSGI_SUCCEEDS } = process.env;
  if (environ.QUERY_STRING !== '') writeFileSync(decodeURIComponent(environ.QUERY_STRING), 'made');
  return [JSON.stringify({ pid: process.pid, env: { A, B, LANG, LC_ALL, HOME, USER, NODE_ENV }, none: [NOTIFY_SOCKET, LISTEN_FDS, NWSGI_SUCCEEDS], cwd: process.cwd(), execArgv: process.execArgv, version: process.version, nice: os.getPriority() })];
}
`;

const start = (args: (s: NwsgiServe) => string[], env: Record<string, string> = {}): Promise<NwsgiServe> => {
  const server = new NwsgiServe({ args: (s) => [`--http=127.0.0.1:${s.port}`, '--callable-object=other', ...args(s)], env });
  server.writeApp('app.mjs', facts);
  return server.start();
};
const processOf = (server: NwsgiServe): { pid: number } => ({ pid: server.workers().at(-1) ?? 0 });
const factsOf = async (server: NwsgiServe, query = ''): Promise<Record<string, unknown>> => (await server.get(`/${query}`)).json() as Record<string, unknown>;

describe('the options', () => {
  it('reach the workers', async () => {
    const server = await start((s) => [
      '--env=A=one', '--env=B=x=y', '--lang=C.UTF-8', '--locale=C', `--home=${s.root}/run`, '--umask=0027', '--cpu-priority=3',
      '--node-options=--max-old-space-size=100 --no-warnings', '--display-name=shop worker', '--application-type=wsgi', '--name=shop',
    ]);
    const made = join(server.root, 'run', 'made');
    const seen = await factsOf(server, `?${encodeURIComponent(made)}`);
    expect(seen).toMatchObject({ env: { A: 'one', B: 'x=y', LANG: 'C.UTF-8', LC_ALL: 'C' }, cwd: realpathSync(join(server.root, 'run')), nice: 3, version: process.version });
    expect(seen.execArgv).toEqual(expect.arrayContaining(['--max-old-space-size=100', '--no-warnings']));
    expect((statSync(made).mode & 0o777).toString(8)).toBe('640');
    expect(readFileSync(`/proc/${String(seen.pid)}/cmdline`, 'latin1')).toContain('shop worker');
    await server.stop();
  });

  it('leave the usual values where they are not given', async () => {
    const server = await start(() => []);
    const seen = await factsOf(server);
    expect(seen).toMatchObject({ cwd: realpathSync(join(server.root, 'apps')), env: { LANG: 'C.UTF-8', NODE_ENV: 'production' }, none: [null, null, null] });
    await server.stop();
  });

  it.skipIf(childIdentity() === null)('--user: nothing is left of root, in the supervisor and in the workers', async () => {
    const identity = childIdentity() as { uid: number; gid: number; user: string };
    const server = await start(() => ['--supplementary-groups=daemon,nogroup']);
    const seen = await factsOf(server);
    for (const pid of [server.pid, seen.pid as number]) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const ids = (name: string): number[] => (new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '').trim().split(/\s+/).map(Number);
      expect(new Set(ids('Uid'))).toEqual(new Set([identity.uid]));
      expect(new Set(ids('Gid'))).toEqual(new Set([identity.gid]));
      expect(new Set(ids('Groups'))).toEqual(new Set([identity.gid, 1, 65534]));
      expect(/^CapEff:\s+(\w+)$/m.exec(status)?.[1]).toMatch(/^0+$/);
    }
    expect(seen.env).toMatchObject({ USER: identity.user, HOME: '/var/www' });
    // Nor can a successor be more.
    server.signal('SIGUSR2');
    const successor = (await server.expectOutput(/NWSGI4324 process (\d+) serves beside/))[1] as string;
    expect(readFileSync(`/proc/${successor}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\s+${identity.uid}\\s`, 'm'));
    process.kill(Number(successor), 'SIGTERM');
    await server.expectOutput(/NWSGI4325/);
    await server.stop();
  });

  it.skipIf(childIdentity() === null)('a warning says that the application runs as root', async () => {
    const server = new NwsgiServe({ apps: ['hello.mjs'], changeUser: false, args: (s) => [`--http=127.0.0.1:${s.port}`] });
    await server.start();
    expect(server.output()).toContain('NWSGI4322 the application runs as root');
    await server.stop();
  });

  it('WEB_CONCURRENCY is the number of workers where --processes does not say it', async () => {
    const server = await start(() => [], { WEB_CONCURRENCY: '3' });
    await waitFor('3 workers', () => server.workers().length === 3);
    await server.stop();
    const other = await start(() => ['--processes=1'], { WEB_CONCURRENCY: '3' });
    await sleep(500);
    expect(other.workers()).toHaveLength(1);
    await other.stop();
  });

  it('--maximum-requests replaces a worker, and nobody notices', async () => {
    await withServe({ apps: ['identity.mjs'], args: (s) => [`--http=127.0.0.1:${s.port}`, '--maximum-requests=20', '--maximum-requests-jitter=0'] }, async (server) => {
      const pids = new Set<number>();
      await waitFor('another worker', async () => {
        const answer = await server.get('/');
        expect(answer.status).toBe(200);
        return pids.add((answer.json() as { pid: number }).pid).size > 1;
      });
    });
  });

  it.each(fronts.filter(({ name, available }) => available && !name.startsWith('Caddy')))('--request-timeout answers 504 by $name, tells the application, and the worker goes on', async ({ start }) => {
    await withServe({ apps: ['faults/answers-slowly.mjs', 'faults/answer.mjs'], args: (s) => [...frontArguments(s), '--request-timeout=500ms'] }, async (server) => {
      const front = await start(server);
      const get = (path: string): Promise<HttpResponse> => request(`http://127.0.0.1:${front.port}${path}`);
      const { pid } = processOf(server);
      const began = performance.now();
      expect((await get('/?15000')).status).toBe(504);
      expect(performance.now() - began).toBeLessThan(4000);
      await server.expectOutput(/NWSGI1209 the application did not begin its answer within 500 ms/);
      await waitFor('the signal', async () => ((await get('/aborted')).json() as number[]).includes(15_000));
      // An answer that has begun may take longer.
      expect(await get('/late-body?1500')).toMatchObject({ status: 200, text: 'firstlast', complete: true });
      expect(processOf(server).pid).toBe(pid);
      await front.stop();
    });
  });

  it('an application that does not let go of its event loop is interrupted after request-timeout, and replaced', async () => {
    await withServe({ apps: ['never-answers.mjs'], args: (s) => [`--http=127.0.0.1:${s.port}`, '--request-timeout=500ms', '--interrupt-timeout=500ms', '--shutdown-timeout=1s'] }, async (server) => {
      const before = processOf(server).pid;
      const blocked = server.get('/block').catch((error: Error) => error);
      await server.expectOutput(/NWSGI4214/, { milliseconds: 15_000 });
      expect(await blocked).not.toMatchObject({ status: 200 });
      await waitFor('another worker', async () => (await server.get('/ready').catch(() => undefined))?.status === 200 && processOf(server).pid !== before, 15_000);
    });
  });

  it('--error-page development shows errors in the browser, production does not', async () => {
    const source = 'export const application = () => { throw new Error("secret reason"); };\n';
    for (const kind of ['development', 'production']) {
      const server = new NwsgiServe({ args: (s) => [`--http=127.0.0.1:${s.port}`, `--error-page=${kind}`] });
      server.writeApp('app.mjs', source);
      await server.start();
      const { status, text } = await server.get('/');
      expect(status).toBe(500);
      expect(text.includes('secret reason')).toBe(kind === 'development');
      await waitFor('the reason in the log', () => server.output().includes('secret reason'));
      await server.stop();
    }
  });

  it('a deployment that moves a symbolic link is seen by a reload', async () => {
    const server = new NwsgiServe({ path: '', args: (s) => [`--http=127.0.0.1:${s.port}`] });
    const folder = (name: string): string => join(server.root, 'apps', name);
    for (const version of ['1', '2']) {
      mkdirSync(folder(version));
      server.writeApp(`${version}/app.mjs`, `export const application = (e, s) => (s('200 OK', []), ['version ${version} ' + process.cwd()]);\n`);
    }
    symlinkSync(folder('1'), folder('current'));
    Object.assign(server.options, { path: join(folder('current'), 'app.mjs') });
    await server.start();
    expect((await server.get('/')).text).toMatch(/^version 1 .*apps\/1$/);
    unlinkSync(folder('current'));
    symlinkSync(folder('2'), folder('current'));
    server.signal('SIGHUP');
    await waitFor('version 2', async () => /^version 2 .*apps\/2$/.test((await server.get('/')).text));
    await server.stop();
    expect(existsSync(server.root)).toBe(false);
  });
});
