/**
 * Loads real scripts with the compiled gateway in a Node process of its own: the module loader of Node is what is
 * tested.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGateway, nodes, root } from './helpers/gateway.js';

interface Outcome {
  text: string;
  same: boolean;
  failure?: { status: number; code: string; message: string };
  log: string[];
  watched: number;
  failed: number;
}

const run = promisify(execFile);
const ANSWER = "(environ, start) => { start('200 OK', []); return [String(value)]; }";
let directory = '';
let gateway = '';

beforeAll(() => {
  gateway = compileGateway('gateway-under-test');
  directory = mkdtempSync(join(tmpdir(), 'nwsgi-loader-'));
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

let counter = 0;

/** Writes files into a fresh directory and loads the first one. */
async function load(node: string, files: Record<string, string>, callable = 'application'): Promise<Outcome> {
  const place = join(directory, String(counter++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(place, name)), { recursive: true });
    writeFileSync(join(place, name), text);
  }
  const script = join(place, Object.keys(files)[0] as string);
  const { stdout } = await run(node, [join(root, 'test/unit/fixtures/load-one.mjs'), gateway, script, callable], { env: { ...process.env, NODE_OPTIONS: '' } });
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Outcome;
}

const APPS: [name: string, files: Record<string, string>, callable?: string][] = [
  ['.mjs with top-level await', { 'app.mjs': `const value = await Promise.resolve(42);\nexport const application = ${ANSWER};` }],
  ['.cjs', { 'app.cjs': `const value = 42; exports.application = ${ANSWER};` }],
  ['module.exports = { application }', { 'app.cjs': `const value = 42; module.exports = { application: ${ANSWER} };` }],
  ['another callable', { 'app.mjs': `const value = 42; export const main = ${ANSWER};` }, 'main'],
  ['a property of the default export', { 'app.mjs': `const value = 42; export default { application: ${ANSWER} };` }],
  ['.js of type module', { 'app.js': `const value = 42; export const application = ${ANSWER};`, 'package.json': '{"type":"module"}' }],
  ['.js of type commonjs', { 'app.js': `const value = 42; exports.application = ${ANSWER};`, 'package.json': '{"type":"commonjs"}' }],
  ['.js with import, without a type', { 'app.js': `import { sep } from 'node:path'; const value = sep && 42; export const application = ${ANSWER};` }],
  ['.js with require, without a type', { 'app.js': `const { sep } = require('path'); const value = sep && 42; exports.application = ${ANSWER};` }],
  ['another extension, ES module', { 'app.wsgi.nwsgi': `const value = 42; export const application = ${ANSWER};` }],
  ['another extension, CommonJS', { 'app.nwsgi': `const value = 42; exports.application = ${ANSWER};` }],
  ['a name with spaces and signs', { 'my app#1%20?.mjs': `const value = 42; export const application = ${ANSWER};` }],
  ['.ts', { 'app.ts': `const value: number = 42; export const application = ((environ: object, start: (s: string, h: string[]) => void) => { start('200 OK', []); return [String(value)]; });` }],
  ['.ts with enums, parameter properties, namespaces', { 'app.ts': `enum E { A = 40 } class P { constructor(readonly x: number) {} } namespace N { export const y = 1 }\nconst value = E.A + new P(1).x + N.y; export const application = ${ANSWER};` }],
  ['.mts that imports .ts', { 'app.mts': `import { value } from './lib.ts'; import type { T } from './lib.ts';\nconst x: T = 1; export const application = ${ANSWER};`, 'lib.ts': 'export type T = number; export const value: T = 42;' }],
  ['.ts that imports .js which is .ts', { 'app.ts': `import { value } from './lib.js'; export const application = ${ANSWER};`, 'lib.ts': 'export const value: number = 42;' }],
  ['.ts that imports CommonJS', { 'app.ts': `import { value } from './lib.cjs'; export const application = ${ANSWER};`, 'lib.cjs': 'exports.value = 42;' }],
  ['.ts that imports .cts', { 'app.ts': `import lib from './lib.cts'; const value: number = lib.value; export const application = ${ANSWER};`, 'lib.cts': 'const value: number = 42; exports.value = value;' }],
  ['.cts that requires .ts', { 'app.cts': `const { value } = require('./lib.ts') as { value: number }; exports.application = ${ANSWER};`, 'lib.ts': 'const value: number = 42; exports.value = value;' }],
  ['.ts with import = and export =', { 'app.ts': `import lib = require('./lib'); const value: number = lib.value; export = { application: ${ANSWER} };`, 'lib.ts': 'exports.value = 42 as number;' }],
  ['.ts of type commonjs', { 'app.ts': `const value: number = 42; exports.application = ${ANSWER};`, 'package.json': '{"type":"commonjs"}' }],
  ['.mjs that leads to .ts through another module', { 'app.mjs': `import { value } from './lib.mjs'; export const application = ${ANSWER};`, 'lib.mjs': `export { value } from './sub/dep.ts';`, 'sub/dep.ts': 'export const value: number = 42;' }],
  ['.mjs that leads to .ts by a name without extension', { 'app.mjs': `import { value } from './lib.mjs'; export const application = ${ANSWER};`, 'lib.mjs': `export { value } from './dep';`, 'dep.ts': 'export const value: number = 42;' }],
  ['.mjs that leads to .ts by import()', { 'app.mjs': `import { value } from './lib.mjs'; export const application = ${ANSWER};`, 'lib.mjs': `export const { value } = await import('./dep.ts');`, 'dep.ts': 'enum E { A = 42 } export const value: number = E.A;' }],
  ['.cjs that leads to .ts through another module', { 'app.cjs': `const { value } = require('./lib'); exports.application = ${ANSWER};`, 'lib.js': `module.exports = require('./dep.ts');`, 'dep.ts': 'enum E { A = 42 } exports.value = E.A as number;' }],
  ['.mjs that leads to .ts through CommonJS', { 'app.mjs': `import lib from './lib.cjs'; const { value } = lib; export const application = ${ANSWER};`, 'lib.cjs': `module.exports = require('./dep.cts');`, 'dep.cts': 'const value: number = 42; module.exports = { value };' }],
  ['.mjs that imports JSON', { 'app.mjs': `import { createRequire } from 'node:module'; const { value } = createRequire(import.meta.url)('./data.json'); export const application = ${ANSWER};`, 'data.json': '{"value":42}' }],
  ['.ts that requires JSON', { 'app.cts': `const { value } = require('./data.json') as { value: number }; exports.application = ${ANSWER};`, 'data.json': '{"value":42}' }],
  ['a function with a then() as callable', { 'app.cjs': `const value = 42; module.exports = Object.assign(() => {}, { then() { throw new Error('not a promise'); }, application: Object.assign(${ANSWER}, { then() { throw new Error('not a promise'); } }) });` }],
  ['a callable that allows nothing but a call', { 'app.mjs': `const value = 42; const refuse = () => { throw new Error('call it only'); }; export const application = new Proxy(${ANSWER}, { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse });` }],
  ['.mjs that imports .ts', { 'app.mjs': `import { value } from './lib.ts'; export const application = ${ANSWER};`, 'lib.ts': 'export const value: number = 42;' }],
];

const HANDLER = "(req, res) => res.end('42')";
const FETCH = "() => new Response('42')";

/** Of other kinds than WSGI. `since`: the first Node that understands the script. */
const KINDS: [name: string, files: Record<string, string>, since?: number][] = [
  ['a default function', { 'app.mjs': `export default ${HANDLER};` }],
  ['module.exports = function', { 'app.cjs': `module.exports = ${HANDLER};` }],
  ['exports.default = function', { 'app.cjs': `exports.__esModule = true; exports.default = ${HANDLER};` }],
  ['an exported server', { 'app.cjs': `module.exports = require('http').createServer(${HANDLER});` }],
  ['a server that listens', { 'app.cjs': `require('http').createServer(${HANDLER}).listen(3000);` }],
  ['a server that listens, ES module', { 'app.mjs': `import { createServer } from 'node:http'; createServer(${HANDLER}).listen(3000);` }],
  ['a server that listens in TypeScript', { 'app.ts': `import { createServer } from 'node:http'; const port: number = 3000; createServer((req, res) => { res.end('42'); }).listen(port);` }],
  ['a server that listens in another module', { 'bin/www': `require('../app').listen(80);`, 'app.js': `module.exports = require('http').createServer(${HANDLER});`, 'package.json': '{}' }],
  ['a server that listens later', { 'app.cjs': `setTimeout(() => require('http').createServer(${HANDLER}).listen(), 300);` }],
  ['a server that listens after work that nobody sees', { 'app.cjs': `require('crypto').scrypt('x', 'salt', 64, () => require('http').createServer(${HANDLER}).listen());` }],
  ['a program with top-level await, but no import', { 'app.js': `const http = await import('node:http'); http.createServer(${HANDLER}).listen();` }, 20],
  ['the main program', { 'app.cjs': `if (require.main === module && !module.parent && process.argv[1] === __filename) require('http').createServer(${HANDLER}).listen();` }],
  ['an object with fetch', { 'app.mjs': `export default { fetch: ${FETCH} };` }],
  ['a named fetch', { 'app.mjs': `export const fetch = ${FETCH};` }],
  ['module.exports = { fetch }', { 'app.cjs': `module.exports = { fetch: ${FETCH} };` }],
];

const FAILURES: [name: string, files: Record<string, string>, code: string, text: RegExp][] = [
  ['an exception', { 'app.mjs': 'throw new Error("at load");' }, 'NWSGI2102', /at load/],
  ['a rejected top-level await', { 'app.mjs': 'await Promise.reject(new Error("rejected"));' }, 'NWSGI2102', /rejected/],
  ['a syntax error', { 'app.mjs': `import fs from 'node:fs';\nexport default 1;\nconst = 1;` }, 'NWSGI2102', /^[^\n]*SyntaxError: Unexpected token '=' \(\S+app\.mjs:3:7\)/],
  ['a syntax error in CommonJS', { 'app.cjs': '\nconst = 1;' }, 'NWSGI2102', /^[^\n]*SyntaxError: Unexpected token '=' \(\S+app\.cjs:2:7\)/],
  ['a syntax error in an imported module', { 'app.mjs': `import './lib/a.mjs';`, 'lib/a.mjs': `import { b } from './b.js';`, 'lib/b.js': 'export const b = {\n  x: y z\n};', 'lib/package.json': '{"type":"module"}' }, 'NWSGI2102', /^[^\n]*\(\S+lib\/b\.js:2:8\)/],
  ['a syntax error in an imported CommonJS module', { 'app.mjs': `import './lib.cjs';`, 'lib.cjs': '\n\nvar 5;' }, 'NWSGI2102', /^[^\n]*\(\S+lib\.cjs:3:5\)/],
  ['an exception in an imported CommonJS module', { 'app.mjs': `import './a.mjs';`, 'a.mjs': `import './lib.cjs';`, 'lib.cjs': 'throw new Error("in CommonJS");' }, 'NWSGI2102', /in CommonJS/],
  ['an imported TypeScript module with a syntax error', { 'app.mjs': `import './lib.ts';`, 'lib.ts': '\nconst x: = 5;' }, 'NWSGI2104', /^[^\n]*lib\.ts:2:10: /],
  ['a module that ends too early', { 'app.mjs': 'export const a = () => {\n  if (1) {\n' }, 'NWSGI2102', /app\.mjs:3:1\)/],
  ['a wrong await', { 'app.mjs': 'export {};\nfunction f() { await 1; }' }, 'NWSGI2102', /app\.mjs:2:16\)/],
  ['types in JavaScript', { 'app.mjs': 'export const x: number = 1;' }, 'NWSGI2102', /app\.mjs:1:14\)/],
  ['an export that is not there', { 'app.mjs': `import { no } from './lib.mjs';`, 'lib.mjs': 'export {};' }, 'NWSGI2102', /app\.mjs:1:10\)/],
  ['a missing module', { 'app.mjs': 'import "./missing.mjs";' }, 'NWSGI2102', /missing\.mjs/],
  ['an application of Express by name', { 'app.mjs': 'export const port = 1; export const app = Object.assign((req, res) => res.end(), { use() {}, handle() {} });' }, 'NWSGI2106', /exports an application as "app"; export it by default, or call its listen\(\)/],
  ['an object with fetch by name', { 'app.cjs': 'exports.app = { fetch() {} };' }, 'NWSGI2106', /exports an object with fetch\(\) as "app"; export it by default/],
  ['JSX', { 'app.mjs': 'export default () => <p>x</p>;' }, 'NWSGI2102', /JSX and decorators have to be compiled/],
  ['a decorator', { 'app.ts': 'function log(value: unknown): any { return value; }\n@log class A {}\n' }, 'NWSGI2102', /JSX and decorators have to be compiled/],
  ['a missing callable', { 'app.mjs': 'export const other = 1;' }, 'NWSGI2103', /does not export "application"; it exports other/],
  ['a callable that is no function', { 'app.mjs': 'export const application = 5;' }, 'NWSGI2103', /number 5/],
  ['a class', { 'app.mjs': 'export default class Shop {}' }, 'NWSGI2106', /exports the class Shop; a class cannot be called/],
  ['a class of CommonJS, without waiting', { 'app.cjs': 'module.exports = class Shop {}' }, 'NWSGI2106', /^[^\n]*the class Shop; a class cannot be called\.[^;\n]*$/m],
  ['a class as callable', { 'app.mjs': 'export class application {}' }, 'NWSGI2106', /the class application/],
  ['a Koa application', { 'app.cjs': 'module.exports = { use() {}, callback() {}, listen() {} };' }, 'NWSGI2106', /export app\.callback\(\), or call app\.listen\(\)/],
  ['a promise', { 'app.cjs': 'module.exports = Promise.resolve();' }, 'NWSGI2106', /a promise; await what it makes/],
  ['nothing at all', { 'app.cjs': '' }, 'NWSGI2105', /exports nothing; no server of it listened within \d s/],
  ['a text', { 'app.cjs': "module.exports = 'text';" }, 'NWSGI2103', /it exports "text"/],
  ['a default export that allows nothing but a call', { 'app.mjs': `export default new Proxy(() => [], { get() { throw new Error('call it only'); } });` }, 'NWSGI2102', /call it only/],
  ['bad TypeScript', { 'app.ts': 'export const x: = 1;\n' }, 'NWSGI2104', /app\.ts:1:17/],
];

describe.each(nodes)('scripts in %s', { timeout: 30_000 }, (node) => {
  it.concurrent.each(APPS)('loads %s', async (_name, files, callable) => {
    const outcome = await load(node, files, callable);
    expect(outcome).toEqual({ text: '42', same: true, log: [], watched: 1, failed: 0 });
  });

  it.concurrent.each(KINDS)('finds %s', async (_name, files, since = 18) => {
    const { stdout } = await run(node, ['--version']);
    if (Number.parseInt(stdout.slice(1), 10) < since) return;
    expect(await load(node, files)).toEqual({ text: '42', same: true, log: [], watched: 1, failed: 0 });
  });

  it.concurrent.each(FAILURES)('answers 500 after %s', async (_name, files, code, text) => {
    const outcome = await load(node, files);
    expect(outcome.failure).toMatchObject({ status: 500, code });
    expect(outcome.log.join('\n')).toMatch(text);
    expect(outcome.log.join('\n')).toMatch(new RegExp(`^${code} .*app\\.`));
    expect([outcome.watched, outcome.failed > 0]).toEqual([1, true]);
  });

  it('answers 404 to a missing script', async () => {
    const outcome = await load(node, { 'package.json': '{}' }).then(() => run(node, [join(root, 'test/unit/fixtures/load-one.mjs'), gateway, '/missing/app.mjs']));
    expect(JSON.parse(outcome.stdout)).toMatchObject({ failure: { status: 404, code: 'NWSGI2101' }, failed: 0 });
  });

  it('shows positions of the TypeScript source in stacks', async () => {
    const outcome = await load(node, { 'app.ts': 'enum E { A }\ninterface Unused { a: string }\n\nexport function application(): never {\n  throw new Error("here " + E.A);\n}\n' });
    expect(outcome.log.join('\n')).toMatch(/app\.ts:5:/);
  });
});
