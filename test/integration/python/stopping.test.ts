// The end of a server while Python applications have requests in progress.
import { describe, expect, it } from 'vitest';
import { daemon, HttpdServer, sleep } from '../harness/index.js';

const source = `import atexit, mod_wsgi, os, sys, time
atexit.register(lambda: print('atexit', flush=True))
mod_wsgi.subscribe_shutdown(lambda name, **event: print('shutdown', name, flush=True))

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/slow':
        def slowly():
            yield b'begun '
            time.sleep(float(environ['QUERY_STRING']))
            yield b'ended'
        return slowly()
    return [str(os.getpid()).encode()]
`;

async function started(options = {}): Promise<HttpdServer> {
  const server = new HttpdServer({ threads: 8, directives: (s: HttpdServer) => [`WSGIScriptAlias / ${s.app('app.py')}`], ...options });
  server.writeApp('app.py', source);
  await server.start();
  expect((await server.get('/')).status).toBe(200);
  return server;
}

describe('a server that ends', () => {
  it('gracefully lets requests of Python finish, then the functions for its end run', async () => {
    const server = await started();
    try {
      const slow = server.get('/slow?1');
      await sleep(300);
      const begin = performance.now();
      await server.gracefulStop();
      expect(performance.now() - begin).toBeLessThan(8000);
      expect(await slow).toMatchObject({ status: 200, text: 'begun ended', complete: true });
      await server.expectLog(/shutdown process_stopping/);
      await server.expectLog(/atexit/);
    } finally {
      server.dispose();
    }
  });

  it('at once does not wait for a request that takes long', async () => {
    const server = await started({ daemonOptions: 'shutdown-timeout=1s' });
    try {
      const slow = server.get('/slow?60').catch((error: Error) => error);
      await sleep(300);
      const begin = performance.now();
      await server.stop();
      expect(performance.now() - begin).toBeLessThan(8000);
      const outcome = await slow;
      if (!(outcome instanceof Error)) expect(outcome.complete).toBe(false);
    } finally {
      server.dispose();
    }
  });

  it('restarts gracefully without losing a request', async () => {
    const server = await started();
    try {
      const slow = server.get('/slow?1');
      await sleep(300);
      await server.graceful();
      expect((await server.get('/')).status).toBe(200);
      expect(await slow).toMatchObject({ status: 200, text: 'begun ended', complete: true });
      await server.stop();
    } finally {
      server.dispose();
    }
  });

  it.runIf(daemon)('gives requests of a process group graceful-timeout, no longer', async () => {
    const server = await started({ daemonOptions: 'graceful-timeout=1s shutdown-timeout=1s' });
    try {
      const slow = server.get('/slow?60').catch((error: Error) => error);
      await sleep(300);
      const begin = performance.now();
      await server.graceful();
      await slow;
      expect(performance.now() - begin).toBeLessThan(6000);
      await server.stop();
    } finally {
      server.dispose();
    }
  });
});
