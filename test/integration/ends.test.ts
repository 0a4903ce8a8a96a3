/** How the responses of JavaScript applications end, and applications that end their process. */
import { describe, expect, it } from 'vitest';
import { daemon, useServer } from './harness/index.js';
import { ends } from './support/conformance/ends.js';
import { javascript } from './support/language.js';
import { get } from './support/mounts.js';

ends(javascript);

describe('an application that ends its process', () => {
  const server = useServer({
    apps: ['exits.mjs', 'hello.mjs'],
    directives: (s) => [
      `WSGIScriptAlias /exits "${s.app('exits.mjs')}"`,
      `WSGIScriptAlias /hello "${s.app('hello.mjs')}"`,
    ],
  });

  it.each(['exit', 'exit-async', 'abort'])('W-98 %s gives that request a 500; the next one and other applications go on', async (how) => {
    const pids = server.children();
    expect((await server.get('/exits?ask')).text).toBe('alive');
    const since = server.mark();
    const response = await server.get(`/exits?${how}`);
    // A worker is ended by process.abort(), as every process of Node; embedded, it is an error like others.
    expect(response.status).toBe(daemon && how === 'abort' ? 502 : 500);
    expect((await server.get('/hello')).status).toBe(200);
    const next = await server.get('/exits?ask');
    expect(next.status).toBe(200);
    expect(next.text).toBe('alive');
    expect(server.children()).toEqual(pids);
    await server.expectLog(/NWSGI\d{4}/, { since });
  });

  it('W-98 W-97 process.exit() in the middle of a body leaves it visibly incomplete', async () => {
    const client = await server.raw();
    await client.send(get('/exits?exit-block'));
    const response = await client.readResponse();
    expect(response.text).toBe('partial');
    expect(response.complete).toBe(false);
    client.close();
    expect((await server.get('/exits?ask')).text).toBe('alive');
  });
});
