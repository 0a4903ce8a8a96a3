/** TypeScript and module formats in the Node that is embedded in the server. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, useServer, waitFor, type HttpdServer } from './harness/index.js';

const TYPES = "import type { Environ, StartResponse } from 'nwsgi';\n";
/** Answers with `value`. */
const ANSWER = '(environ, startResponse) => { startResponse("200 OK", []); return [String(value)]; };\n';
const TYPED = '(environ: Environ, startResponse: StartResponse): string[] => { startResponse("200 OK", []); return [String(value)]; };\n';

/** Folders of files; the first file of each is the script, and the right answer is always 42. */
const applications: Record<string, Record<string, string>> = {
  'with-extension': { 'app.ts': `${TYPES}import { value } from './lib.ts'; export const application = ${TYPED}`, 'lib.ts': 'export const value: number = 42;' },
  'without-extension': { 'app.ts': `${TYPES}import { value } from './lib'; export const application = ${TYPED}`, 'lib.ts': 'export const value: number = 42;' },
  'js-names-ts': { 'app.ts': `${TYPES}import { value } from './lib.js'; export const application = ${TYPED}`, 'lib.ts': 'export const value: number = 42;' },
  transformed: {
    'app.ts': `${TYPES}enum Level { Low = 40, High }\nclass Point { constructor(readonly x: number) {} }\nnamespace Names { export const one = 1; }\nconst value = Level.High + new Point(1).x * Names.one;\nexport const application = ${TYPED}`,
  },
  mts: { 'app.mts': `${TYPES}import { value } from './lib.mjs'; export const application = ${TYPED}`, 'lib.mts': 'export const value: number = await Promise.resolve(42);' },
  cts: { 'app.cts': `const { value } = require('./lib.cts') as { value: number }; exports.application = ${ANSWER}`, 'lib.cts': 'const value: number = 42; exports.value = value;' },
  'cts-requires-ts': { 'app.cts': `const { value } = require('./lib') as { value: number }; exports.application = ${ANSWER}`, 'lib.ts': 'exports.value = 42 as number;' },
  'type-module': { 'app.ts': `import { value } from './lib.js'; export const application = ${ANSWER}`, 'lib.js': 'export const value = 42;', 'package.json': '{"type":"module"}' },
  'type-commonjs': { 'app.ts': `const { value } = require('./lib.js') as { value: number }; exports.application = ${ANSWER}`, 'lib.js': 'exports.value = 42;', 'package.json': '{"type":"commonjs"}' },
  'import-equals': { 'app.ts': `import lib = require('./lib'); const value: number = lib.value; export = { application: ${ANSWER.trim().slice(0, -1)} };`, 'lib.ts': 'exports.value = 42 as number;' },
  'js-without-type': { 'app.js': `import { sep } from 'node:path'; import { value } from './lib.js'; export const application = ${ANSWER}`, 'lib.js': 'export const value = 42;' },
  'js-commonjs': { 'app.js': `const { value } = require('./lib'); exports.application = ${ANSWER}`, 'lib.js': 'exports.value = 42;' },
  'js-leads-to-ts': { 'app.mjs': `import { value } from './lib.mjs'; export const application = ${ANSWER}`, 'lib.mjs': "export { value } from './deep/dep.ts';", 'deep/dep.ts': 'enum E { A = 42 }\nexport const value: number = E.A;' },
  'top-level-await': { 'app.ts': `${TYPES}const value: number = await new Promise((resolve) => setTimeout(resolve, 20, 42)); export const application = ${TYPED}` },
  json: { 'app.ts': `${TYPES}import { createRequire } from 'node:module'; const { value } = createRequire(import.meta.url)('./data.json') as { value: number }; export const application = ${TYPED}`, 'data.json': '{"value":42}' },
  'json-attribute': { 'app.mjs': `const { default: { value } } = await import('./data.json', { assert: { type: 'json' }, with: { type: 'json' } }); export const application = ${ANSWER}`, 'data.json': '{"value":42}' },
};

const scriptOf = (name: string): string => `${name}/${Object.keys(applications[name] as object)[0]}`;

function write(server: HttpdServer): void {
  for (const [name, files] of Object.entries(applications)) {
    for (const [file, text] of Object.entries(files)) server.writeApp(`${name}/${file}`, text);
  }
}

describeEachMpm('scripts and modules', (mpm) => {
  // One environment for each: what one of them installs must not help another.
  const server = useServer(
    { mpm, threads: 4, directives: (s) => Object.keys(applications).map((name) => `WSGIScriptAlias /${name} "${s.app(scriptOf(name))}" application-group=${name}`) },
    write,
  );

  it.each(Object.keys(applications))('%s', async (name) => {
    const response = await server.get(`/${name}`);
    expect([response.status, response.text]).toEqual([200, '42']);
  });
});

describe('errors in TypeScript', () => {
  const failing: Record<string, string> = {
    'stripped.ts': `${TYPES}interface Row {\n  id: number;\n}\n\nexport function application(environ: Environ): string[] {\n  const row: Row | undefined = undefined;\n  return [String(row!.id)];\n}\n`,
    'transformed.ts': `${TYPES}enum Level { Low, High }\n\ninterface Row {\n  id: number;\n}\n\nexport function application(environ: Environ): string[] {\n  const row: Row | undefined = undefined;\n  return [String(row!.id + Level.High)];\n}\n`,
    'transformed.cts': `enum Level { Low, High }\n\ninterface Row {\n  id: number;\n}\n\nexports.application = (environ: object): string[] => {\n  const row: Row | undefined = undefined;\n  return [String(row!.id + Level.High)];\n};\n`,
    'imports-broken.mjs': "import './broken.mjs';\n",
    'imports-broken-ts.ts': "import './broken.ts';\n",
    'imports-failing-commonjs.mjs': "import './failing.cjs';\n",
    'wrong.cjs': "'use strict';\nconst a = 1;\nconst b = a +;\n",
    'typed.mjs': 'export const port: number = 80;\n',
  };
  const server = useServer(
    { directives: (s) => ['WSGIErrorPage Development', ...Object.keys(failing).map((name) => `WSGIScriptAlias /${name} "${s.app(name)}" application-group=${name}`)] },
    (s) => {
      for (const [name, text] of Object.entries(failing)) s.writeApp(name, text);
      s.writeApp('broken.mjs', "import { sep } from 'node:path';\nexport const parts = {\n  first: sep second\n};\n");
      s.writeApp('broken.ts', 'export const a: number = 1;\nexport const b: = 2;\n');
      s.writeApp('failing.cjs', '\nthrow new RangeError("on purpose");\n');
    },
  );

  it.each([
    ['stripped.ts', /stripped\.ts:8:23/, /class="hit">\s*8 .*row!\.id/],
    ['transformed.ts', /transformed\.ts:10:\d+/, /class="hit">\s*10 .*row!\.id/],
    ['transformed.cts', /transformed\.cts:9:\d+/, /class="hit">\s*9 .*row!\.id/],
    ['imports-broken.mjs', /NWSGI2102[^\n]*broken\.mjs:3:14\)/, /class="hit">\s*3 .*first: sep second/],
    ['imports-broken-ts.ts', /NWSGI2104[^\n]*broken\.ts:2:17/, /class="hit">\s*2 .*const b: = 2/],
    ['imports-failing-commonjs.mjs', /NWSGI2102[^\n]*RangeError: on purpose/, /class="hit">\s*2 .*throw new RangeError/],
    ['wrong.cjs', /NWSGI2102[^\n]*wrong\.cjs:3:14\)/, /class="hit">\s*3 .*const b = a \+;/],
    ['typed.mjs', /NWSGI2102[^\n]*typed\.mjs:1:14\)/, /class="hit">\s*1 .*port: number/],
  ])('of %s are shown at their place in the source', async (name, log, page) => {
    const since = server.mark();
    const response = await server.get(`/${name}`);
    expect(response.status).toBe(500);
    expect(response.text).toMatch(page);
    await server.expectLog(log, { since });
    expect(server.log(since)).not.toMatch(/NWSGI(2402|300[0-9])/);
  });
});

describe('a changed TypeScript script', () => {
  const server = useServer({ directives: (s) => `WSGIScriptAlias /changes "${s.app('changes.ts')}"` }, (s) => {
    s.writeApp('changes.ts', version(1));
  });
  const version = (value: number) => `${TYPES}enum Version { Current = ${value} }\nconst value = Version.Current;\nexport const application = ${TYPED}`;

  it('is served in its new version; one that cannot be converted leaves the old one serving', async () => {
    expect((await server.get('/changes')).text).toBe('1');
    server.writeApp('changes.ts', version(2));
    await waitFor('the second version', async () => (await server.get('/changes')).text === '2');
    const since = server.mark();
    server.writeApp('changes.ts', `${version(3)}const x: = 1;\n`);
    await server.expectLog(/NWSGI2104[^\n]*changes\.ts:5:10/, { since });
    expect((await server.get('/changes')).text).toBe('2');
    server.writeApp('changes.ts', version(4));
    await waitFor('the fourth version', async () => (await server.get('/changes')).text === '4');
  });
});
