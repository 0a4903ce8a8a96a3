// Scripts of Python by `nwsgi serve`: the options that only they have, their log, time-outs and the end.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NwsgiServe, request, sleep, waitFor } from '../harness/index.js';
import { python } from '../support/python.js';

const source = `import logging, sys, time
import extra
logging.basicConfig()

def application(environ, start_response):
    path = environ['PATH_INFO']
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if path == '/slow':
        time.sleep(0.5)
        return [b'slow']
    if path == '/endless':
        until = time.monotonic() + 20
        try:
            while time.monotonic() < until:
                time.sleep(0.01)
        except BaseException as error:
            print('interrupted by', type(error).__name__)
            raise
    if path == '/log':
        print('printed by Python')
        logging.warning('warned by Python')
    if path == '/fail':
        raise ValueError('failed on purpose')
    return [repr((extra.where, sys.prefix, environ['wsgi.multithread'], environ['mod_wsgi.process_group'])).encode()]
`;

const get = (server: NwsgiServe, path: string) => request(`http://127.0.0.1:${server.port}${path}`);

async function started(args: readonly string[], prepare: (server: NwsgiServe) => void): Promise<NwsgiServe> {
  const server = new NwsgiServe({ script: 'shop.py', args: (s) => [`--http=127.0.0.1:${s.port}`, ...args.map((arg) => arg.replace('ROOT', s.root))] });
  server.writeApp('shop.py', source);
  prepare(server);
  return server.start();
}

const withPath = (args: readonly string[] = []) =>
  started(['--python-path=ROOT/own', ...args], (s) => {
    mkdirSync(join(s.root, 'own'));
    writeFileSync(join(s.root, 'own', 'extra.py'), "where = 'python-path'\n");
  });

describe('nwsgi serve with a script of Python', () => {
  it('has 15 threads, and finds modules by --python-path', async () => {
    const server = await withPath();
    try {
      await server.expectOutput(/1 × 15 requests/);
      expect((await get(server, '/')).text).toMatch(/^\('python-path', '\/usr', True, 'shop'\)/);
    } finally {
      await server.stop();
    }
  });

  it('runs in the virtual environment of --python-home', async () => {
    const server = await started(['--python-home=ROOT/venv', '--threads=1'], (s) => {
      const packages = join(s.root, `venv/lib/${python}/site-packages`);
      mkdirSync(packages, { recursive: true });
      mkdirSync(join(s.root, 'venv/bin'));
      symlinkSync(`/usr/bin/${python}`, join(s.root, 'venv/bin/python3'));
      writeFileSync(join(s.root, 'venv/pyvenv.cfg'), 'home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n');
      writeFileSync(join(packages, 'extra.py'), "where = 'venv'\n");
    });
    try {
      expect((await get(server, '/')).text).toBe(`('venv', '${join(server.root, 'venv')}', False, 'shop')`);
    } finally {
      await server.stop();
    }
  });

  it('says what it prints and logs, and why it fails', async () => {
    const server = await withPath();
    try {
      await get(server, '/log');
      await server.expectOutput(/nwsgi:notice\].*printed by Python/);
      await server.expectOutput(/nwsgi:warn\].*warned by Python/);
      expect((await get(server, '/fail')).status).toBe(500);
      await server.expectOutput(/NWSGI2201.*ValueError: failed on purpose \(script \S+shop\.py, GET \/fail\)[^]*line \d+, in application/);
    } finally {
      await server.stop();
    }
  });

  it('interrupts requests at --request-timeout', async () => {
    const server = await withPath(['--request-timeout=500ms']);
    try {
      await get(server, '/');
      expect((await get(server, '/endless')).status).toBe(504);
      await server.expectOutput(/interrupted by RequestTimeout/);
      expect((await get(server, '/')).status).toBe(200);
    } finally {
      await server.stop();
    }
  });

  it('finishes its requests when it is stopped', async () => {
    const server = await withPath();
    await get(server, '/');
    const slow = get(server, '/slow');
    await sleep(200);
    await server.stop();
    expect(await slow).toMatchObject({ status: 200, text: 'slow' });
  });

  it('is loaded again when it has changed', async () => {
    const server = await withPath();
    try {
      expect((await get(server, '/')).status).toBe(200);
      server.writeApp('shop.py', source.replace('return [repr', "return [b'changed ' + repr"));
      await waitFor('the changed script', async () => (await get(server, '/')).text.startsWith('changed'));
    } finally {
      await server.stop();
    }
  });

  it('refuses --python-home for other scripts', async () => {
    const server = new NwsgiServe({ script: 'app.mjs', args: () => ['--python-home=/usr'] });
    server.writeApp('app.mjs', '');
    await server.spawn();
    expect(await server.exit()).toBe(2);
    expect(server.output()).toMatch(/NWSGI4301.*are for Python/);
    server.dispose();
  });
});
