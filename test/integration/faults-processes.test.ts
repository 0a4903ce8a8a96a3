// What an application does to the process it lives in, to signals, and with processes and threads of its own.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { daemon, processInfo, sleep, useServer, waitFor, withServer } from './harness/index.js';

interface State {
  pid: number;
  cwd: string;
  results: Record<string, string>;
}

describe('process-wide state', () => {
  const server = useServer({
    apps: ['faults/changes-process-state.mjs', 'identity.mjs'],
    directives: (s) => [`WSGIScriptAlias /state ${s.app('faults/changes-process-state.mjs')}`, `WSGIScriptAlias /same ${s.app('faults/changes-process-state.mjs')}`, `WSGIScriptAlias /other ${s.app('identity.mjs')}`],
  });
  const attempt = async (what: string) => (await server.get(`/state?${what}`)).json() as State;

  it('process.chdir() changes the directory of one application only', async () => {
    const { cwd } = (await server.get('/same?none')).json() as State;
    expect(cwd).toBe(server.app('faults'));
    expect(await attempt('chdir')).toMatchObject({ cwd: '/', results: { chdir: 'done' } });
    expect((await attempt('none')).cwd).toBe('/');
    expect(((await server.get('/same?none')).json() as State).cwd).toBe(cwd);
  });

  // A worker is a process of its own: what its application does to it concerns nobody else.
  it.skipIf(daemon).each(['umask', 'setuid', 'setgid', 'initgroups', 'abort'])('process.%s() throws an error and changes nothing', async (what) => {
    const cwd = (await attempt('none')).cwd;
    const { pid, results } = await attempt(what);
    expect(results[what]).toBe('ERR_WORKER_UNSUPPORTED_OPERATION');
    expect(await attempt('none')).toMatchObject({ pid, cwd });
    expect((await server.get('/other')).json()).toMatchObject({ pid });
    expect(server.children()).toEqual([pid]);
  });

  it.skipIf(daemon)('process.title does not rename the server', async () => {
    const { pid } = await attempt('title');
    expect(processInfo(pid)?.name).toBe('apache2');
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('apache2');
  });
});

describe('an application with listeners for signals', () => {
  it('does not disturb graceful restart and stop; its listener for SIGTERM runs at the end of its environment', async () => {
    await withServer(
      { apps: ['faults/listens-for-signals.cjs'], directives: (s) => `WSGIScriptAlias / ${s.app('faults/listens-for-signals.cjs')}` },
      async (s) => {
        const first = (await s.get('/')).json() as { pid: number; seen: string[] };
        expect(first.seen).toEqual([]);
        await s.graceful();
        await waitFor('the old child to leave', () => processInfo(first.pid) === undefined, 8000);
        const second = (await s.get('/')).json() as { pid: number; seen: string[] };
        expect(second.pid).not.toBe(first.pid);
        expect(s.log().match(/listener for \w+ ran/g)).toEqual(['listener for SIGTERM ran']);
        const begin = performance.now();
        await s.gracefulStop();
        expect(performance.now() - begin).toBeLessThan(6000);
        expect(s.log().match(/listener for \w+ ran/g)).toEqual(['listener for SIGTERM ran', 'listener for SIGTERM ran']);
      },
    );
  });

  it('lets the server be stopped by SIGTERM in time', async () => {
    await withServer(
      { apps: ['faults/listens-for-signals.cjs'], directives: (s) => `WSGIScriptAlias / ${s.app('faults/listens-for-signals.cjs')}` },
      async (s) => {
        expect((await s.get('/')).status).toBe(200);
        const begin = performance.now();
        process.kill(s.pid, 'SIGTERM');
        await waitFor('the server to stop', () => !s.running, 6000);
        expect(performance.now() - begin).toBeLessThan(5000);
      },
    );
  });
});

describe('an application that signals its own process', () => {
  const server = useServer({
    apps: ['faults/answer.mjs', 'faults/signals-own-process.mjs', 'identity.mjs'],
    crashAllowed: true,
    directives: (s) => [`WSGIScriptAlias /signals ${s.app('faults/signals-own-process.mjs')}`, `WSGIScriptAlias /other ${s.app('identity.mjs')}`],
  });

  it('may test it with signal 0', async () => {
    expect((await server.get('/signals/fault?0')).json()).toMatchObject({ error: '' });
    expect((await server.get('/signals')).status).toBe(200);
  });

  it.each(['SIGTERM', 'SIGKILL'])('with %s leaves a server that serves again within seconds, with no child left behind', async (name) => {
    await server.get('/signals');
    await server.get(`/signals/fault?${name}`).catch(() => undefined);
    await sleep(100);
    const ok = (path: string) => server.get(path).then((response) => response.status === 200, () => false);
    await waitFor('the other application', () => ok('/other'), 10_000, 100);
    await waitFor('the application', () => ok('/signals'), 10_000, 100);
    await waitFor('one child', () => server.children().length === 1, 10_000);
  });
});

describe('processes and threads of an application', () => {
  const server = useServer({
    apps: ['starts-children.cjs', 'child-of-application.cjs', 'identity.mjs'],
    directives: (s) => [`WSGIScriptAlias /run ${s.app('starts-children.cjs')}`, `WSGIScriptAlias /other ${s.app('identity.mjs')}`],
  });
  const cases: [string, string, unknown][] = [
    ['exec', 'child_process.exec gives output and exit code', ['from a shell', 7]],
    ['execFile', 'child_process.execFile gives output', 'from a file'],
    ['spawn', 'child_process.spawn gives pipes and the exit code', ['through a pipe', 0, null]],
    ['killed', 'a child that was killed reports the signal', [null, 'SIGTERM']],
    ['spawnSync', 'child_process.spawnSync gives output and exit code', ['synchronous', 3]],
    ['fork', 'child_process.fork exchanges messages and gives the exit code', [{ answer: 40 }, 4]],
    ['worker', 'a worker thread exchanges messages and ends', [{ answer: 40 }, 0]],
    ['workerExit', 'process.exit() of a worker thread ends that thread only', [5]],
    ['workerError', 'an exception in a worker thread is an event', 'inside the worker'],
  ];

  it.each(cases)('%s: %s', async (way, _, expected) => {
    const response = await server.get(`/run/${way}`);
    expect(response.status, response.text).toBe(200);
    expect((response.json() as { result: unknown }).result).toEqual(expected);
  });

  it('work many at a time, while httpd goes on', async () => {
    const { pid } = (await server.get('/other')).json() as { pid: number };
    const ways = ['exec', 'spawn', 'killed', 'fork', 'worker', 'spawn', 'exec', 'worker'];
    const results = await Promise.all(ways.map(async (way) => (await server.get(`/run/${way}`)).json() as { result: unknown }));
    results.forEach(({ result }, i) => expect(result).toEqual(cases.find(([way]) => way === ways[i])?.[2]));
    expect((await server.get('/other')).json()).toMatchObject({ pid });
    expect(server.log()).not.toMatch(/exit signal|AH00046/);
  });
});
