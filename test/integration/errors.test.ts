/** Error codes, statuses, and what visitors see of them in production. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, useServer } from './harness/index.js';
import { appsServer, get } from './support/mounts.js';

const page = '<!doctype html><p>The page of this site for errors.</p>\n';

/** Nothing of the gateway or the application is in what the visitor gets. */
function expectNothingLeaked(text: string, root: string): void {
  expect(text).not.toContain(root);
  expect(text).not.toMatch(/NWSGI|at \w+ \(|\.ts:|\.mjs:|node:|startResponse|on purpose/);
}

describeEachMpm('errors in every MPM', (mpm) => {
  const server = useServer(
    appsServer(['syntax-error-ts.ts', 'fails.ts', 'hello.mjs'], {
      mpm,
      directives: (s) => [`WSGIScriptAlias /missing "${s.app('is-not-there.mjs')}"`],
    }),
  );

  it.each([
    ['/missing', 404],
    ['/syntax-error-ts', 500],
    ['/fails?when=before-start', 500],
    ['/hello', 200],
  ])('%s has the status %i', async (path, status) => {
    expect((await server.get(path)).status).toBe(status);
  });
});

describe('errors', () => {
  const scripts = [
    'syntax-error.mjs',
    'syntax-error-ts.ts',
    'syntax-error-cjs.cjs',
    'missing-import.mjs',
    'throws-at-load.ts',
    'no-callable.mjs',
    'callable-no-function.cjs',
    'callable-class.mjs',
  ];
  const server = useServer(
    appsServer(['told-result.mjs', 'told-length.mjs', 'fails.ts', 'fails-with-markup.ts', 'reads-body.mjs', 'hello.mjs', 'show-environ.mjs'], {
      apps: scripts,
      directives: (s) => [
        // Scripts that do not load have an environment each: it is replaced after a failure.
        ...scripts.map((name) => `WSGIScriptAlias /own/${name} "${s.app(name)}" application-group=${name}`),
        `WSGIScriptAlias /missing "${s.app('is-not-there.mjs')}"`,
        `WSGIScriptAlias /folder "${s.root}/apps/"`,
      ],
      vhosts: [
        {},
        { directives: (s) => [`Alias /error-page.html "${s.writeFile('htdocs/error-page.html', page)}"`, 'ErrorDocument 500 /error-page.html', 'ErrorDocument 404 "not here"'] },
        { directives: ['LimitRequestBody 1000'] },
        { directives: ['ErrorDocument 500 /show-environ', 'ErrorDocument 404 /show-environ'] },
      ],
    }),
  );

  it.each([
    ['syntax-error.mjs', /NWSGI2102[^\n]*SyntaxError/, /syntax-error\.mjs:3/],
    ['syntax-error-cjs.cjs', /NWSGI2102[^\n]*SyntaxError/, /syntax-error-cjs\.cjs:3/],
    ['syntax-error-ts.ts', /NWSGI2104/, /syntax-error-ts\.ts:3/],
    ['missing-import.mjs', /NWSGI2102[^\n]*is-not-there\.mjs/, /missing-import\.mjs/],
    ['throws-at-load.ts', /NWSGI2102[^\n]*RangeError: the setting DATABASE is missing/, /throws-at-load\.ts:7:\d+/],
    ['no-callable.mjs', /NWSGI2103[^\n]*does not export "application"; it exports app/, /no-callable\.mjs/],
    ['callable-no-function.cjs', /NWSGI2103[^\n]*an object/, /callable-no-function\.cjs/],
  ])('W-95 %s is a 500, and the log has the code and the place', async (name, code, place) => {
    const since = server.mark();
    const response = await server.get(`/own/${name}`);
    expect(response.status).toBe(500);
    expectNothingLeaked(response.text, server.root);
    await server.expectLog(code, { since });
    await server.expectLog(place, { since });
  });

  it('W-02 a class is refused with a message that says so', async () => {
    const since = server.mark();
    expect((await server.get('/own/callable-class.mjs')).status).toBe(500);
    await server.expectLog(/NWSGI2\d{3}[^\n]*class/i, { since });
  });

  it('a script that does not exist is a 404 with its code and path in the log', async () => {
    const since = server.mark();
    const response = await server.get('/missing/below');
    expect(response.status).toBe(404);
    expectNothingLeaked(response.text, server.root);
    const [line] = await server.expectLog(/NWSGI\d{4}[^\n]*is-not-there\.mjs[^\n]*/, { since });
    expect(line).toMatch(/NWSGI(1201|2101)/);
  });

  it.each([
    ['undefined', 'NWSGI2204'],
    ['null', 'NWSGI2204'],
    ['5', 'NWSGI2204'],
    ['true', 'NWSGI2204'],
    ['{}', 'NWSGI2204'],
    ['() => ["x"]', 'NWSGI2204'],
    ['new Date()', 'NWSGI2204'],
    ['Promise.resolve(undefined)', 'NWSGI2204'],
    ['({ [Symbol.iterator]: () => 5 })', 'NWSGI2204'],
    ['({ [Symbol.iterator]: () => ({ next: () => 5 }) })', 'NWSGI2204'],
    ['({ [Symbol.iterator]: () => ({}) })', 'NWSGI220'],
    ['[[1]]', 'NWSGI2205'],
    ['[undefined]', 'NWSGI2205'],
    ['[, "x"]', 'NWSGI2205'],
  ])('W-09 W-90 the result %s is a 500 with its code in the log', async (value, code) => {
    const since = server.mark();
    const response = await server.get(`/told-result?${encodeURIComponent(value)}`);
    expect(response.status).toBe(500);
    expect(response.headers['x-own']).toBeUndefined();
    expectNothingLeaked(response.text, server.root);
    await server.expectLog(new RegExp(`${code}[^\\n]*told-result`), { since });
  });

  it('an error is logged once, with cause, place and remedy', async () => {
    const since = server.mark();
    await server.get('/fails?when=before-start&a=b');
    await server.get('/hello');
    // Lines without a client are about other things: fresh workers, for example.
    const log = server.log(since).split('\n').filter((line) => line.includes('[client ')).join('\n');
    expect(log.match(/NWSGI\d{4}/g)).toEqual(['NWSGI2201']);
    expect(log).toMatch(/NWSGI2201 The application threw an exception: ApplicationError: failed on purpose: before-start \(script [^\n]*fails\.ts, callable application, GET \/fails\?when=before-start&a=b\)\. The stack trace follows/);
  });

  it('W-96 production shows Apache\'s page and nothing of the error', async () => {
    const response = await server.get('/fails-with-markup');
    expect(response.status).toBe(500);
    expect(response.headers['x-own']).toBeUndefined();
    expect(response.headers['set-cookie']).toBeUndefined();
    expect(response.text).toContain('Internal Server Error');
    expect(response.text).not.toMatch(/alert|no row|find|fails-with-markup\.ts/);
    expectNothingLeaked(response.text, server.root);
  });

  it.each(['/fails?when=before-start', '/fails?when=first-block', '/own/syntax-error.mjs', '/told-result?undefined'])(
    'W-96 ErrorDocument is shown for %s',
    async (path) => {
      const response = await server.request(path, { host: 1 });
      expect(response.status).toBe(500);
      expect(response.text).toBe(page);
      expect(response.headers['x-own']).toBeUndefined();
    },
  );

  it('ErrorDocument is shown for a missing script', async () => {
    const response = await server.request('/missing', { host: 1 });
    expect(response.status).toBe(404);
    expect(response.text).toBe('not here');
  });

  it.each([
    ['/fails?when=before-start&a=b', 500],
    ['/missing?a=b', 404],
  ])('an application can be the ErrorDocument of %s', async (path, status) => {
    const response = await server.request(path, { host: 3, method: 'POST', body: 'x=y' });
    expect(response.status).toBe(status);
    expect(response.json()).toMatchObject({ REQUEST_METHOD: 'GET', SCRIPT_NAME: '/show-environ', REDIRECT_STATUS: String(status), REDIRECT_QUERY_STRING: path.slice(path.indexOf('?') + 1) });
  });

  it.each(['/fails?when=before-start', '/missing'])('W-105 the answer to HEAD for %s has no body', async (path) => {
    const client = await server.raw();
    await client.send(head(`HEAD ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close'));
    const bytes = (await client.readAll()).toString('latin1');
    expect(bytes).toMatch(/^HTTP\/1\.1 (500|404) /);
    expect(bytes.endsWith('\r\n\r\n')).toBe(true);
    client.close();
  });

  it('the page of an application with an error status is its own, not ErrorDocument', async () => {
    const response = await server.request('/told-length?status=500%20Mine&kind=list', { host: 1 });
    expect(`${response.status} ${response.statusText}`).toBe('500 Mine');
    expect(response.text).toBe('00000');
  });

  it.each([500, 404])('an empty answer with status %i stays the application\'s', async (status) => {
    const response = await server.request(`/told-length?status=${status}%20Mine&kind=list&blocks=0`, { host: 1 });
    expect(response.status).toBe(status);
    expect(response.body.length).toBe(0);
    expect(response.headers['x-own']).toBe('yes');
  });

  it('a body above LimitRequestBody is a 413 with a code in the log', async () => {
    const within = await server.request('/reads-body', { host: 2, method: 'POST', body: Buffer.alloc(1000) });
    expect(within.text).toBe('1000');
    const since = server.mark();
    const client = await server.raw(2);
    await client.send(head('POST /reads-body HTTP/1.1', 'Host: localhost', 'Content-Length: 1001', 'Content-Type: text/plain'));
    await client.send('x'.repeat(1001));
    expect((await client.readResponse()).status).toBe(413);
    client.close();
    await server.expectLog(/NWSGI\d{4}[^\n]*LimitRequestBody/, { since, milliseconds: 1000 });
  });

  it('a chunked body that grows above LimitRequestBody is a 413 with a code in the log', async () => {
    const since = server.mark();
    const client = await server.raw(2);
    await client.send(head('POST /reads-body HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked'));
    await client.send(`258\r\n${'x'.repeat(600)}\r\n`);
    await client.send(`258\r\n${'x'.repeat(600)}\r\n0\r\n\r\n`).catch(() => {});
    const response = await client.readResponse();
    expect(response.status).toBe(413);
    client.close();
    await server.expectLog(/NWSGI\d{4}[^\n]*LimitRequestBody/, { since, milliseconds: 1000 });
  });

  it.each([
    ['/fails?when=before-start', 500],
    ['/told-result?5', 500],
    ['/missing', 404],
  ])('%s is a complete response, and the server goes on', async (path, status) => {
    const client = await server.raw();
    await client.send(get(path));
    const response = await client.readResponse();
    expect(response.status).toBe(status);
    expect(response.complete).toBe(true);
    expect(response.framing).toBe('length');
    // httpd itself ends a connection after status 500, and says so.
    if (response.header('Connection') === 'close') {
      await client.waitForEnd();
      expect(client.pending.length).toBe(0);
    } else {
      await client.send(get('/hello'));
      expect((await client.readResponse()).status).toBe(200);
    }
    client.close();
    expect((await server.get('/hello')).status).toBe(200);
  });
});
