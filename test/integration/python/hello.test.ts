// The least that there is: a Python script answers.
import { expect, it } from 'vitest';
import { useServer } from '../harness/index.js';

const server = useServer({ directives: (s) => [`WSGIScriptAlias /hello ${s.app('hello.py')}`] }, (s) =>
  void s.writeApp('hello.py', "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'Hello ' + environ['PATH_INFO'].encode()]\n"));

it('answers', async () => {
  for (const path of ['/hello/a', '/hello/b', '/hello/c']) {
    const response = await server.get(path);
    expect([response.status, response.text]).toEqual([200, `Hello ${path.slice(6)}`]);
  }
});
