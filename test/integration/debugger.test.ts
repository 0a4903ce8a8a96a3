// Debuggers: WSGINodeOptions --inspect.
import { describe, expect, it } from 'vitest';
import { daemon, describeEachMpm, freePorts, request, waitFor, within, withServer, type HttpdServer, type Mpm, type Options } from './harness/index.js';
import { DevTools } from './support/devtools.js';
import { secondsToStop } from './support/stop.js';

interface Announced {
  pid: number;
  group: string;
  url: URL;
}

/** What the log says of debuggers, in order. */
function announced(s: HttpdServer, since = 0): Announced[] {
  const lines = s.log(since).matchAll(/NWSGI3015 application group '([^']*)' in process (\d+): a debugger can attach at (ws:\S+)/g);
  return [...lines].map(([, group, pid, url]) => ({ pid: Number(pid), group: group as string, url: new URL(url as string) }));
}

const options = (inspect: string, more: Options = {}): Options => ({
  apps: ['debugged.cjs'],
  directives: (s) => [
    `WSGINodeOptions ${inspect}`,
    `WSGIScriptAlias /one ${s.app('debugged.cjs')} application-group=one`,
    `WSGIScriptAlias /two ${s.app('debugged.cjs')} application-group=two`,
  ],
  ...more,
});

/** The debugger's view of the environment that answers at `path`. */
async function attach(s: HttpdServer, path: string): Promise<DevTools> {
  const { text } = await s.get(path);
  const place = announced(s).reverse().find(({ pid, group }) => `/${group}` === path && String(pid) === text);
  expect(place, s.log()).toBeDefined();
  return DevTools.connect((place as Announced).url.href);
}

// A worker is a process of Node, which opens it to debuggers itself: daemon/debugger.test.ts.
describe.skipIf(daemon)('--inspect', () => {
  it('opens each application to a debugger of its own, with the addresses in the log', async () => {
    await withServer(options('--inspect=127.0.0.1:0'), async (s) => {
      await s.get('/one');
      await s.get('/two');
      await s.get('/two');
      const places = announced(s);
      expect(places.map(({ group }) => group)).toEqual(['one', 'two']);
      expect(new Set(places.map(({ url }) => url.port)).size).toBe(2);
      for (const { group, url, pid } of places) {
        expect(s.children()).toContain(pid);
        const list = (await request(`http://${url.host}/json/list`)).json() as { webSocketDebuggerUrl: string }[];
        expect(list.map(({ webSocketDebuggerUrl }) => webSocketDebuggerUrl)).toEqual([url.href]);
        const tools = await DevTools.connect(url.href);
        expect(await tools.evaluate('debuggedCounter')).toBe(group === 'one' ? 1 : 2);
        expect(await tools.evaluate('process.pid')).toBe(pid);
        tools.close();
      }
      // Node's own lines, which say nothing of the application, are not there.
      expect(s.log()).not.toContain('Debugger listening');
    });
  });

  it('stops an application at a breakpoint and lets it go on', async () => {
    await withServer(options('--inspect=0'), async (s) => {
      const tools = await attach(s, '/one');
      await tools.call('Debugger.enable');
      await tools.call('Debugger.setBreakpointByUrl', { lineNumber: 4, urlRegex: '.*debugged\\.cjs' });
      let answered = false;
      const answer = s.get('/one').then((response) => {
        answered = true;
        return response;
      });
      await tools.event('Debugger.paused');
      expect((await s.get('/two')).status).toBe(200);
      expect(answered).toBe(false);
      await tools.call('Debugger.resume');
      expect((await answer).status).toBe(200);
      tools.close();
    });
  });

  it('uses the given port for the first application and free ones for the others', async () => {
    const [port = 0] = await freePorts(1);
    await withServer(options(`--inspect=127.0.0.1:${port}`), async (s) => {
      await s.get('/one');
      await s.get('/two');
      const ports = announced(s).map(({ url }) => Number(url.port));
      expect(ports).toHaveLength(2);
      expect(ports[0]).toBe(port);
      expect(ports[1]).not.toBe(port);
    });
  });

  it('that names an address of another machine leaves the application running, and says so', async () => {
    await withServer(options('--inspect=192.0.2.1:9229'), async (s) => {
      expect((await s.get('/one')).status).toBe(200);
      await s.expectLog(/NWSGI3016 application group 'one' in process \d+: no debugger can attach/);
    });
  });
});

describeEachMpm('an attached debugger', (mpm: Mpm) => {
  it.skipIf(daemon)('does not hold up the stop of the server', async () => {
    await withServer(options('--inspect=0', { mpm, children: mpm === 'prefork' ? 2 : 1 }), async (s) => {
      const tools = await attach(s, '/one');
      expect(await secondsToStop(s)).toBeLessThan(4);
      await within(1000, 'the end of the connection', tools.closed);
      expect(s.log()).not.toContain('NWSGI1005');
    });
  });
});

describe.skipIf(daemon)('an attached debugger', () => {
  const gone = (tools: DevTools) => within(6000, 'the end of the connection', tools.closed);

  it('does not hold up an environment that ends by process.exit(), is replaced, or was blocked', async () => {
    const timeout = options('--inspect=0');
    const directives = (s: HttpdServer) => ['WSGIRequestTimeout 3s', ...(timeout.directives as (s: HttpdServer) => string[])(s)];
    await withServer({ ...timeout, directives }, async (s) => {
      let tools = await attach(s, '/one');
      expect((await s.get('/one?exit')).status).toBe(500);
      await gone(tools);

      tools = await attach(s, '/one');
      s.addApp('debugged.cjs');
      await gone(tools);

      tools = await attach(s, '/one');
      expect((await s.get('/one?block')).status).toBe(504);
      await gone(tools);
      await waitFor('the environment after it', async () => (await s.get('/one')).status === 200);
    });
  });
});
