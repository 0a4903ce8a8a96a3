// A request that never ends holds a replaced environment for the drain time only.
import { expect, it } from 'vitest';
import { sleep, useServer, waitFor } from '../harness/index.js';

const server = useServer({ apps: ['never-answers.mjs', 'hello.mjs'], directives: (s) => `WSGIScriptAlias / ${s.app('never-answers.mjs')}` });

it('ends with 503 fifteen seconds after the script was replaced, while the new version serves', async () => {
  expect((await server.get('/ready')).text).toBe('ready');
  const begin = performance.now();
  const stuck = server.request('/wait', { timeout: 60_000 });
  await sleep(200);
  server.writeApp('never-answers.mjs', `export { application } from './hello.mjs';\n`);
  await waitFor('the new version', async () => (await server.get('/ready')).text.startsWith('Hello'));
  expect((await stuck).status).toBe(503);
  const seconds = (performance.now() - begin) / 1000;
  expect(seconds).toBeGreaterThan(14);
  expect(seconds).toBeLessThan(22);
  await server.expectLog(/NWSGI3003/);
});
