// The faults that end an environment, with each MPM: the child lives on, and so does the other application.
// In daemon mode it is a worker that ends.
import { expect, it } from 'vitest';
import { daemon, describeEachMpm, useServer } from './harness/index.js';
import { answerAfterBlock, expectFresh } from './support/identity.js';

describeEachMpm('a fault of an application', (mpm) => {
  const server = useServer({
    mpm,
    // One child: what happens to it cannot hide behind another.
    children: 1,
    apps: ['answer.mjs', 'exits.mjs', 'throws-uncaught.mjs', 'loops-forever.mjs', 'exhausts-heap.mjs'].map((app) => `faults/${app}`).concat('identity.mjs'),
    directives: (s) => [
      'WSGINodeOptions --max-old-space-size=64',
      ...['exits', 'throws-uncaught', 'loops-forever', 'exhausts-heap'].map((name) => `WSGIScriptAlias /${name} ${s.app(`faults/${name}.mjs`)}`),
      `WSGIScriptAlias /other ${s.app('identity.mjs')}`,
      '<LocationMatch "/fault$">\nWSGIRequestTimeout 500ms\n</LocationMatch>',
      // The loop has to be the only thing that the time limit is about.
      '<LocationMatch "^/exhausts-heap/fault$">\nWSGIRequestTimeout 0\n</LocationMatch>',
    ],
  });
  const answer = async (path: string) => {
    const response = await server.get(path);
    expect(response.status, response.text).toBe(200);
    return response.json() as { pid: number; instance: string };
  };

  it.each([
    ['/exits', '?1', 500],
    ['/throws-uncaught', '', 500],
    // Embedded, V8 asks before it gives up; a worker is ended by Node at once, and its request with it.
    ['/exhausts-heap', '', daemon ? 502 : 500],
    ['/loops-forever', '', 504],
  ])('at %s leaves the child and the other application alone, and a fresh environment serves', async (mount, query, status) => {
    const before = await answer(mount);
    const children = server.children();
    const other = await answer('/other');
    expect((await server.get(`${mount}/fault${query}`)).status).toBe(status);
    expect(await answer('/other')).toMatchObject({ pid: other.pid, instance: other.instance });
    const after = status === 504 ? await answerAfterBlock(() => answer(mount), before) : await answer(mount);
    expectFresh(after, before);
    expect(await answer('/other')).toMatchObject({ pid: other.pid, instance: other.instance });
    expect(server.children()).toEqual(children);
    if (!daemon) expect(children).toEqual([before.pid]);
  });
}, { everyMpm: true });
