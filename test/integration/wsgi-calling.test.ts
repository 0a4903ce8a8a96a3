// How the application is called and what it may return: W-01 to W-09 and W-36 to W-46 (PEP 3333).
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, type HttpdServer, useServer, withServer } from './harness/index.js';

interface Description {
  types: Record<string, string>;
  flags: Record<string, unknown>;
  version: { value: unknown; isArray: boolean; isFrozen: boolean };
  input: string[];
  errors: string[];
  signal: { isAbortSignal: boolean; aborted: boolean };
}

const callableKinds = ['arrow', 'asyncArrow', 'asyncFunction', 'generator', 'asyncGenerator', 'bound', 'restArguments', 'defaults', 'callOnly'];
const resultKinds = [
  ...['array', 'oneBlock', 'emptyBlocks', 'strings', 'set', 'mapValues', 'generator', 'asyncGenerator', 'customIterable'],
  ...['customAsyncIterable', 'bothIterators', 'readable', 'objectReadable', 'promiseOfArray', 'promiseOfGenerator', 'thenable'],
  ...['plainUint8Arrays', 'otherRealm'],
];
const lateStarts = ['inFirstStep', 'inFirstNext', 'afterEmptyBlocks', 'afterAwait'];
const missingStarts = ['array', 'nothing', 'emptyBlock', 'generator', 'asyncGenerator', 'afterAwait', 'tooLate'];
const wrongResults = [
  ...['nothing', 'nil', 'number', 'boolean', 'object', 'func', 'string', 'bytes', 'dataView', 'promiseOfNothing'],
  ...['promiseOfString', 'iteratorWithoutNext'],
];

/** One mount for each export of an application: /folder/export. */
const mountAll = (server: HttpdServer, folder: string, app: string, callables: readonly string[]) =>
  callables.map((callable) => `WSGIScriptAlias /${folder}/${callable} ${server.app(app)} callable-object=${callable}`);

describe('calling the application', () => {
  const server = useServer({
    apps: [
      ...['count-arguments.mjs', 'callable-kinds.mjs', 'count-calls.cjs', 'mutate-environ.mjs', 'result-kinds.mjs', 'late-start.ts'],
      ...['no-start.mjs', 'guarded-result.mjs', 'wrong-results.cjs', 'describe-wsgi.mjs', 'write-errors.cjs', 'hello.cjs'],
      ...['meet-another-request.mjs', 'upper-case-middleware.mjs', 'digest-body.mjs', 'show-environ.mjs'],
    ],
    directives: (s) => [
      // One environment for all of them: what is tested here does not depend on it.
      'WSGIApplicationGroup %{GLOBAL}',
      'SetEnvIf X-Test-Https "^(.+)$" HTTPS=$1',
      `WSGIScriptAlias /arguments ${s.app('count-arguments.mjs')}`,
      ...mountAll(s, 'callable', 'callable-kinds.mjs', callableKinds),
      `WSGIScriptAlias /count ${s.app('count-calls.cjs')}`,
      `WSGIScriptAlias /mutate ${s.app('mutate-environ.mjs')}`,
      ...mountAll(s, 'result', 'result-kinds.mjs', [...resultKinds, 'emptyArray']),
      ...mountAll(s, 'late', 'late-start.ts', [...lateStarts, 'atTheEnd']),
      ...mountAll(s, 'no-start', 'no-start.mjs', missingStarts),
      ...mountAll(s, 'guarded', 'guarded-result.mjs', ['iterable', 'asyncIterable']),
      ...mountAll(s, 'wrong', 'wrong-results.cjs', wrongResults),
      `WSGIScriptAlias /describe ${s.app('describe-wsgi.mjs')}`,
      `WSGIScriptAlias /errors ${s.app('write-errors.cjs')}`,
      `WSGIScriptAlias /meet ${s.app('meet-another-request.mjs')}`,
      `WSGIScriptAlias /middleware ${s.app('upper-case-middleware.mjs')}`,
      `WSGIScriptAlias /digest ${s.app('digest-body.mjs')}`,
      `WSGIScriptAlias /environ ${s.app('show-environ.mjs')}`,
    ],
    vhosts: [{}, { tls: true }],
  });

  const describeRequest = async (headers: Record<string, string> = {}, host = 0) =>
    (await server.request('/describe', { headers, host })).json() as Description;

  it('W-01: passes exactly two positional arguments and no this', async () => {
    const response = await server.get('/arguments');
    expect(response.json()).toEqual({ count: 2, types: ['object', 'function'], self: 'undefined' });
  });

  it.each(callableKinds)('W-02: calls a callable of the kind %s and looks at nothing else of it', async (kind) => {
    const response = await server.get(`/callable/${kind}`);
    expect(response.text).toBe(`${kind} GET`);
    expect(response.status).toBe(200);
  });

  it('W-03: calls the same application object for each of 1000 requests', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const seen: number[] = [];
    const others = new Set<string>();
    const client = async () => {
      for (let i = 0; i < 250; i++) {
        const { calls, ...rest } = (await server.request('/count', { agent })).json() as { calls: number };
        seen.push(calls);
        others.add(JSON.stringify(rest));
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    agent.destroy();
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
    expect(others.size).toBe(1);
    expect(JSON.parse([...others][0] as string)).toMatchObject({ loads: 1 });
  });

  it('W-04: gives each request a plain environ of its own, which the application may change and keep', async () => {
    for (let i = 0; i < 3; i++) {
      expect((await server.get('/mutate')).json()).toEqual({
        plain: true,
        extensible: true,
        method: 'GET',
        marker: null,
        sameAsBefore: false,
        keptIsIntact: true,
        failures: [],
      });
    }
  });

  it.each(resultKinds)('W-05: iterates a result of the kind %s to its end', async (kind) => {
    const response = await server.get(`/result/${kind}`);
    expect(response.text).toBe('one two three');
    expect(response.status).toBe(200);
    expect(response.complete).toBe(true);
  });

  it('W-05: an empty result makes an empty body', async () => {
    const response = await server.get('/result/emptyArray');
    expect(response.status).toBe(200);
    expect(response.body.length).toBe(0);
    expect(response.complete).toBe(true);
  });

  it.each(lateStarts)('W-06: startResponse may be called as late as %s', async (when) => {
    const response = await server.get(`/late/${when}`);
    expect(response.text).toBe('late');
    expect(response.status).toBe(202);
    expect(response.headers['x-late']).toBe('yes');
  });

  it('W-06: startResponse may be called at the end of an iteration that gave nothing', async () => {
    const response = await server.get('/late/atTheEnd');
    expect(response.status).toBe(202);
    expect(response.headers['x-late']).toBe('yes');
    expect(response.body.length).toBe(0);
    expect(response.complete).toBe(true);
  });

  it.each(missingStarts)('W-07: a body or an end without startResponse is an error 500 with the reason in the log (%s)', async (kind) => {
    const since = server.mark();
    const response = await server.get(`/no-start/${kind}`);
    expect(response.status).toBe(500);
    expect(response.complete).toBe(true);
    expect(response.text).not.toMatch(/^x/);
    await server.expectLog(/NWSGI2203 .*startResponse/, { since });
  });

  it.each(['iterable', 'asyncIterable'])('W-08: uses nothing of a result but its iterator, then and close (%s)', async (kind) => {
    const response = await server.get(`/guarded/${kind}`);
    expect(response.text).toBe('guarded result');
    expect(response.status).toBe(200);
  });

  it('W-08: finds close of a result without looking for anything else', async () => {
    const before = Number((await server.get('/guarded/iterable')).headers['x-closed']);
    expect(Number((await server.get('/guarded/iterable')).headers['x-closed'])).toBe(before + 1);
  });

  it.each(wrongResults)('W-09: refuses a result that is no iterable of blocks with 500 and the reason in the log (%s)', async (kind) => {
    const since = server.mark();
    const response = await server.get(`/wrong/${kind}`);
    expect(response.status).toBe(500);
    expect(response.headers['x-application']).toBeUndefined();
    expect(response.complete).toBe(true);
    await server.expectLog(/NWSGI2204 /, { since });
  });

  // ---- wsgi.* ----

  it('W-36: wsgi.version is the frozen pair [1, 0]', async () => {
    expect((await describeRequest()).version).toEqual({ value: [1, 0], isArray: true, isFrozen: true });
  });

  it('W-37: wsgi.url_scheme is http without TLS and https with it', async () => {
    expect((await describeRequest()).flags['wsgi.url_scheme']).toBe('http');
    expect((await describeRequest({}, 1)).flags['wsgi.url_scheme']).toBe('https');
  });

  it('W-37: what a client claims about the scheme is not believed', async () => {
    const claims = {
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Scheme': 'https',
      'X-Forwarded-Ssl': 'on',
      Forwarded: 'proto=https',
      Https: 'on',
      'X-Scheme': 'https',
    };
    expect((await describeRequest(claims)).flags['wsgi.url_scheme']).toBe('http');
  });

  it.each([
    ['on', 'https'],
    ['1', 'https'],
    ['off', 'http'],
  ])('W-37: HTTPS=%s from the configuration makes wsgi.url_scheme %s', async (value, scheme) => {
    expect((await describeRequest({ 'X-Test-Https': value })).flags['wsgi.url_scheme']).toBe(scheme);
  });

  it('W-38: wsgi.input is there with all its functions, also for a GET without a body', async () => {
    const { input } = await describeRequest();
    expect(input).toEqual(['read', 'readline', 'readlines', 'chunks', 'toReadable', 'close', 'Symbol(Symbol.asyncIterator)']);
  });

  it('W-39: wsgi.errors has write, writelines and flush, and they reach the error log in order', async () => {
    expect((await describeRequest()).errors).toEqual(['write', 'writelines', 'flush']);
    const since = server.mark();
    expect((await server.get('/errors')).text).toBe('undefined,undefined,undefined');
    await server.expectLog(/first mark[^]*second mark[^]*third mark/, { since });
  });

  it('W-40: wsgi.multithread is false, for one environment runs one call at a time', async () => {
    expect((await describeRequest()).flags['wsgi.multithread']).toBe(false);
  });

  it('W-40: nwsgi.interleaved is true, for requests of one environment overlap while they wait', async () => {
    expect((await describeRequest()).flags['nwsgi.interleaved']).toBe(true);
    const texts = await Promise.all([server.get('/meet'), server.get('/meet')].map(async (response) => (await response).text));
    expect(texts.sort()).toEqual(['first met', 'second']);
  });

  it('W-42: wsgi.run_once is false', async () => {
    expect((await describeRequest()).flags['wsgi.run_once']).toBe(false);
  });

  it('W-43: keys of the server are lower-case and start with wsgi. or nwsgi.; all others are CGI names', async () => {
    for (const host of [0, 1]) {
      const { types } = await describeRequest({ 'X-Some-Header': 'x' }, host);
      const names = Object.keys(types);
      for (const name of names.filter((key) => /[a-z.]/.test(key))) expect(name).toMatch(/^n?wsgi\.[a-z0-9_]+$/);
      for (const name of names.filter((key) => !key.includes('.'))) expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
      expect(names.filter((key) => key.startsWith('nwsgi.x-'))).toEqual([]);
    }
  });

  it('W-43: a request cannot forge a key of the server', async () => {
    const client = await server.raw();
    await client.send(head('GET /environ HTTP/1.1', 'Host: x', 'nwsgi.x-callable: other', 'wsgi.url_scheme: ftp', 'nwsgi.version: 0', 'Connection: close'));
    const response = await client.readResponse();
    const environ = JSON.parse(response.text) as Record<string, unknown>;
    expect(environ['wsgi.url_scheme']).toBe('http');
    expect(environ['nwsgi.version']).not.toBe('0');
    expect(Object.keys(environ).filter((name) => name.startsWith('HTTP_')).sort()).toEqual(['HTTP_CONNECTION', 'HTTP_HOST']);
  });

  it('W-44: middleware that replaces startResponse and the body is not bypassed by wsgi.file_wrapper', async () => {
    const response = await server.get('/middleware');
    expect(response.status).toBe(203);
    expect(response.headers['x-inner']).toBe('yes');
    expect(response.headers['x-outer']).toBe('yes');
    expect(response.text).toContain("RETURN ['HELLO FROM COMMONJS\\N'];");
    expect(response.text).toBe(response.text.toUpperCase());
  });

  it('W-45: wsgi.input_terminated is true, for reading to the end is safe with and without a body', async () => {
    expect((await describeRequest()).flags['wsgi.input_terminated']).toBe(true);
    const empty = { bytes: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' };
    const abc = { bytes: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' };
    const client = await server.raw();
    // On a connection that stays open, only the request itself can say where the body ends.
    await client.send(head('GET /digest?read HTTP/1.1', 'Host: x'));
    expect(JSON.parse((await client.readResponse()).text)).toEqual(empty);
    await client.send(head('POST /digest?read HTTP/1.1', 'Host: x', 'Content-Length: 3') + 'abc');
    expect(JSON.parse((await client.readResponse()).text)).toEqual(abc);
    await client.send(head('POST /digest?read HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked') + '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n');
    expect(JSON.parse((await client.readResponse()).text)).toEqual(abc);
    await client.send(head('POST /digest?read HTTP/1.1', 'Host: x', 'Content-Length: 0'));
    expect(JSON.parse((await client.readResponse()).text)).toEqual(empty);
    client.close();
  });

  it('W-46: a chunked body has no made-up CONTENT_LENGTH; HTTP_TRANSFER_ENCODING and wsgi.input_terminated announce it', async () => {
    const client = await server.raw();
    await client.send(head('POST /environ HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked', 'Connection: close') + '3\r\nabc\r\n0\r\n\r\n');
    const environ = JSON.parse((await client.readResponse()).text) as Record<string, unknown>;
    expect(environ).not.toHaveProperty('CONTENT_LENGTH');
    expect(environ.HTTP_TRANSFER_ENCODING).toBe('chunked');
    expect(environ['wsgi.input_terminated']).toBe(true);
  });

  it('nwsgi.signal is an AbortSignal that is not aborted while the client waits', async () => {
    expect((await describeRequest()).signal).toEqual({ isAbortSignal: true, aborted: false });
  });
});

describeEachMpm('calling the application', (mpm) => {
  const server = useServer({
    mpm,
    children: 2,
    daemonOptions: 'processes=2',
    apps: ['count-arguments.mjs', 'describe-wsgi.mjs', 'no-start.mjs', 'wrong-results.cjs'],
    directives: (s) => [
      'WSGIApplicationGroup %{GLOBAL}',
      `WSGIScriptAlias /arguments ${s.app('count-arguments.mjs')}`,
      `WSGIScriptAlias /describe ${s.app('describe-wsgi.mjs')}`,
      ...mountAll(s, 'no-start', 'no-start.mjs', ['asyncGenerator']),
      ...mountAll(s, 'wrong', 'wrong-results.cjs', ['nothing']),
    ],
  });

  it('W-01, W-36 to W-42: two arguments, and the flags of a server with several processes', async () => {
    expect((await server.get('/arguments')).json()).toMatchObject({ count: 2 });
    const { flags } = (await server.get('/describe')).json() as Description;
    expect(flags).toEqual({
      'wsgi.url_scheme': 'http',
      'wsgi.multithread': false,
      'wsgi.multiprocess': true,
      'wsgi.run_once': false,
      'wsgi.input_terminated': true,
      'nwsgi.interleaved': true,
    });
  });

  it('W-07, W-09: a missing startResponse and a missing result are errors 500', async () => {
    expect((await server.get('/no-start/asyncGenerator')).status).toBe(500);
    expect((await server.get('/wrong/nothing')).status).toBe(500);
  });
});

describe('a server with one process', () => {
  it.each(['event', 'prefork'] as const)('W-41: wsgi.multiprocess is false when no other process can run (%s)', async (mpm) => {
    await withServer(
      {
        mpm,
        children: 1,
        apps: ['describe-wsgi.mjs'],
        directives: (s) => ['ServerLimit 1', `MaxRequestWorkers ${mpm === 'prefork' ? 1 : 8}`, `WSGIScriptAlias / ${s.app('describe-wsgi.mjs')}`],
      },
      async (server) => {
        const { flags } = (await server.get('/')).json() as Description;
        expect(flags['wsgi.multiprocess']).toBe(false);
      },
    );
  });
});
