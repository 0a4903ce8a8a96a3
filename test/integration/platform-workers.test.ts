// Worker threads of an application.
import { describe, expect, it } from 'vitest';
import { daemon, describeEachMpm, useServer, waitFor, withServer } from './harness/index.js';
import { secondsToStop } from './support/stop.js';

const apps = ['platform/workers.cjs', 'platform/worker-tasks.mjs', 'identity.mjs'];
const serving = { apps, directives: (s: { app(name: string): string }) => [`WSGIScriptAlias /run ${s.app('platform/workers.cjs')}`, `WSGIScriptAlias /other ${s.app('identity.mjs')}`] };

describe('worker threads', () => {
  const server = useServer(serving);
  const result = async (way: string) => {
    const response = await server.get(`/run/${way}`);
    expect(response.status, response.text).toBe(200);
    return (response.json() as { result: unknown }).result;
  };

  // SHARE_ENV is about the variables of the process: those of an application only where it has a process to itself.
  it.each<[string, string, unknown]>([
    ['main', 'are told apart from the application, which is the main thread', true],
    ['threadId', 'have ids of their own in the process of the server', [2, true]],
    ['shared', 'share memory', 3000],
    ['waits', 'wait for the application with Atomics.wait', 0],
    ['transfer', 'take ports and memory over', [0, 1024 * 1024]],
    ['broadcast', 'broadcast to the application', 'to all'],
    ['environment', "have a copy of the application's process.env", ['from the application', 'from the application', 'its own', daemon ? 'changed' : 'from the application']],
    ['exhausts', 'end alone, with an error, when they exhaust their heap', 'ERR_WORKER_OUT_OF_MEMORY'],
    ['terminated', 'can be terminated while they spin', 1],
    ['asksForTheBridge', 'have no access to the requests', []],
  ])('%s: they %s', async (way, _, expected) => {
    const { pid } = (await server.get('/other')).json() as { pid: number };
    expect(await result(way)).toEqual(expected);
    expect((await server.get('/other')).json()).toMatchObject({ pid });
  });

  it('print to the error log', async () => {
    const since = server.mark();
    expect(await result('prints')).toBe(0);
    await server.expectLog(/\[nwsgi:\w+\].*printed by a worker thread/, { since });
    await server.expectLog(/\[nwsgi:\w+\].*an error of a worker thread/, { since });
  });
});

describeEachMpm('a worker thread that spins', (mpm) => {
  it('holds up neither a reload nor the stop of the server', async () => {
    await withServer({ ...serving, mpm, children: 1 }, async (s) => {
      const spin = async () => expect(((await s.get('/run/spins')).json() as { result: unknown }).result).toBe('spinning');
      await spin();
      s.addApp('platform/workers.cjs');
      await s.expectLog(/NWSGI3011/);
      await waitFor('the new environment', async () => (await s.get('/run/main')).status === 200);
      await spin();
      expect(await secondsToStop(s)).toBeLessThan(4);
      expect(s.log()).not.toContain('NWSGI1005');
    });
  });
});
