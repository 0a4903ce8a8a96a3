// A fault of a Python application stays in it: a clear code in the log, an error for its client, and the rest goes on.
import { describe, expect, it } from 'vitest';
import { daemon, useServer, waitFor, withServer, type HttpResponse } from '../harness/index.js';

const scripts = ['raises_at_import', 'syntax_error', 'missing_module', 'no_callable', 'exits_at_import'];

const server = useServer({
  apps: ['faults/faults.py', ...scripts.map((name) => `faults/${name}.py`), 'identity.mjs'],
  threads: 16,
  directives: (s) => [
    `WSGIScriptAlias /faults ${s.app('faults/faults.py')}`,
    `WSGIScriptAlias /ends ${s.app('faults/faults.py')} application-group=ends`,
    ...scripts.map((name) => `WSGIScriptAlias /${name} ${s.app(`faults/${name}.py`)} application-group=${name}`),
    `WSGIScriptAlias /missing ${s.app('is_not_there.py')}`,
    `WSGIScriptAlias /javascript ${s.app('identity.mjs')} application-group=javascript`,
  ],
});

const instanceOf = async (mount = '/faults'): Promise<string> => {
  const response = await server.get(`${mount}/`);
  expect(response.status, response.text).toBe(200);
  return response.text;
};

describe('an exception of the application', () => {
  it.each<[title: string, path: string, status: number, log: RegExp]>([
    ['when it is called', '/raise', 500, /NWSGI2201 The application threw an exception: ValueError: no such thing \(script \S+faults\.py, GET \/faults\/raise\)[^]*line \d+, in application[^]*raise ValueError\('no such thing'\)/],
    ['with a cause', '/chain', 500, /NWSGI2201.*RuntimeError: outer[^]*KeyError: 'missing'[^]*direct cause/],
    ['before the first block', '/silent', 500, /NWSGI2201.*LookupError: before the first block/],
    ['that is no Exception', '/interrupt', 500, /NWSGI2201.*KeyboardInterrupt/],
    ['for a recursion without an end', '/recurse', 500, /NWSGI2201.*RecursionError/],
  ])('W-96 %s is logged with its traceback, and answered by 500', async (_, path, status, log) => {
    const before = await instanceOf();
    const since = server.mark();
    expect((await server.get(`/faults${path}`)).status).toBe(status);
    await server.expectLog(log, { since });
    expect(await instanceOf()).toBe(before);
  });

  it('W-97 between two blocks ends the response before its end', async () => {
    const since = server.mark();
    const response = await server.get('/faults/blocks').catch((error: Error) => error);
    if (!(response instanceof Error)) expect((response as HttpResponse).complete).toBe(false);
    await server.expectLog(/NWSGI2202.*KeyError: 'between blocks'/, { since });
  });

  it('in close() is logged; the client has its answer', async () => {
    const since = server.mark();
    expect(await server.get('/faults/close')).toMatchObject({ status: 200, text: 'closed', complete: true });
    await server.expectLog(/NWSGI2212.*OSError: in close/, { since });
  });
});

describe('an application that breaks the contract', () => {
  it.each<[title: string, path: string, log: RegExp]>([
    ['returns None', '/none', /NWSGI2204.*None.*Return a list of bytes/],
    ['returns bare bytes', '/bytes', /NWSGI2204.*Return a list of bytes/],
    ['returns text', '/text-block', /NWSGI2205.*encode/],
    ['does not call start_response', '/not-started', /NWSGI2203/],
    ['calls start_response twice', '/twice', /NWSGI2208.*sys\.exc_info\(\)/],
  ])('and %s gets 500, and an explanation', async (_, path, log) => {
    const since = server.mark();
    expect((await server.get(`/faults${path}`)).status).toBe(500);
    await server.expectLog(log, { since });
  });

  it('W-100 and sends less than it announced is seen to be incomplete', async () => {
    const since = server.mark();
    const response = await server.get('/faults/short').catch((error: Error) => error);
    if (!(response instanceof Error)) expect(response.status !== 200 || !response.complete).toBe(true);
    await server.expectLog(/NWSGI2210.*encoded bytes/, { since });
  });
});

describe('a script', () => {
  it.each<[title: string, mount: string, status: number, log: RegExp]>([
    ['that raises while it is loaded', '/raises_at_import', 500, /NWSGI2102.*RuntimeError: not today[^]*line 7, in prepare/],
    ['with a syntax error', '/syntax_error', 500, /NWSGI2102.*SyntaxError: [^]*syntax_error\.py", line 2/],
    ['whose module is missing', '/missing_module', 500, /NWSGI2102.*ModuleNotFoundError: No module named 'module_that_nobody_has'.*install it for the Python that serves/],
    ['without the callable', '/no_callable', 500, /NWSGI2103.*def application\(environ, start_response\)/],
    ['that calls sys.exit()', '/exits_at_import', 500, /NWSGI2604/],
    ['that is not there', '/missing', 404, /NWSGI(1201|2101).*is not there/],
  ])('%s is explained in the log', async (_, mount, status, log) => {
    const since = server.mark();
    expect((await server.get(`${mount}/`)).status).toBe(status);
    await server.expectLog(log, { since });
  });
});

describe('an application that would end the process', () => {
  it.each(['/exit', '/exit-text'])('by sys.exit() gets 500; the process goes on (%s)', async (path) => {
    const before = await instanceOf();
    const since = server.mark();
    expect((await server.get(`/faults${path}`)).status).toBe(500);
    await server.expectLog(/NWSGI2604.*SystemExit/, { since });
    expect(await instanceOf()).toBe(before);
  });

  it('starts programs as it likes', async () => {
    expect((await server.get('/faults/fork-exec')).text).toBe('of a program\n');
  });

  it.runIf(daemon).each<[title: string, path: string, log: RegExp]>([
    ['by os._exit()', '/os-exit', /NWSGI4205/],
    ['by a crash', '/crash', /NWSGI4206/],
  ])('%s loses its worker, which is replaced; the others do not notice', async (_, path, log) => {
    const before = await instanceOf('/ends');
    const other = await instanceOf();
    const since = server.mark();
    expect((await server.get(`/ends${path}`)).status).toBe(502);
    await server.expectLog(log, { since });
    expect(await instanceOf()).toBe(other);
    await waitFor('a fresh worker', async () => (await server.get('/ends/')).text !== before);
  });
});

it('leaves an application in JavaScript alone', async () => {
  const before = (await server.get('/javascript')).json() as { instance: string; pid: number };
  await Promise.all(['/raise', '/exit', '/none', '/blocks'].map((path) => server.get(`/faults${path}`).catch(() => undefined)));
  expect((await server.get('/javascript')).json()).toMatchObject({ instance: before.instance, pid: before.pid });
});

// CPython 3.11 and older cannot fork where there are sub-interpreters: hence a server without any.
it('answers once when a forked child comes back', async () => {
  await withServer({ apps: ['faults/faults.py'], directives: (s) => [`WSGIScriptAlias / ${s.app('faults/faults.py')}`] }, async (s) => {
    expect(await s.get('/fork')).toMatchObject({ status: 200, text: 'child ended with 70' });
    await s.expectLog(/NWSGI2605/);
  });
});
