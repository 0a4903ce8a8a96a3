import { expect, it } from 'vitest';
import { describeEachMpm, useServer } from './harness/index.js';

describeEachMpm('smoke', (mpm) => {
  const server = useServer({
    mpm,
    apps: ['hello.mjs', 'hello.cjs', 'hello.ts', 'echo-body.mjs'],
    directives: (s) => [
      `WSGIScriptAlias /mjs ${s.app('hello.mjs')}`,
      `WSGIScriptAlias /cjs ${s.app('hello.cjs')}`,
      `WSGIScriptAlias /ts ${s.app('hello.ts')}`,
      `WSGIScriptAlias /echo ${s.app('echo-body.mjs')}`,
    ],
  });

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
});
