/** Whatever an application throws or does to its environ, the request gets its 500 and the next one its answer. */
import { describe, expect, it } from 'vitest';
import { useServer } from './harness/index.js';
import { appsServer } from './support/mounts.js';

const odd = [
  'throw undefined',
  'throw null',
  'throw 0',
  'throw ""',
  'throw Symbol("odd")',
  'throw 10n',
  'throw () => {}',
  'throw Object.create(null)',
  'throw new Proxy({}, { get() { throw new Error("trap"); }, getPrototypeOf() { throw new Error("trap"); } })',
  'throw new Proxy(new Error("x"), { get() { throw new Error("trap"); } })',
  'throw Object.defineProperty(new Error("x"), "message", { get() { throw new Error("getter"); } })',
  'throw Object.defineProperty(new Error("x"), "stack", { get() { throw new Error("getter"); } })',
  'throw Object.defineProperty(new Error("x"), "name", { get() { throw new Error("getter"); } })',
  'throw Object.defineProperty(new Error("x"), "cause", { get() { throw new Error("getter"); } })',
  'const e = new Error("cycle"); e.cause = e; throw e',
  'const e = new Error("x"); e.stack = 5; throw e',
  'const e = new Error("x"); e.message = Symbol("s"); throw e',
  'const e = new Error("x"); e.name = Object.create(null); throw e',
  'const e = new Error("x"); e.stack = "Error: x\\n".repeat(50_000); throw e',
  'throw new Error("x".repeat(1_000_000))',
  'throw new Error("control \\0 \\x1b[2J \\r\\n[Mon Jan 01] forged")',
  'throw new AggregateError([new Error("a"), null, Symbol("b")], "several")',
  'environ.REQUEST_URI = Object.create(null); throw new Error("x")',
  'environ.REQUEST_METHOD = Symbol("m"); throw new Error("x")',
  'environ.HTTP_ACCEPT = Object.create(null); throw new Error("x")',
  'environ["nwsgi.version"] = { toString() { throw new Error("no"); } }; throw new Error("x")',
  'environ.LOOP = [environ]; environ.LOOP.push(environ.LOOP); throw new Error("x")',
  'environ.BIG = [10n]; throw new Error("x")',
  'Object.defineProperty(environ, "TRAP", { enumerable: true, get() { throw new Error("getter"); } }); throw new Error("x")',
  'for (const key of Object.keys(environ)) delete environ[key]; throw new Error("x")',
  'Object.freeze(environ); throw new Error("x")',
  'return Object.defineProperty([1], "close", { get() { throw new Error("getter"); } })',
  'return { get then() { throw new Error("getter"); } }',
  'return { then() { throw new Error("then"); } }',
  'return { get [Symbol.asyncIterator]() { throw new Error("getter"); } }',
  'return { [Symbol.iterator]: () => ({ get next() { throw new Error("getter"); } }) }',
  'return { [Symbol.iterator]: () => ({ next: () => ({ get done() { throw new Error("getter"); } }) }) }',
  'startResponse("200 OK", []); return [{ get length() { throw new Error("getter"); } }]',
  'startResponse("200 OK", []); return [Object.defineProperty(new Uint8Array(2), "length", { get() { throw new Error("getter"); } }), 5]',
  'const list = []; list[5] = "x"; startResponse("200 OK", []); return list',
];

describe('an application that does odd things', () => {
  const server = useServer(appsServer(['throws-odd-things.mjs', 'hello.mjs'], { vhosts: [{}, { directives: ['WSGIErrorPage Development'] }] }));

  it.each(odd)('W-95 W-96 %s', async (code) => {
    for (const host of [0, 1]) {
      const since = server.mark();
      const response = await server.request(`/throws-odd-things?${encodeURIComponent(code)}`, { host, timeout: 4000 });
      expect(response.status).toBe(500);
      expect(response.complete).toBe(true);
      await server.expectLog(/NWSGI2\d{3} /, { since });
      for (const line of server.log(since).trimEnd().split('\n')) expect(line).toMatch(/^\[\w{3} \w{3} \d\d /);
      expect((await server.get('/hello')).status).toBe(200);
    }
  });
});
