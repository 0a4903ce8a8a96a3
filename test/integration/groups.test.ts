// Application groups: which applications share an environment, what is private to one, and what is loaded at start.
import { describe, expect, it } from 'vitest';
import { daemon, processGroup, sleep, useServer, withServer, type Options } from './harness/index.js';

interface Identity {
  pid: number;
  instance: string;
  group: string;
  count: number;
}

interface Marks {
  globals: Record<string, string>;
  env: Record<string, string>;
  builtIn: string[];
  pid: number;
}

describe('applications of one server', () => {
  const server = useServer({
    apps: ['identity.mjs', 'identity.cjs', 'remembers-globals.ts', 'several-callables.mjs'],
    env: { GROUP_OF_PROCESS: 'from-process' },
    directives: (s) => [
      ...['one', 'two'].map((name) => `WSGIScriptAlias /${name} ${s.app('remembers-globals.ts')}`),
      ...['shared-a', 'shared-b'].map((name) => `WSGIScriptAlias /${name} ${s.app('remembers-globals.ts')} application-group=named`),
      ...['global-a', 'global-b'].map((name) => `WSGIScriptAlias /${name} ${s.app('remembers-globals.ts')} application-group=%{GLOBAL}`),
      `WSGIScriptAlias /default ${s.app('identity.mjs')}`,
      `WSGIScriptAlias /mixed-esm ${s.app('identity.mjs')} application-group=mixed`,
      `WSGIScriptAlias /mixed-cjs ${s.app('identity.cjs')} application-group=mixed`,
      `WSGIScriptAlias /by-host ${s.app('identity.mjs')} application-group=%{HOST}`,
      `WSGIScriptAlias /by-server ${s.app('identity.mjs')} application-group=%{SERVER}`,
      `WSGIScriptAlias /by-resource ${s.app('identity.mjs')} application-group=%{RESOURCE}`,
      `WSGIScriptAlias /by-env ${s.app('identity.mjs')} application-group=%{ENV:GROUP}`,
      `WSGIScriptAlias /by-process-env ${s.app('identity.mjs')} application-group=%{ENV:GROUP_OF_PROCESS}`,
      'SetEnvIf X-Group (.+) GROUP=$1',
      ...['application', 'other', '$third', 'default'].map((name, i) => `WSGIScriptAlias /callable${i} ${s.app('several-callables.mjs')} callable-object=${name} application-group=callables`),
      `WSGIScriptAlias /callable-absent ${s.app('several-callables.mjs')} callable-object=absent application-group=callables`,
    ],
    vhosts: [{ name: 'first.test', port: 1 }, { name: 'second.test', port: 1 }, { name: 'third.test' }],
  });
  const marks = async (path: string) => (await server.get(path)).json() as Marks;
  const identity = async (path: string, host = 0, headers: Record<string, string> = {}) =>
    (await server.request(path, { host, headers })).json() as Identity;

  it('have globals, built-in objects and process.env of their own; in httpd all are in one process', async () => {
    const one = await marks('/one?first=1');
    expect(one).toMatchObject({ globals: { first: '1' }, env: { MARK_first: '1' }, builtIn: ['first'] });
    const two = await marks('/two');
    expect(two).toMatchObject({ globals: {}, env: {}, builtIn: [] });
    expect(two.pid === one.pid).toBe(!daemon);
    await marks('/two?second=2');
    expect(await marks('/one')).toEqual({ globals: { first: '1' }, env: { MARK_first: '1' }, builtIn: ['first'], pid: one.pid });
  });

  it('share all that when they share a named group or %{GLOBAL}', async () => {
    await marks('/shared-a?x=1');
    expect(await marks('/shared-b')).toMatchObject({ globals: { x: '1' }, env: { MARK_x: '1' } });
    await marks('/global-a?y=2');
    expect(await marks('/global-b')).toMatchObject({ globals: { y: '2' }, env: { MARK_y: '2' } });
    expect((await marks('/shared-b')).globals).toEqual({ x: '1' });
  });

  it('of different kinds can share a group', async () => {
    const [esm, cjs] = [await identity('/mixed-esm'), await identity('/mixed-cjs')];
    expect([esm.group, cjs.group]).toEqual(['mixed', 'mixed']);
    expect(esm.instance).not.toBe(cjs.instance);
  });

  it('stay loaded from one request to the next', async () => {
    const first = await identity('/default');
    const second = await identity('/default');
    expect(second).toMatchObject({ instance: first.instance, count: first.count + 1 });
  });

  it('run by default in a group for each mount: %{RESOURCE}', async () => {
    expect((await identity('/default')).group).toBe(`first.test:${server.ports[0]}|/default`);
    expect((await identity('/by-resource/x')).group).toBe(`first.test:${server.ports[0]}|/by-resource`);
  });

  it('are told apart by virtual host with %{SERVER}', async () => {
    const first = await identity('/by-server', 0, { Host: 'first.test' });
    const second = await identity('/by-server', 1, { Host: 'second.test' });
    expect(first.group).toBe(`first.test:${server.ports[0]}`);
    expect(second.group).toBe(`second.test:${server.ports[0]}`);
    expect(first.instance).not.toBe(second.instance);
  });

  it("are told apart by the client's Host with %{HOST}, in lower case, with the server's own port", async () => {
    const a = await identity('/by-host', 2, { Host: 'A.test:1234' });
    const b = await identity('/by-host', 2, { Host: 'b.test' });
    expect(a.group).toBe(`a.test:${server.ports[2]}`);
    expect(b.group).toBe(`b.test:${server.ports[2]}`);
    expect(a.instance).not.toBe(b.instance);
    expect((await identity('/by-host', 2, { Host: 'a.test' })).instance).toBe(a.instance);
  });

  it('are chosen by a variable of the request or of the process with %{ENV:…}, which may name another expansion', async () => {
    expect((await identity('/by-env', 0, { 'X-Group': 'chosen' })).group).toBe('chosen');
    expect((await identity('/by-env', 0, { 'X-Group': '%{SERVER}' })).group).toBe(`first.test:${server.ports[0]}`);
    expect((await identity('/by-env')).group).toBe('');
    expect((await identity('/by-process-env')).group).toBe('from-process');
  });

  it('W-115: are the exports that WSGICallableObject names, all of one loaded script', async () => {
    const answers = await Promise.all([0, 1, 2, 3].map(async (i) => (await server.get(`/callable${i}`)).text.split(' ')));
    expect(answers.map(([name]) => name)).toEqual(['application', 'other', '$third', 'default']);
    expect(new Set(answers.map(([, instance]) => instance)).size).toBe(1);
  });

  it('answer 500 for an export that is missing, with its name and those that exist in the log; the others serve on', async () => {
    const since = server.mark();
    expect((await server.get('/callable-absent')).status).toBe(500);
    await server.expectLog(/NWSGI2103.*absent.*other/, { since });
    expect((await server.get('/callable0')).status).toBe(200);
  });
});

describe('loading at the start of a child', () => {
  const start = (directives: Options['directives'], body: Parameters<typeof withServer>[1], more: Options = {}) =>
    withServer({ apps: ['writes-at-load.mjs', 'hello.mjs', 'several-callables.mjs'], ...(directives ? { directives } : {}), ...more }, body);

  it('happens for WSGIImportScript before any request', async () => {
    await start(
      (s) => [
        `WSGIImportScript ${s.app('writes-at-load.mjs')} process-group=${processGroup} application-group=early`,
        `WSGIScriptAlias /app ${s.app('writes-at-load.mjs')} application-group=early`,
      ],
      async (s) => {
        await s.expectLog(/loaded in process \d+/);
        await sleep(50);
        const before = Date.now();
        expect(Number((await s.get('/app')).text)).toBeLessThan(before);
        expect(s.log().match(/loaded in process/g)).toHaveLength(1);
      },
    );
  });

  it('happens for a mount with both groups named, and in each child', async () => {
    await start(
      (s) => `WSGIScriptAlias /app ${s.app('writes-at-load.mjs')} process-group=${processGroup} application-group=early`,
      async (s) => {
        await s.expectLog(/loaded in process \d+[^]*loaded in process \d+/);
        const pids = [...s.log().matchAll(/loaded in process (\d+)/g)].map(([, pid]) => Number(pid));
        expect(new Set(pids)).toEqual(new Set(s.appProcesses()));
      },
      { children: 2, daemonOptions: 'processes=2' },
    );
  });

  it('does not happen for a mount without a named group, nor in the parent', async () => {
    await start(
      (s) => `WSGIScriptAlias /app ${s.app('writes-at-load.mjs')}`,
      async (s) => {
        await sleep(300);
        expect(s.log()).not.toContain('loaded in process');
        await s.get('/app');
        expect(s.log()).not.toContain(`loaded in process ${s.pid}`);
        await s.expectLog(/loaded in process/);
      },
    );
  });

  it('of a broken script leaves the others of its group serving, and names the script in the log', async () => {
    await start(
      (s) => [
        `WSGIImportScript ${s.writeApp('broken.mjs', 'this is no JavaScript\n')} process-group=${processGroup} application-group=g`,
        `WSGIScriptAlias /hello ${s.app('hello.mjs')} application-group=g`,
        `WSGIScriptAlias /broken ${s.app('broken.mjs')} application-group=g`,
      ],
      async (s) => {
        await s.expectLog(/NWSGI\d{4}.*broken\.mjs/);
        expect((await s.get('/hello')).status).toBe(200);
        expect((await s.get('/broken')).status).toBe(500);
        expect((await s.get('/hello')).status).toBe(200);
      },
    );
  });

  it('of a missing script is logged, and the server serves', async () => {
    await start(
      (s) => [
        `WSGIImportScript ${s.app('absent.mjs')} process-group=${processGroup} application-group=g`,
        `WSGIScriptAlias /hello ${s.app('hello.mjs')} application-group=g`,
      ],
      async (s) => {
        await s.expectLog(/NWSGI\d{4}.*absent\.mjs/);
        expect((await s.get('/hello')).status).toBe(200);
      },
    );
  });

  it('takes the callable from callable-object=', async () => {
    await start(
      (s) => [
        `WSGIImportScript ${s.app('several-callables.mjs')} process-group=${processGroup} application-group=g callable-object=other`,
        `WSGIScriptAlias /x ${s.app('several-callables.mjs')} application-group=g callable-object=other`,
      ],
      async (s) => {
        expect((await s.get('/x')).text).toMatch(/^other/);
        expect(s.log()).not.toMatch(/NWSGI2\d{3}/);
      },
    );
  });
});
