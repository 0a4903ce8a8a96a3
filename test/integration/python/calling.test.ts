// How a Python application is called and what it may return: W-01 to W-09, W-36 to W-46, W-64, W-114 and W-115 (PEP 3333).
import http from 'node:http';
import { describe, expect, it } from 'vitest';
import { daemon, describeEachMpm, head, type HttpdServer, useServer, withServer } from '../harness/index.js';
import { rawRequest } from '../support/environ.js';
import { newRun } from '../support/mounts.js';

interface Description {
  type: boolean;
  names: boolean[];
  types: Record<string, string>;
  wide: string[];
  flags: Record<string, unknown>;
  version: { value: unknown; isTuple: boolean };
  input: string[];
  errors: string[];
  iterates: boolean;
}

const files = ['wsgi_calling.py', 'wsgi_results.py', 'wsgi_environ.py', 'wsgi_expect.py', 'wsgi_callables.py', 'wsgi_notes.py'];
const callableKinds = [
  ...['function', 'lambda_function', 'generator', 'other_names', 'more_defaults', 'instance', 'bound_method', 'static_method', 'class_method'],
  ...['partial', 'wrapped', 'class_that_iterates', 'call_only'],
];
const results = [
  ...['list', 'tuple', 'one_block', 'one_block_tuple', 'empty_blocks', 'empty_first', 'iterator', 'generator', 'map', 'chain', 'deque', 'dict', 'dict_values'],
  ...['one_in_set', 'iterable', 'custom_iterator', 'sequence', 'list_subclass', 'lazy_list', 'falsy', 'bytes_subclass'],
];
const missingStarts = ['list', 'two_blocks', 'tuple', 'empty', 'empty_block', 'generator', 'empty_generator', 'too_late', 'file'];
const wrongResults = [
  ...['none', 'number', 'boolean', 'object', 'function', 'class', 'text', 'empty_text', 'bytes', 'empty_bytes', 'coroutine', 'async_generator'],
  ...['iterator_without_next', 'no_iter'],
];
const wrongBlocks = ['bytearray', 'memoryview', 'array', 'range', 'dict', 'nested', 'open_text_file'];

const callables = [
  ...['count_arguments', 'count_frames', 'from_threads', 'count_calls', 'count_loads', 'meet_another_request', 'forget_meeting', 'one_at_a_time'],
  ...['write_halves', 'upper_case_middleware', ...callableKinds],
];
const ofResults = ['result', 'empty_result', 'late_start', 'no_start', 'guarded_result', 'wrong_result', 'kinds'];
const mountAll = (server: HttpdServer, file: string, names: readonly string[]) =>
  names.map((name) => `WSGIScriptAlias /${name} ${server.app(file)} callable-object=${name}`);
const directives = (server: HttpdServer) => [
  'SetEnvIf X-Test-Https "^(.+)$" HTTPS=$1',
  ...mountAll(server, 'wsgi_calling.py', callables),
  ...mountAll(server, 'wsgi_results.py', ofResults),
  ...mountAll(server, 'wsgi_environ.py', ['describe_environ', 'mutate_environ', 'show_environ']),
  `WSGIScriptAlias /digest ${server.app('wsgi_expect.py')} callable-object=digest_body`,
  `WSGIScriptAlias /usual ${server.app('wsgi_callables.py')}`,
  `WSGIScriptAlias /other ${server.app('wsgi_callables.py')}\n<Location /other>\n  WSGICallableObject other\n</Location>`,
];

describe('calling a Python application', () => {
  const server = useServer({ apps: files, directives, vhosts: [{}, { tls: true }] });

  const describeRequest = async (headers: Record<string, string> = {}, host = 0) =>
    (await server.request('/describe_environ', { headers, host })).json() as Description;

  it('W-01: passes exactly two positional arguments', async () => {
    expect((await server.get('/count_arguments')).json()).toEqual({ count: 2, keywords: [], types: ['dict', true] });
  });

  it('W-01, W-125 to W-128: nothing written in Python stands between the server and the application', async () => {
    expect((await server.get('/count_frames')).json()).toEqual([0, 0]);
  });

  it('W-65, W-87: start_response and write may be called by threads of the application', async () => {
    const response = await server.get('/from_threads');
    expect([response.status, response.text]).toEqual([202, 'from a thread, and from the application']);
  });

  it.each(callableKinds)('W-02: calls a callable of the kind %s and looks at nothing else of it', async (kind) => {
    const response = await server.get(`/${kind}`);
    expect(response.text).toBe(`${kind} GET`);
    expect(response.status).toBe(200);
  });

  it('W-03: calls the same application object for each of 1000 requests', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const seen: number[] = [];
    const others = new Set<string>();
    const client = async () => {
      for (let i = 0; i < 250; i++) {
        const { calls, ...rest } = (await server.request('/count_calls', { agent })).json() as { calls: number };
        seen.push(calls);
        others.add(JSON.stringify(rest));
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    agent.destroy();
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, index) => index + 1));
    expect([...others].map((text) => JSON.parse(text) as unknown)).toEqual([expect.objectContaining({ loads: 1 })]);
  });

  it('W-03, W-115: several callables are of one script, which runs once', async () => {
    const counts = await Promise.all(['/count_calls', '/count_loads'].map(async (path) => (await server.get(path)).json() as { loads: number; pid: number }));
    expect(counts.map(({ loads }) => loads)).toEqual([1, 1]);
    expect(counts[0]?.pid).toBe(counts[1]?.pid);
  });

  it('W-115: WSGICallableObject names the callable', async () => {
    expect((await server.get('/usual')).text).toBe('application');
    expect((await server.get('/other')).text).toBe('other');
  });

  it('W-04: gives each request a dict of its own, which the application may change and keep', async () => {
    for (let i = 0; i < 3; i++) {
      expect((await server.get('/mutate_environ')).json()).toEqual({
        isDict: true,
        method: 'GET',
        marker: null,
        sameAsBefore: false,
        keptIsIntact: true,
        sharedValues: [],
      });
    }
    expect((await describeRequest()).type).toBe(true);
  });

  it.each(results)('W-05: iterates a result of the kind %s to its end', async (kind) => {
    const response = await server.get(`/result?${kind}`);
    expect(response.text).toBe('one two three');
    expect(response.status).toBe(200);
    expect(response.complete).toBe(true);
  });

  it.each(['list', 'tuple', 'iterator'])('W-05: an empty %s makes an empty body', async (kind) => {
    const response = await server.get(`/empty_result?${kind}`);
    expect(response.status).toBe(200);
    expect(response.body.length).toBe(0);
    expect(response.complete).toBe(true);
  });

  it.each(['first_step', 'first_next', 'in_iter', 'after_empty'])('W-06: start_response may be called as late as %s', async (when) => {
    const response = await server.get(`/late_start?${when}`);
    expect(response.text).toBe('late');
    expect(response.status).toBe(202);
    expect(response.headers['x-late']).toBe('yes');
  });

  it('W-06: start_response may be called at the end of an iteration that gave nothing', async () => {
    const response = await server.get('/late_start?at_the_end');
    expect(response.status).toBe(202);
    expect(response.headers['x-late']).toBe('yes');
    expect(response.body.length).toBe(0);
    expect(response.complete).toBe(true);
  });

  it.each(missingStarts)('W-07: a body or an end without start_response is an error 500 with the reason in the log (%s)', async (kind) => {
    const since = server.mark();
    const response = await server.get(`/no_start?${kind}`);
    expect(response.status).toBe(500);
    expect(response.complete).toBe(true);
    expect(response.text).not.toMatch(/^x/);
    await server.expectLog(/NWSGI2203 [^\n]*wsgi_results\.py/, { since });
  });

  it('W-08: uses nothing of a result but its iteration and close', async () => {
    const first = await server.get('/guarded_result');
    expect([first.status, first.text]).toEqual([200, 'guarded result']);
    const second = await server.get('/guarded_result');
    expect(Number(second.headers['x-closed'])).toBe(Number(first.headers['x-closed']) + 1);
  });

  it('W-05, W-09: the tests know all kinds of the application', async () => {
    expect((await server.get('/kinds')).json()).toEqual({ results, wrongResults, wrongBlocks });
  });

  it.each([...wrongResults.map((kind) => [kind, /NWSGI2204 [^\n]*wsgi_results\.py/] as const), ...wrongBlocks.map((kind) => [kind, /NWSGI220[45] [^\n]*wsgi_results\.py/] as const)])(
    'W-09, W-90: refuses a result that is no iterable of blocks with 500 and the reason in the log (%s)',
    async (kind, reason) => {
      const since = server.mark();
      const response = await server.get(`/wrong_result?${kind}`);
      expect(response.status).toBe(500);
      expect(response.headers['x-application']).toBeUndefined();
      expect(response.complete).toBe(true);
      await server.expectLog(reason, { since });
    },
  );

  // ---- wsgi.* ----

  it('W-25, W-34: names and CGI values are exactly str, without characters above U+00FF', async () => {
    for (const host of [0, 1]) {
      const { types, names, wide } = await describeRequest({ 'X-Utf8': '\u00e6\u0097\u00a5' }, host);
      expect(names.every((isText) => isText)).toBe(true);
      expect(Object.entries(types).filter(([name, type]) => !name.includes('.') && type !== 'str')).toEqual([]);
      expect(wide).toEqual([]);
    }
  });

  it('W-36: wsgi.version is the tuple (1, 0)', async () => {
    expect((await describeRequest()).version).toEqual({ value: [1, 0], isTuple: true });
  });

  it('W-37: wsgi.url_scheme is http without TLS and https with it', async () => {
    expect((await describeRequest()).flags['wsgi.url_scheme']).toBe('http');
    expect((await describeRequest({}, 1)).flags['wsgi.url_scheme']).toBe('https');
  });

  it('W-37: what a client claims about the scheme is not believed', async () => {
    const claims = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Ssl': 'on', Forwarded: 'proto=https', Https: 'on', 'X-Scheme': 'https' };
    expect((await describeRequest(claims)).flags['wsgi.url_scheme']).toBe('http');
  });

  it.each([
    ['on', 'https'],
    ['1', 'https'],
    ['off', 'http'],
  ])('W-37: HTTPS=%s from the configuration makes wsgi.url_scheme %s', async (value, scheme) => {
    expect((await describeRequest({ 'X-Test-Https': value })).flags['wsgi.url_scheme']).toBe(scheme);
  });

  it('W-38: wsgi.input is there with all its methods, also for a GET without a body', async () => {
    const { input, iterates } = await describeRequest();
    expect(input).toEqual(expect.arrayContaining(['read', 'readline', 'readlines', '__iter__', '__next__']));
    expect(iterates).toBe(true);
  });

  it('W-39: wsgi.errors has write, writelines and flush', async () => {
    expect((await describeRequest()).errors).toEqual(expect.arrayContaining(['write', 'writelines', 'flush']));
  });

  it('W-40: wsgi.multithread is true, for two requests can be in one application at the same time', async () => {
    expect((await describeRequest()).flags['wsgi.multithread']).toBe(true);
    const texts = await Promise.all([server.get('/meet_another_request'), server.get('/meet_another_request')].map(async (response) => (await response).text));
    for (const text of texts) expect(text).toMatch(/^met \d+$/);
    expect(texts[0]).not.toBe(texts[1]);
    await server.get('/forget_meeting');
  });

  it('W-42: wsgi.run_once is False', async () => {
    expect((await describeRequest()).flags['wsgi.run_once']).toBe(false);
  });

  it('W-43: keys of the server are lower-case and have a prefix; all others are CGI names', async () => {
    for (const host of [0, 1]) {
      const names = Object.keys((await describeRequest({ 'X-Some-Header': 'x' }, host)).types);
      for (const name of names.filter((key) => /[a-z.]/.test(key))) expect(name).toMatch(/^(wsgi|nwsgi|mod_wsgi|apache)\.[a-z0-9_]+$/);
      for (const name of names.filter((key) => !key.includes('.'))) expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
      expect(names.filter((key) => key.startsWith('nwsgi.x-'))).toEqual([]);
    }
  });

  it('W-43: a request cannot forge a key of the server', async () => {
    const forged = ['nwsgi.x-callable: other', 'nwsgi.x-authorization: 1', 'wsgi.url_scheme: ftp', 'mod_wsgi.process_group: other', 'nwsgi.version: 0'];
    const response = await rawRequest(server, ['GET /show_environ HTTP/1.1', 'Host: x', ...forged]);
    const environ = JSON.parse(response.text) as Record<string, unknown>;
    expect(environ['wsgi.url_scheme']).toBe('http');
    expect(environ['nwsgi.version']).not.toBe('0');
    expect(environ['mod_wsgi.process_group']).not.toBe('other');
    expect(Object.keys(environ).filter((name) => name.startsWith('HTTP_')).sort()).toEqual(['HTTP_CONNECTION', 'HTTP_HOST']);
  });

  it('W-44: middleware that replaces start_response and the body is not bypassed by wsgi.file_wrapper', async () => {
    const response = await server.get('/upper_case_middleware');
    expect(response.status).toBe(203);
    expect(response.headers['x-inner']).toBe('yes');
    expect(response.headers['x-outer']).toBe('yes');
    expect(response.text).toContain('TWO CALLABLES');
    expect(response.text).toBe(response.text.toUpperCase());
  });

  it('W-45: wsgi.input_terminated is True, for reading to the end is safe with and without a body', async () => {
    expect((await describeRequest()).flags['wsgi.input_terminated']).toBe(true);
    const empty = { bytes: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' };
    const abc = { bytes: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' };
    const client = await server.raw();
    // On a connection that stays open, only the request itself can say where the body ends.
    for (const way of ['read', 'sized']) {
      await client.send(head(`GET /digest?${way} HTTP/1.1`, 'Host: x'));
      expect(JSON.parse((await client.readResponse()).text)).toEqual(empty);
      await client.send(head(`POST /digest?${way} HTTP/1.1`, 'Host: x', 'Content-Length: 3') + 'abc');
      expect(JSON.parse((await client.readResponse()).text)).toEqual(abc);
      await client.send(head(`POST /digest?${way} HTTP/1.1`, 'Host: x', 'Transfer-Encoding: chunked') + '1\r\na\r\n2\r\nbc\r\n0\r\n\r\n');
      expect(JSON.parse((await client.readResponse()).text)).toEqual(abc);
      await client.send(head(`POST /digest?${way} HTTP/1.1`, 'Host: x', 'Content-Length: 0'));
      expect(JSON.parse((await client.readResponse()).text)).toEqual(empty);
    }
    client.close();
  });

  it('W-46: a chunked body has no made-up CONTENT_LENGTH; HTTP_TRANSFER_ENCODING and wsgi.input_terminated announce it', async () => {
    const response = await rawRequest(server, ['POST /show_environ HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n');
    const environ = JSON.parse(response.text) as Record<string, unknown>;
    expect(environ).not.toHaveProperty('CONTENT_LENGTH');
    expect(environ.HTTP_TRANSFER_ENCODING).toBe('chunked');
    expect(environ['wsgi.input_terminated']).toBe(true);
  });

  it('W-64: parts of lines from requests at the same time do not mix, and the last part appears at the end of the request', async () => {
    const since = server.mark();
    const marks = Array.from({ length: 6 }, () => `h${newRun()}h`);
    await Promise.all(marks.map((mark) => server.get(`/write_halves?mark=${mark}`)));
    for (const mark of marks) await server.expectLog(`${mark}a ${mark}b ${mark}c ${mark}d ${mark}e ${mark}f end\n`, { since });
  });
});

describeEachMpm('calling a Python application', (mpm) => {
  const server = useServer({ mpm, children: 2, daemonOptions: 'processes=2 threads=1', apps: files, directives });

  it('W-01, W-36 to W-42: two arguments, and the flags of a server with several processes', async () => {
    expect((await server.get('/count_arguments')).json()).toMatchObject({ count: 2 });
    const { flags } = (await server.get('/describe_environ')).json() as Description;
    expect(flags).toEqual({
      'wsgi.url_scheme': 'http',
      // A child of prefork has one thread, as the workers have here.
      'wsgi.multithread': !daemon && mpm !== 'prefork',
      'wsgi.multiprocess': true,
      'wsgi.run_once': false,
      'wsgi.input_terminated': true,
    });
  });

  it('W-07, W-09: a missing start_response and a missing result are errors 500', async () => {
    expect((await server.get('/no_start?generator')).status).toBe(500);
    expect((await server.get('/wrong_result?none')).status).toBe(500);
  });

  it.runIf(daemon || mpm === 'prefork')('W-114: with one thread an application never runs twice at the same moment in a process', async () => {
    const texts = await Promise.all(Array.from({ length: 24 }, async () => (await server.get('/one_at_a_time')).text));
    for (const text of texts) expect(text).toMatch(/^\d+ 1$/);
  });
});

describe('a server with one process', () => {
  it.each(['event', 'prefork'] as const)('W-41: wsgi.multiprocess is False when no other process can run (%s)', async (mpm) => {
    await withServer(
      {
        mpm,
        children: 1,
        apps: files,
        directives: (s) => ['ServerLimit 1', `MaxRequestWorkers ${mpm === 'prefork' ? 1 : 8}`, `WSGIScriptAlias / ${s.app('wsgi_environ.py')} callable-object=describe_environ`],
      },
      async (server) => {
        const { flags } = (await server.get('/')).json() as Description;
        expect(flags['wsgi.multiprocess']).toBe(false);
      },
    );
  });
});
