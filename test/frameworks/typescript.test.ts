/** Applications in TypeScript that nobody compiled: types, enums, parameter properties, imports of `.js` that are `.ts`. */
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

describeTargets(apps.honoTypeScript, (target) => {
  it('validates and answers', async () => {
    const added = await target.postJson('/api/articles', { name: 'Apfel', price: 2 });
    expect([added.status, added.json()]).toEqual([201, { name: 'Apfel', price: 2, tax: 19 }]);
    expect((await target.postJson('/api/articles', { name: 'Birne' })).status).toBe(422);
    expect((await target.get('/api/articles')).json()).toEqual([{ name: 'Apfel', price: 2, tax: 19 }]);
  });
});

describeTargets(apps.fastifyTypeScript, (target) => {
  it('converts by schema', async () => {
    expect((await target.get('/sum?a=1.5&b=2')).json()).toEqual({ sum: 3.5 });
    expect((await target.get('/sum?a=1')).status).toBe(400);
  });
});
