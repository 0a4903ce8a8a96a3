// AsyncLocalStorage and diagnostics channels in an application.
import { describe, expect, it } from 'vitest';
import { useServer } from './harness/index.js';

const server = useServer({
  apps: ['platform/contexts.mjs', 'platform/channels.cjs'],
  threads: 24,
  directives: (s) => [`WSGIScriptAlias /contexts ${s.app('platform/contexts.mjs')}`, `WSGIScriptAlias /channels ${s.app('platform/channels.cjs')}`],
});

describe('AsyncLocalStorage', () => {
  const places = ['body', 'synchronous', 'promise', 'timer', 'immediate', 'file', 'tick', 'microtask', 'event', 'worker'];

  it('keeps what a request stores apart from that of others, wherever the application goes', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => `request-${i}`);
    const answers = await Promise.all(ids.map(async (id) => (await server.post(`/contexts?id=${id}`, 'a body')).json()));
    expect(answers).toEqual(ids.map((id) => Object.fromEntries(places.map((place) => [place, id]))));
  });

  it('does not carry what a request enters over to another request', async () => {
    await server.get('/contexts?enter&id=warm');
    const ids = Array.from({ length: 40 }, (_, i) => `request-${i}`);
    const answers = await Promise.all(ids.map(async (id) => (await server.get(`/contexts?enter&id=${id}`)).json()));
    expect(answers).toEqual(ids.map((id) => ({ before: null, after: id })));
  });
});

describe('diagnostics channels', () => {
  const heard = async (path: string) => (await server.get(`/channels/${path}`)).json();

  it('work within the application', async () => {
    expect(await heard('first')).toEqual([['platform:own', { path: '/first' }]]);
  });

  it('tell of requests that the application makes', async () => {
    await heard('clears');
    // The inner request is answered with what was heard until then, the outer one with the rest.
    expect(await heard('asks')).toEqual([['response', 200]]);
  });
});
