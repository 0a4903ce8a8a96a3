/** A server that stops while requests wait: for a worker, for a place in the queue, for the first worker of all. */
import { expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { describeEachMpm, sleep, withServer, type HttpdServer } from '../harness/index.js';

const APP = 'node/does-as-told.mjs';
const identity = childIdentity();
const user = identity ? `user=${identity.user} group=${identity.user}` : '';

describeEachMpm('a stop', (mpm) => {
  const options = {
    mpm,
    children: mpm === 'prefork' ? 4 : 1,
    apps: [APP],
    directives: (server: HttpdServer) => {
      const slow = server.writeApp('starts-slowly.mjs', 'await new Promise((go) => setTimeout(go, 20_000)); export default (req, res) => res.end();');
      return [
        `WSGIDaemonProcess shop ${user} processes=1 threads=1`,
        `WSGIScriptAlias /slow "${slow}" process-group=shop application-group=slow`,
        `WSGIScriptAlias / "${server.app(APP)}" process-group=shop application-group=shop`,
      ];
    },
  };

  it('does not wait for requests that wait', { timeout: 60_000 }, async () => {
    await withServer(options, async (server) => {
      await server.get('/');
      const waiting = [server.get('/sleep/20000'), server.get('/'), server.get('/slow')].map((answer) => answer.catch((error: unknown) => error));
      await sleep(500);
      const began = performance.now();
      await server.stop();
      expect(performance.now() - began).toBeLessThan(8000);
      await Promise.all(waiting);
    });
  });

  it('that is a graceful restart lets requests in the queue finish', { timeout: 60_000 }, async () => {
    await withServer(options, async (server) => {
      await server.get('/');
      const first = server.get('/sleep/1500');
      await sleep(100);
      const second = server.get('/');
      await sleep(100);
      await server.graceful();
      expect((await first).status).toBe(200);
      expect((await second).status).toBe(200);
      expect((await server.get('/')).status).toBe(200);
    });
  });
}, { everyMpm: true });
