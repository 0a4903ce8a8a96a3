// Debuggers of workers: node-options=--inspect.
import { expect, it } from 'vitest';
import { waitFor, withServer, within } from '../harness/index.js';
import { DevTools } from '../support/devtools.js';
import { secondsToStop } from '../support/stop.js';

const user = process.getuid?.() === 0 ? ' user=www-data group=www-data' : '';

it('attach to each worker by the address that Node logs, and do not hold up a reload or the stop of the server', async () => {
  await withServer(
    {
      apps: ['debugged.cjs'],
      directives: (s) => [
        `WSGIDaemonProcess inspected node-options=--inspect=127.0.0.1:0 shutdown-timeout=2s${user}`,
        ...['one', 'two'].map((name) => `WSGIScriptAlias /${name} ${s.app('debugged.cjs')} process-group=inspected application-group=${name}`),
      ],
    },
    async (s) => {
      const addresses = () => [...s.log().matchAll(/Debugger listening on (ws:\S+)/g)].map(([, url]) => url as string);
      const pid = async (path: string) => Number((await s.get(path)).text);
      const pids = [await pid('/one'), await pid('/two')];
      await waitFor('two addresses', () => addresses().length >= 2);
      const tools = await Promise.all(addresses().map((url) => DevTools.connect(url)));
      const seen = await Promise.all(tools.map((tool) => tool.evaluate('process.pid')));
      expect(seen).toEqual(expect.arrayContaining(pids));
      const old = pids[0] as number;
      s.addApp('debugged.cjs');
      await waitFor('a new worker', async () => (await pid('/one')) !== old);
      await waitFor('the old one to be gone', () => !s.workers().includes(old), 10_000);
      expect(await secondsToStop(s)).toBeLessThan(5);
      for (const tool of tools) await within(1000, 'the end of the connection', tool.closed);
    },
  );
});
