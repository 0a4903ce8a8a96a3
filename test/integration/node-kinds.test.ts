/** Which kind of application a script is: by its exports, by listen(), by WSGIApplicationType. */
import { describe, expect, it } from 'vitest';
import { useServer } from './harness/index.js';

/** Answers with what it is told to; `how` is what the source has to do with the handler. */
const handler = "(req, res) => res.end('node ' + req.url)";
const wsgi = "(environ, start) => { start('200 OK', []); return ['wsgi ' + environ.PATH_INFO]; }";
const fetch = "(request) => new Response('fetch ' + new URL(request.url).pathname.slice(-2))";

/** name: [file, source, answer to /x below the mount, type]. */
const KINDS: Record<string, [file: string, source: string, answer: string, type?: string]> = {
  'a default function': ['d1.mjs', `export default ${handler};`, 'node /x'],
  'a default async function': ['d2.mjs', `export default async (req, res) => { await null; res.end('node ' + req.url); };`, 'node /x'],
  'module.exports = function': ['d3.cjs', `module.exports = ${handler};`, 'node /x'],
  'exports.default, compiled': ['d4.cjs', `Object.defineProperty(exports, '__esModule', { value: true }); exports.default = ${handler};`, 'node /x'],
  'a default function in TypeScript': ['d5.ts', `import type { IncomingMessage, ServerResponse } from 'node:http';\nexport default function (req: IncomingMessage, res: ServerResponse): void { res.end('node ' + req.url); }`, 'node /x'],
  'a server that does not listen': ['s1.mjs', `import http from 'node:http'; export default http.createServer(${handler});`, 'node /x'],
  'a server that listens': ['l1.cjs', `require('http').createServer(${handler}).listen(3000);`, 'node /x'],
  'a server that listens, ES module': ['l2.mjs', `import { createServer } from 'node:http'; createServer(${handler}).listen(3000);`, 'node /x'],
  'a server that listens after an import': ['l3.mjs', `const { createServer } = await import('node:http'); await new Promise((done) => createServer(${handler}).listen({ port: 0, host: 'localhost' }, done));`, 'node /x'],
  'a server that listens a second later': ['l4.mjs', `import http from 'node:http'; setTimeout(() => http.createServer(${handler}).listen(), 1200);`, 'node /x'],
  'a server that listens after work in the thread pool': ['l5.cjs', `require('crypto').scrypt('x', 'salt', 64, { N: 32768, maxmem: 1e9 }, () => require('http').createServer(${handler}).listen());`, 'node /x'],
  'other exports, and a server that listens after work in the thread pool': ['l10.cjs', `exports.value = 1; require('crypto').scrypt('x', 'salt', 64, () => require('http').createServer(${handler}).listen());`, 'node /x'],
  'a program that asks whether it is one': ['l6.cjs', `const app = ${handler}; module.exports = { app }; if (require.main === module && !module.parent && process.argv[1] === __filename) require('http').createServer(app).listen(80);`, 'node /x'],
  'an exported handler, but a server that listens later': ['l7.cjs', `module.exports = (req, res) => res.end('too early'); setTimeout(() => require('http').createServer(${handler}).listen(80), 300);`, 'node /x'],
  'a top level without an end': ['l8.mjs', `import http from 'node:http'; http.createServer(${handler}).listen(80); await new Promise(() => {});`, 'node /x'],
  'an https server': ['l9.cjs', `require('https').createServer({}, ${handler}).listen(443);`, 'node /x'],
  'a named callable': ['w1.mjs', `export const application = ${wsgi}; export default ${handler};`, 'wsgi /x'],
  'a named callable and a server that listens': ['w2.cjs', `exports.application = ${wsgi}; require('http').createServer(${handler}).listen(80);`, 'wsgi /x'],
  'an object with fetch': ['f1.mjs', `export default { fetch: ${fetch} };`, 'fetch /x'],
  'a named fetch': ['f2.mjs', `export const fetch = ${fetch};`, 'fetch /x'],
  'module.exports = { fetch }': ['f3.cjs', `module.exports = { port: 3000, fetch: ${fetch} };`, 'fetch /x'],
  'an instance with fetch': ['f4.mjs', `class App { name = 'fetch '; fetch(request) { return new Response(this.name + new URL(request.url).pathname.slice(-2)); } } export default new App();`, 'fetch /x'],
  'a named callable, told to be node': ['t1.mjs', `export const application = ${handler};`, 'node /x', 'node'],
  'a default function, told to be fetch': ['t2.mjs', `export default ${fetch};`, 'fetch /x', 'fetch'],
  'a handler besides a callable, told to be node': ['t3.mjs', `import http from 'node:http'; export const application = ${wsgi}; http.createServer(${handler}).listen();`, 'node /x', 'node'],
};

const MISFITS: Record<string, [file: string, source: string, reason: RegExp, type?: string]> = {
  'a class': ['m1.mjs', 'export default class Shop {}', /NWSGI2106[^\n]*the class Shop; a class cannot be called/],
  'a class as callable': ['m2.mjs', 'export class application {}', /NWSGI2106[^\n]*the class application/],
  'an object of a framework': ['m3.cjs', 'module.exports = { use() {}, callback() {}, listen() {} };', /NWSGI2106[^\n]*a Koa application; export app\.callback\(\), or call app\.listen\(\)/],
  'another': ['m4.mjs', 'export default { route() {}, inject() {}, ready() {}, listen() {} };', /NWSGI2106[^\n]*a Fastify instance that does not listen/],
  'nothing': ['m5.cjs', 'const nothing = 1;', /NWSGI2105[^\n]*exports nothing; no server of it listened within/],
  'other names': ['m6.mjs', 'export const app = 1;', /NWSGI2103[^\n]*does not export "application"; it exports app/],
  'a function that is not WSGI': ['m7.mjs', `export default ${handler};`, /NWSGI2103[^\n]*does not export "application"; it exports default/, 'wsgi'],
  'a server that is not asked for': ['m8.mjs', `import http from 'node:http'; http.createServer(${handler}).listen();`, /NWSGI2105/, 'fetch'],
};

describe('a script', () => {
  const all = { ...KINDS, ...MISFITS };
  const server = useServer({
    directives: (s) => Object.entries(all).flatMap(([, [file, source, , type]]) => {
      const mount = `/${file.split('.')[0]}`;
      const alias = `WSGIScriptAlias ${mount} ${s.writeApp(file, source)}`;
      return type === undefined ? [alias] : [alias, `<Location ${mount}>`, `WSGIApplicationType ${type}`, '</Location>'];
    }),
  });

  it.each(Object.entries(KINDS))('with %s is found', async (_name, [file, , answer]) => {
    const responses = await Promise.all([1, 2].map(() => server.get(`/${file.split('.')[0]}/x`)));
    for (const { status, text } of responses) expect([status, text]).toEqual([200, answer]);
  });

  it.each(Object.entries(MISFITS))('with %s is refused with the reason', async (_name, [file, , reason]) => {
    const since = server.mark();
    const before = Date.now();
    expect((await server.get(`/${file.split('.')[0]}/x`)).status).toBe(500);
    await server.expectLog(reason, { since });
    expect(Date.now() - before).toBeLessThan(8000);
  });
});
