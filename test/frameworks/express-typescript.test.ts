/** Express in TypeScript that nobody compiled. */
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';

describeTargets(apps.expressTypeScript, (target) => {
  it('adds and removes what it validated', async () => {
    const added = await target.postJson('/tasks', { title: 'write tests' });
    expect([added.status, added.json()]).toEqual([201, { id: 1, title: 'write tests', done: false }]);
    expect((await target.get('/tasks')).json()).toEqual([{ id: 1, title: 'write tests', done: false }]);
    expect((await target.postJson('/tasks', { title: '' })).status).toBe(422);
    expect((await target.request('/tasks/1', { method: 'DELETE' })).status).toBe(204);
    expect((await target.request('/tasks/1', { method: 'DELETE' })).status).toBe(404);
  });

  it('keeps the contexts of concurrent requests apart', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `request-${index}`);
    const answers = await Promise.all(ids.map((id) => target.get('/context', { 'X-Request-Id': id })));
    expect(answers.map((answer) => (answer.json() as { requestId: string }).requestId)).toEqual(ids);
  });
});
