// WSGI, Node and fetch applications give the same answers by `nwsgi serve` as in Apache, whatever stands in front.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HttpdServer, NwsgiServe, projectRoot, request, type HttpResponse, type RequestOptions } from '../harness/index.js';
import { frontArguments, fronts, type Front } from '../support/fronts.js';

const wsgi = [
  'hello.mjs', 'start-as-told.mjs', 'echo-body.mjs', 'digest-body.mjs', 'show-environ.mjs', 'identity.mjs', 'slow-second-block.mjs', 'file-served.mjs',
  'constant-headers.mjs', 'two-cookies.cjs', 'sends-many-bytes.mjs', 'own-date.mjs', 'throws-at-request.mjs', 'noted.cjs', 'ignore-body.cjs', 'no-headers.mjs',
] as const;

/** One WSGI application that is all of those, by the first part of the path. */
const router = `
const names = ${JSON.stringify(wsgi.filter((name) => name !== 'throws-at-request.mjs'))};
const apps = Object.fromEntries(await Promise.all(names.map(async (name) => {
  const loaded = await import('./' + name);
  return [name.split('.')[0], loaded.application ?? loaded.default.application];
})));
export function application(environ, startResponse) {
  const [, name, ...rest] = environ.PATH_INFO.split('/');
  if (name === 'throws') throw new Error('on purpose');
  return apps[name]({ ...environ, PATH_INFO: ['', ...rest].join('/') }, startResponse);
}
`;

interface Case {
  title: string;
  path: string;
  options?: RequestOptions | (() => RequestOptions);
  /** More is sent while the response comes than sockets hold. */
  duplex?: boolean;
}

const bytes = randomBytes(3_000_000);
const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
async function* parts(): AsyncGenerator<Buffer> {
  for (let i = 0; i < bytes.length; i += 70_000) yield bytes.subarray(i, i + 70_000);
}
const told = (expression: string): string => `/start-as-told?${encodeURIComponent(expression)}`;
const toldPython = (expression: string): string => `/told?${encodeURIComponent(expression)}`;
const many = JSON.stringify([['Content-Type', 'text/plain'], ...Array.from({ length: 100 }, (_, i) => [`X-Header-${i}`, `value ${i} ${'x'.repeat(20)}`])]);

const applications: { kind: string; cases: Case[]; add(server: { addApp(name: string): string; writeApp(name: string, source: string): string }): string }[] = [
  {
    kind: 'a WSGI callable',
    add: (server) => {
      for (const name of wsgi) if (name !== 'throws-at-request.mjs') server.addApp(name);
      return server.writeApp('router.mjs', router);
    },
    cases: [
      { title: 'a text', path: '/hello' },
      { title: 'HEAD', path: '/hello', options: { method: 'HEAD' } },
      { title: 'a status line of its own', path: told(`['299 Very Own', [['Content-Type', 'text/plain']]]`) },
      { title: 'no content', path: told(`['204 No Content', []]`) },
      { title: 'not modified', path: told(`['304 Not Modified', [['ETag', '"a"']]]`) },
      { title: 'not found', path: told(`['404 Not Here', [['Content-Type', 'text/plain']]]`) },
      { title: 'many headers', path: told(`['200 OK', ${many}]`) },
      { title: 'a long header', path: told(`['200 OK', [['X-Long', 'y'.repeat(3000)]]]`) },
      { title: 'a header called Status', path: told(`['200 OK', [['Status', '404 Not Found'], ['X-Kept', '1']]]`) },
      { title: 'a redirect', path: told(`['302 Found', [['Location', '/elsewhere?a=1']]]`) },
      { title: 'a redirect to another site', path: told(`['302 Found', [['Location', 'https://other.example/x']]]`) },
      { title: 'a bad status', path: told(`['nonsense', []]`) },
      { title: 'cookies', path: '/two-cookies' },
      { title: 'a file', path: '/file-served' },
      { title: 'no headers', path: '/no-headers' },
      { title: 'two blocks with a pause', path: '/slow-second-block' },
      { title: 'a short echo', path: '/echo-body', options: { method: 'POST', body: bytes.subarray(0, 50_000), headers: { 'Content-Type': 'application/x-own' } } },
      { title: 'an echo', path: '/echo-body', options: { method: 'POST', body: bytes }, duplex: true },
      { title: 'an echo of a chunked body', path: '/echo-body', options: () => ({ method: 'POST', body: parts() }), duplex: true },
      { title: 'a digest', path: '/digest-body', options: { method: 'PUT', body: bytes } },
      { title: 'a digest by lines', path: '/digest-body?lines', options: { method: 'POST', body: bytes } },
      { title: 'an empty body', path: '/digest-body', options: { method: 'POST', body: '' } },
      { title: 'a body that is not read', path: '/ignore-body', options: { method: 'POST', body: bytes } },
      { title: 'an exception', path: '/throws' },
    ],
  },
  {
    kind: 'a Python callable',
    add: (server) => server.writeApp('router.py', readFileSync(join(projectRoot, 'test/fixtures/python/serve_router.py'), 'utf8')),
    cases: [
      { title: 'a text', path: '/hello' },
      { title: 'HEAD', path: '/hello', options: { method: 'HEAD' } },
      { title: 'a status line of its own', path: toldPython(`('299 Very Own', [('Content-Type', 'text/plain')])`) },
      { title: 'no content', path: toldPython(`('204 No Content', [])`) },
      { title: 'not modified', path: toldPython(`('304 Not Modified', [('ETag', '"a"')])`) },
      { title: 'cookies', path: toldPython(`('200 OK', [('Set-Cookie', 'a=1'), ('Set-Cookie', 'b=2'), ('Content-Type', 'text/plain')])`) },
      { title: 'a redirect', path: toldPython(`('302 Found', [('Location', '/elsewhere?a=1')])`) },
      { title: 'a bad status', path: toldPython(`('nonsense', [])`) },
      { title: 'a file', path: '/file' },
      { title: 'the rest of a file', path: '/rest-of-file' },
      { title: 'two blocks with a pause', path: '/paused' },
      { title: '3 MB in blocks', path: '/many' },
      { title: 'a short echo', path: '/echo', options: { method: 'POST', body: bytes.subarray(0, 50_000), headers: { 'Content-Type': 'application/x-own' } } },
      { title: 'an echo', path: '/echo', options: { method: 'POST', body: bytes }, duplex: true },
      { title: 'an echo of a chunked body', path: '/echo', options: () => ({ method: 'POST', body: parts() }), duplex: true },
      { title: 'a digest', path: '/digest', options: { method: 'PUT', body: bytes } },
      { title: 'a digest by lines', path: '/lines', options: { method: 'POST', body: bytes } },
      { title: 'an empty body', path: '/digest', options: { method: 'POST', body: '' } },
      { title: 'a body that is not read', path: '/unread', options: { method: 'POST', body: bytes } },
      { title: 'a part of a body', path: '/input', options: { method: 'POST', body: 'a short body' } },
      { title: 'an exception', path: '/throws' },
    ],
  },
  {
    kind: 'a Node server',
    add: (server) => server.addApp('node/laboratory.cjs'),
    cases: [
      { title: 'a text', path: '/hello' },
      { title: 'HEAD', path: '/hello', options: { method: 'HEAD' } },
      { title: 'ranges', path: '/ranges', options: { headers: { Range: 'bytes=2-5' } } },
      { title: 'a short echo', path: '/echo', options: { method: 'POST', body: bytes.subarray(0, 50_000) } },
      { title: 'an echo', path: '/echo', options: { method: 'POST', body: bytes }, duplex: true },
      { title: 'an echo of a chunked body', path: '/echo', options: () => ({ method: 'POST', body: parts() }), duplex: true },
      { title: 'a body that is not read', path: '/drop-body', options: { method: 'POST', body: bytes } },
      { title: 'a late listener', path: '/late-listener', options: { method: 'POST', body: 'late' } },
      { title: 'a stream', path: '/stream' },
      { title: '10 MB by drains', path: '/drain' },
      { title: 'encodings', path: '/encodings' },
      { title: 'a status', path: '/status', options: { headers: { 'X-Status': '418' } } },
      { title: 'headers', path: '/set-headers' },
      { title: 'flat headers', path: '/flat-headers' },
      { title: 'hop-by-hop headers', path: '/hop-by-hop' },
      { title: 'mistakes', path: '/mistakes' },
    ],
  },
  {
    kind: 'a fetch handler',
    add: (server) => {
      server.addApp('noted.cjs');
      return server.addApp('fetch-responses.mjs');
    },
    cases: [
      ...['text', 'bytes', 'blob', 'params', 'json', 'stream', 'cookies', 'cookiesAgain', 'cookiesWithCommas', 'status?code=404', 'status?code=304', 'statusText', 'hopByHop', 'slow', 'length', 'throws', 'rejects', 'nothing'].map((what) => ({ title: what, path: `/${what}` })),
      { title: '3 MB in blocks', path: '/blocks?bytes=3000000' },
      { title: '3 MB at once', path: '/whole?bytes=3000000' },
    ],
  },
];

/** Headers of the front server's own, and of a single connection. */
const notCompared = new Set(['server', 'date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'via', 'vary', 'accept-ranges', 'alt-svc']);

interface Answer {
  status: number;
  reason: string;
  complete: boolean;
  headers: Record<string, string | string[]>;
  body: string;
}

function answerOf(response: HttpResponse): Answer {
  const names = response.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  // Some servers join what has one name, as they may.
  const headers = names.filter((name) => !notCompared.has(name)).map((name) => [name, name === 'set-cookie' ? response.all(name) : response.all(name).join(', ')] as const);
  const body = response.body.length > 1000 ? sha256(response.body) : response.text;
  return { status: response.status, reason: response.statusText, complete: response.complete, headers: Object.fromEntries(headers), body };
}

/** What has to be the same. */
function comparable(answer: Answer, faithful: boolean, expected: Answer): Partial<Answer> {
  const { status, complete, reason, headers, body } = answer;
  // Each server has an error page of its own.
  if (expected.status >= 500) return { status, complete };
  if (faithful) return answer;
  const { status: _, ...kept } = headers;
  if (expected.headers['content-type'] === undefined) delete kept['content-type'];
  void reason;
  return { status, complete, headers: kept, body };
}

describe.each(applications)('$kind', ({ add, cases }) => {
  const httpd = new HttpdServer({ vhosts: [{ directives: (s) => `WSGIScriptAlias / ${s.app(scriptName)}` }] });
  const server = new NwsgiServe({ get script() { return scriptName; }, args: (s) => [...frontArguments(s), '--processes=2'] });
  let scriptName = '';
  const expected = new Map<string, Answer>();
  const optionsOf = ({ options }: Case): RequestOptions => (typeof options === 'function' ? options() : (options ?? {}));

  beforeAll(async () => {
    add(httpd);
    const script = add(server);
    scriptName = script.slice(script.indexOf('/apps/') + 6);
    await httpd.start();
    for (const one of cases) expected.set(one.title, answerOf(await httpd.request(one.path, optionsOf(one))));
    await httpd.stop();
    expect(JSON.stringify([...expected.values()]).match(/"status":200/g)?.length).toBeGreaterThan(10);
    await server.start();
  });
  afterAll(() => server.stop());

  describe.each(fronts)('behind $name', ({ available, duplex, faithful, start }) => {
    let front: Front;
    beforeAll(async () => {
      if (available) front = await start(server);
    });
    afterAll(() => front?.stop());

    it.skipIf(!available).each(cases.filter((one) => duplex || one.duplex !== true))('$title', async (one) => {
      const answer = await request(`http://127.0.0.1:${front.port}${one.path}`, optionsOf(one));
      const wanted = expected.get(one.title) as Answer;
      expect(comparable(answerOf(answer), faithful, wanted)).toEqual(comparable(wanted, faithful, wanted));
    });
  });
});
