// The module finds its runtime and gateway beside its own file; what is missing or broken is said, and never a hang.
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configtest, daemon, HttpdServer, modeDirectives, projectRoot, withServer, type Options } from './harness/index.js';

/** libnode in a private prefix is found relative to the built runtime, which lies elsewhere here. */
const privateLibraries = (home: string) => join(home, '.deps/libnode/usr/lib/x86_64-linux-gnu');

const maps = (pid: number) => readFileSync(`/proc/${pid}/maps`, 'utf8');

/** Puts the built files into `lib` below the server's root; returns the path of the module. */
function install(s: HttpdServer): string {
  const lib = join(s.root, 'lib');
  if (existsSync(lib)) return join(lib, 'mod_nwsgi.so');
  mkdirSync(lib);
  for (const name of ['mod_nwsgi.so', 'nwsgi_runtime.so', 'nwsgi_bridge.node']) copyFileSync(join(dirname(s.modulePath), name), join(lib, name));
  cpSync(join(s.home, 'dist'), join(lib, 'dist'), { recursive: true });
  // It says that dist/ holds ES modules.
  copyFileSync(join(s.home, 'package.json'), join(lib, 'package.json'));
  symlinkSync(join(s.home, 'node_modules'), join(lib, 'node_modules'));
  return join(lib, 'mod_nwsgi.so');
}

/** A server whose module lies in a folder of its own, which `change` may spoil. */
const installed = (change: (lib: string) => void = () => {}): Options => ({
  nwsgi: false,
  apps: ['hello.mjs', 'hello.ts'],
  env: { LD_LIBRARY_PATH: privateLibraries(process.env.NWSGI_TEST_HOME ?? projectRoot) },
  directives: (s) => {
    const fresh = !existsSync(join(s.root, 'lib'));
    const module = install(s);
    if (fresh) change(dirname(module));
    return [`LoadModule nwsgi_module "${module}"`, ...modeDirectives(), `WSGIScriptAlias /js ${s.app('hello.mjs')}`, `WSGIScriptAlias /ts ${s.app('hello.ts')}`];
  },
});

it('serves from a folder that holds the module, the runtime, dist/ and package.json', async () => {
  await withServer(installed(), async (s) => {
    expect((await s.get('/js')).text).toBe('Hello from an ES module\n');
    expect((await s.get('/ts')).text).toContain('Hello from TypeScript');
  });
});

describe('a missing part', () => {
  it.each([
    ['nwsgi_runtime.so', (lib: string) => rmSync(join(lib, 'nwsgi_runtime.so')), /NWSGI1001.*nwsgi_runtime\.so.*lib.*npm run build/],
    ['the gateway', (lib: string) => rmSync(join(lib, 'dist'), { recursive: true }), /NWSGI1002.*bootstrap\.cjs.*npm run build/],
  ])('%s keeps the server from starting, with what is missing, where it was looked for, and the remedy', async (_, change, message) => {
    const server = new HttpdServer(installed(change));
    try {
      await expect(server.start()).rejects.toThrow(message);
    } finally {
      await server.kill();
      server.dispose();
    }
  });
});

describe('a broken part', () => {
  it.each<[string, (lib: string) => void, RegExp]>([
    daemon
      ? ['a bridge that is no library', (lib: string) => writeFileSync(join(lib, 'nwsgi_bridge.node'), 'not a library'), /NWSGI4201.*nwsgi_bridge\.node/]
      : ['a runtime that is no library', (lib: string) => writeFileSync(join(lib, 'nwsgi_runtime.so'), 'not a library'), /NWSGI1003/],
    ['a gateway that lacks a file', (lib: string) => rmSync(join(lib, 'dist/gateway.js')), /NWSGI(2002|4250).*gateway\.js/],
  ])('%s leads to 500 with the reason in the log, soon', async (_, change, reason) => {
    await withServer(installed(change), async (s) => {
      const begin = performance.now();
      expect((await s.get('/js')).status).toBeGreaterThanOrEqual(500);
      expect(performance.now() - begin).toBeLessThan(3000);
      await s.expectLog(reason);
      // Nor does a second one hang.
      expect((await s.get('/js')).status).toBeGreaterThanOrEqual(500);
    });
  });

  it('an option that this Node does not know leads to an error with the option in the log', async () => {
    await withServer(
      { apps: ['hello.mjs'], directives: (s) => ['WSGINodeOptions --no-such-option', `WSGIScriptAlias /js ${s.app('hello.mjs')}`] },
      async (s) => {
        expect((await s.get('/js')).status).toBe(daemon ? 503 : 500);
        await s.expectLog(daemon ? /bad option: --no-such-option/ : /NWSGI\d{4}.*--no-such-option/);
      },
    );
  });
});

it('does not load Node for a configtest, nor into the parent', async () => {
  expect((await configtest({ apps: ['hello.mjs'], directives: (s) => `WSGIScriptAlias / ${s.app('hello.mjs')}` })).ok).toBe(true);
  await withServer({ apps: ['hello.mjs'], directives: (s) => `WSGIScriptAlias / ${s.app('hello.mjs')}` }, async (s) => {
    expect((await s.get('/')).status).toBe(200);
    expect(maps(s.pid)).not.toMatch(/libnode|nwsgi_runtime/);
    // Where applications have processes of their own, httpd's children stay small too.
    expect(/libnode|nwsgi_runtime/.test(maps(s.children()[0] as number))).toBe(!daemon);
  });
});
