import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { arrivals, eventData } from './harness/arrivals.js';
import { describeTargets } from './harness/targets.js';

describeTargets(apps.nest, (target) => {
  it('creates and finds, with pipes and injected services', async () => {
    const created = await target.postJson('/cats', { name: 'Tom', age: '7', colour: 'grey' });
    expect([created.status, created.json()]).toEqual([201, { id: 1, name: 'Tom', age: 7 }]);
    expect((await target.get('/cats/1')).json()).toEqual({ id: 1, name: 'Tom', age: 7 });
    expect(created.headers['x-middleware']).toBe('seen');
  });

  it('validates', async () => {
    const refused = await target.postJson('/cats', { name: 'T', age: 99 });
    expect(refused.status).toBe(400);
    const { message } = refused.json() as { message: string[] };
    expect(message).toEqual(['name must be longer than or equal to 2 characters', 'age must not be greater than 30']);
    const number = await target.get('/cats/tom');
    expect((number.json() as { message: string }).message).toBe('Validation failed (numeric string is expected)');
  });

  it('guards', async () => {
    expect((await target.get('/cats/secret')).status).toBe(403);
    expect((await target.get('/cats/secret', { Authorization: 'Bearer meow' })).json()).toEqual({ secret: 'cats rule' });
  });

  it('maps exceptions', async () => {
    const missing = await target.get('/cats/99');
    expect([missing.status, missing.json()]).toEqual([404, { message: 'no cat 99', error: 'Not Found', statusCode: 404 }]);
    const broken = await target.get('/cats/broken');
    expect([broken.status, broken.json()]).toEqual([500, { statusCode: 500, message: 'Internal server error' }]);
    const moved = await target.get('/cats/moved');
    expect([moved.status, moved.headers.location]).toEqual([301, '/cats/1']);
  });

  it('takes an upload of 4 MiB', async () => {
    const bytes = randomBytes(4 * 1024 * 1024);
    const form = new FormData();
    form.set('photo', new Blob([bytes]), 'tom.jpg');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const response = await target.postForm('/cats/photo', form);
    expect([response.status, response.json()]).toEqual([200, { name: 'tom.jpg', size: bytes.length, sha256 }]);
  });

  it('streams files and events', async () => {
    const file = await target.get('/cats/file?lines=20000');
    expect(file.headers['content-type']).toMatch(/^text\/plain/);
    expect(file.text.split('\n')).toHaveLength(20_001);
    const events = await arrivals(target, '/events');
    expect(events.headers['content-type']).toBe('text/event-stream');
    expect(eventData(events.text)).toEqual(['{"tick":0}', '{"tick":1}', '{"tick":2}', '{"tick":3}']);
    expect(events.spread).toBeGreaterThan(300);
  });
});
