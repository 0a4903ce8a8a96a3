/** How the responses of Python applications end, and applications that raise what ends a program. */
import { describe, expect, it } from 'vitest';
import { useServer } from '../harness/index.js';
import { ends } from '../support/conformance/ends.js';
import { laboratory, python } from '../support/language.js';
import { get } from '../support/mounts.js';

ends(python);

describe('an application that raises what ends a program', () => {
  const server = useServer(laboratory(python, ['exits', 'hello']));

  it.each([
    ['exit', /NWSGI2604[^\n]*SystemExit: 3/],
    ['exit-text', /NWSGI2604[^\n]*with a text/],
    ['exit-none', /NWSGI2604/],
    ['interrupt', /NWSGI2201[^\n]*KeyboardInterrupt/],
    ['generator-exit', /NWSGI2201[^\n]*GeneratorExit/],
    ['stop-iteration', /NWSGI2201[^\n]*StopIteration/],
    ['whim', /NWSGI2201[^\n]*Whim: of its own/],
  ])('W-98 %s gives that request a 500; the process, the next request and other applications go on', async (how, code) => {
    const alive = (await server.get('/exits?ask')).text;
    expect(alive).toMatch(/^alive \d+$/);
    const pids = server.appProcesses();
    const since = server.mark();
    const response = await server.get(`/exits?${how}`);
    expect(response.status).toBe(500);
    expect(response.text).not.toMatch(/NWSGI|Traceback/);
    expect((await server.get('/hello')).status).toBe(200);
    expect((await server.get('/exits?ask')).text).toBe(alive);
    expect(server.appProcesses()).toEqual(pids);
    await server.expectLog(code, { since });
  });

  it('W-98 W-97 sys.exit() in the middle of a body leaves it visibly incomplete', async () => {
    const alive = (await server.get('/exits?ask')).text;
    const client = await server.raw();
    await client.send(get('/exits?exit-block'));
    const response = await client.readResponse();
    expect(response.text).toBe('partial');
    expect(response.complete).toBe(false);
    client.close();
    expect((await server.get('/exits?ask')).text).toBe(alive);
  });
});
