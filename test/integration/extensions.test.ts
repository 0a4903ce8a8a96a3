/** Extensions of a JavaScript application's environ, and the abort signal (W-130). */
import { describe, expect, it } from 'vitest';
import { useServer, waitFor } from './harness/index.js';
import { extensions } from './support/conformance/extensions.js';
import { javascript } from './support/language.js';
import { appsServer, get, newRun, notesOf } from './support/mounts.js';

extensions(javascript);

describe('the abort signal', () => {
  const server = useServer(appsServer(['signal.mjs']));

  it('W-130 nwsgi.signal is one AbortSignal, aborted when the client leaves', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(get(`/signal?wait&run=${run}`));
    await waitFor('the application', async () => (await notesOf(server, run)).length > 0);
    client.reset();
    const begin = performance.now();
    await waitFor('the signal', async () => (await notesOf(server, run)).length > 1, 5000);
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(await notesOf(server, run)).toEqual(['true true false', 'true AbortError']);
  });

  it('W-130 nwsgi.signal is aborted too when the client closes its connection in order', async () => {
    const run = newRun();
    const client = await server.raw();
    await client.send(get(`/signal?wait&run=${run}`));
    await waitFor('the application', async () => (await notesOf(server, run)).length > 0);
    client.close();
    await waitFor('the signal', async () => (await notesOf(server, run)).length > 1, 2000);
  });

  it('W-130 nwsgi.signal is not aborted by an ordinary end', async () => {
    const run = newRun();
    expect((await server.get(`/signal?run=${run}`)).text).toBe('answered');
    expect(await notesOf(server, run)).toEqual(['true true false']);
  });
});
