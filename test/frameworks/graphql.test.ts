import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { arrivals, eventData } from './harness/arrivals.js';
import { describeTargets } from './harness/targets.js';

describeTargets(apps.graphql, (target) => {
  const query = (text: string, variables: Record<string, unknown> = {}) => target.postJson('/graphql', { query: text, variables });

  it('answers queries by POST and GET', async () => {
    const all = await query('{ books { title } }');
    expect(all.json()).toMatchObject({ data: { books: [{ title: 'Orlando' }, { title: 'Ulysses' }] } });
    const one = await target.get(`/graphql?query=${encodeURIComponent('{ book(id: "2") { author } }')}`);
    expect(one.json()).toEqual({ data: { book: { author: 'James Joyce' } } });
    const agent = await target.postJson('/graphql', { query: '{ agent }' }, { 'User-Agent': 'tests' });
    expect(agent.json()).toEqual({ data: { agent: 'tests' } });
  });

  it('answers mutations', async () => {
    const add = 'mutation ($title: String!) { addBook(title: $title, author: "Anonymous") { title author } }';
    expect((await query(add, { title: 'Größe' })).json()).toEqual({ data: { addBook: { title: 'Größe', author: 'Anonymous' } } });
  });

  it('explains wrong queries', async () => {
    const wrong = await query('{ magazines }');
    expect(wrong.status).toBe(200);
    expect(wrong.text).toContain('Cannot query field');
    expect((await target.post('/graphql', '{', { 'Content-Type': 'application/json' })).status).toBe(400);
  });

  it('takes an upload', async () => {
    const form = new FormData();
    form.set('operations', JSON.stringify({ query: 'mutation ($file: File!) { upload(file: $file) }', variables: { file: null } }));
    form.set('map', '{"0":["variables.file"]}');
    form.set('0', new Blob([Buffer.alloc(2_000_000)]), 'zeros');
    expect((await target.postForm('/graphql', form)).json()).toEqual({ data: { upload: 2_000_000 } });
  });

  it('streams a subscription', async () => {
    const headers = { Accept: 'text/event-stream' };
    const path = `/graphql?query=${encodeURIComponent('subscription { countdown(from: 3) }')}`;
    const events = await arrivals(target, path, { headers });
    const numbers = eventData(events.text).flatMap((text) => (text === '' ? [] : [(JSON.parse(text) as { data: { countdown: number } }).data.countdown]));
    expect(numbers).toEqual([3, 2, 1, 0]);
    expect(events.spread).toBeGreaterThan(300);
  });

  it('serves its page to a browser', async () => {
    const page = await target.get('/graphql', { Accept: 'text/html' });
    expect(page.headers['content-type']).toContain('text/html');
    expect(page.text).toContain('<title>Yoga GraphiQL</title>');
  });
});
