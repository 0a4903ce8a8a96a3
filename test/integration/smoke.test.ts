import { expect, it } from 'vitest';
import { describeEachMpm, startLoad, useServer, waitFor } from './harness/index.js';

describeEachMpm('smoke', (mpm) => {
  const server = useServer({
    mpm,
    apps: ['hello.mjs', 'hello.cjs', 'hello.ts', 'echo-body.mjs'],
    directives: (s) => [
      `WSGIScriptAlias /mjs ${s.app('hello.mjs')}`,
      `WSGIScriptAlias /cjs ${s.app('hello.cjs')}`,
      `WSGIScriptAlias /ts ${s.app('hello.ts')}`,
      `WSGIScriptAlias /echo ${s.app('echo-body.mjs')}`,
      `WSGIScriptAlias /changes ${s.app('changes.ts')}`,
    ],
  });

  /** Writes a script that answers with `text`. */
  const writeVersion = (text: string) =>
    server.writeApp(
      'changes.ts',
      `import type { Environ, StartResponse } from 'nwsgi';
       export function application(environ: Environ, startResponse: StartResponse): string[] {
         startResponse('200 OK', [['Content-Type', 'text/plain']]);
         return ['${text}'];
       }`,
    );

  it.each([
    ['/mjs', 'Hello from an ES module\n'],
    ['/cjs', 'Hello from CommonJS\n'],
    ['/ts', 'Hello from TypeScript, GET\n'],
  ])('serves a callable at %s', async (path, text) => {
    const response = await server.get(path);
    expect(response.text).toBe(text);
    expect(response.status).toBe(200);
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  it('gives the request body to the callable', async () => {
    const body = Buffer.alloc(100_000, 'abcdefg');
    const response = await server.post('/echo', body, { 'Content-Type': 'text/x-test' });
    expect(response.status).toBe(200);
    expect(response.headers['content-type']).toBe('text/x-test');
    expect(response.body.equals(body)).toBe(true);
  });

  it('serves a changed script without losing a request', async () => {
    writeVersion('first version');
    expect((await server.get('/changes')).text).toBe('first version');
    const load = startLoad(server, '/changes', { connections: 2, check: (body) => /^(first|second) version$/.test(body) });
    writeVersion('second version');
    await waitFor('the second version', async () => (await server.get('/changes')).text === 'second version');
    expect(await load.stop()).toMatchObject({ failures: [] });
  });

  it('serves during and after a graceful restart', async () => {
    const before = [...server.children(), ...server.workers()];
    const load = startLoad(server, '/ts', { connections: 2 });
    await server.graceful();
    expect(await load.stop()).toMatchObject({ failures: [] });
    expect((await server.get('/ts')).status).toBe(200);
    await waitFor('the old children to leave', () => ![...server.children(), ...server.workers()].some((pid) => before.includes(pid)));
  });
});
