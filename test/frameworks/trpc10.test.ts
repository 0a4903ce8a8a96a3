/** tRPC as a middleware of Express, spoken to as its clients do. */
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';

describeTargets(apps.trpc10, (target) => {
  const input = (value: unknown) => `input=${encodeURIComponent(JSON.stringify(value))}`;
  const token = { 'X-Token': 'let me in' };

  it('answers queries and mutations', async () => {
    const greeting = await target.get(`/trpc/greet?${input({ name: 'Ünï' })}`);
    expect(greeting.json()).toEqual({ result: { data: 'Hello, Ünï' } });
    expect(greeting.headers['access-control-allow-origin']).toBe('*');
    const added = await target.postJson('/trpc/notes.add', 'remember', token);
    expect(added.json()).toEqual({ result: { data: 1 } });
    expect((await target.get('/trpc/notes.list')).json()).toEqual({ result: { data: ['remember'] } });
  });

  it('answers several calls at once', async () => {
    const batch = { 0: { name: 'Ada' }, 1: { name: 7 } };
    const response = await target.get(`/trpc/greet,greet?batch=1&${input(batch)}`);
    expect(response.status).toBe(207);
    expect(response.json()).toMatchObject([{ result: { data: 'Hello, Ada' } }, { error: { data: { code: 'BAD_REQUEST' } } }]);
  });

  it('reports errors', async () => {
    const refused = await target.postJson('/trpc/notes.add', 'x');
    expect([refused.status, refused.json()]).toMatchObject([401, { error: { data: { code: 'UNAUTHORIZED', path: 'notes.add' } } }]);
    expect((await target.get('/trpc/nothing')).status).toBe(404);
  });
});
