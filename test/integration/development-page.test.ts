/** WSGIErrorPage Development: what a developer sees of an error. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, useServer, waitFor, withServer } from './harness/index.js';
import { appsServer } from './support/mounts.js';

describeEachMpm('the development page in every MPM', (mpm) => {
  const server = useServer(appsServer(['fails-with-markup.ts'], { mpm, directives: ['WSGIErrorPage Development'] }));

  it('W-96 shows the message and the stack, with the status 500', async () => {
    const response = await server.get('/fails-with-markup');
    expect(response.status).toBe(500);
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(response.text).toMatch(/at find \(.*fails-with-markup\.ts:8:\d+\)/);
    expect(response.complete).toBe(true);
  });
});

describe('the development page', () => {
  const scripts = ['syntax-error.mjs', 'syntax-error-ts.ts', 'throws-at-load.ts', 'no-callable.mjs'];
  const server = useServer(
    appsServer(['fails-with-markup.ts', 'fails.ts', 'told-result.mjs', 'start-as-told.mjs'], {
      apps: scripts,
      directives: (s) => [
        ...scripts.map((name) => `WSGIScriptAlias /own/${name} "${s.app(name)}" application-group=${name}`),
        `WSGIScriptAlias /missing "${s.app('is-not-there.mjs')}"`,
        'WSGIErrorPage Development',
        'WSGIPassAuthorization On',
        'SetEnv APP_SECRET_KEY sEcReT-value',
      ],
      vhosts: [{}, { directives: ['WSGIErrorPage Production'] }, { directives: ['ErrorDocument 500 "the page of the site"'] }],
    }),
  );

  const credentials = { Authorization: 'Basic dXNlcjpwYXNz', Cookie: 'session=abc123secret', 'Proxy-Authorization': 'Basic cHJveHk6cHc=', 'X-Shown': 'v<i>sible' };

  it('shows message, code, stack with the TypeScript line, and the lines around it', async () => {
    const { text } = await server.get('/fails-with-markup');
    expect(text).toContain('NWSGI2201');
    expect(text).toMatch(/<h1>Error: &lt;script&gt;alert\(&quot;2&quot;\)&lt;\/script&gt; &amp; &#39;no row&#39;<\/h1>/);
    expect(text).toMatch(/at find \([^<]*fails-with-markup\.ts:8:\d+\)/);
    expect(text).toMatch(/at application \([^<]*fails-with-markup\.ts:14:\d+\)/);
    // The excerpt is the TypeScript that the developer wrote.
    expect(text).toMatch(/class="hit">\s*8\s+if \(row === undefined\) throw new Error/);
    expect(text).toContain('candidate: Row');
    expect(text).toMatch(/class="line">\s*4\s+type Row = \{ id: number \};/);
  });

  it('escapes everything that comes from the application or the request', async () => {
    const { text } = await server.get('/fails-with-markup/<img>?<b>=%3Cu%3E', credentials);
    expect(text).not.toContain('<script>');
    expect(text).not.toContain('<img>');
    expect(text).not.toContain('<b>');
    expect(text).not.toContain('v<i>sible');
    expect(text).toContain('v&lt;i&gt;sible');
  });

  it.each(['text/html', 'text/plain'])('hides Authorization, Cookie and other secrets (%s)', async (accept) => {
    const { text } = await server.get('/fails-with-markup', { ...credentials, Accept: accept });
    expect(text).not.toMatch(/dXNlcjpwYXNz|abc123secret|cHJveHk6cHc|sEcReT-value/);
  });

  it('sends a policy that lets no script run, and is not cached', async () => {
    const response = await server.get('/fails-with-markup');
    expect(response.headers['content-security-policy']).toContain("default-src 'none'");
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers['x-content-type-options']).toBe('nosniff');
    expect(response.headers['x-own']).toBeUndefined();
    expect(response.headers['set-cookie']).toBeUndefined();
  });

  it.each(['application/json', 'text/plain', 'text/plain, application/json;q=0.5', 'application/json, text/html;q=0.5'])(
    'is plain text for Accept: %s',
    async (accept) => {
      const response = await server.get('/fails-with-markup', { Accept: accept });
      expect(response.status).toBe(500);
      expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(response.text).toMatch(/^Error: <script>alert\("2"\)<\/script> & 'no row'\n/);
      expect(response.text).toMatch(/at find \(.*fails-with-markup\.ts:8:\d+\)/);
      expect(response.text).toMatch(/^>\s+8 \| /m);
    },
  );

  it.each(['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', '*/*', 'text/html;q=0.9, text/plain;q=0.1'])(
    'is HTML for Accept: %s',
    async (accept) => {
      const response = await server.get('/fails-with-markup', { Accept: accept });
      expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    },
  );

  it.each([
    ['/own/syntax-error.mjs', 500, /SyntaxError/, /class="hit">\s*3\s+const answer = ;/],
    ['/own/syntax-error-ts.ts', 500, /NWSGI2104/, /class="hit">\s*3\s+const answer: string = ;/],
    ['/own/throws-at-load.ts', 500, /the setting DATABASE is missing/, /class="hit">\s*7\s+throw new RangeError/],
    ['/own/no-callable.mjs', 500, /NWSGI2103/, /it exports app/],
    ['/told-result?undefined', 500, /NWSGI2204/, /undefined/],
    ['/missing', 404, /NWSGI(1201|2101)|Not Found/, /./],
  ])('explains %s', async (path, status, first, second) => {
    const response = await server.get(path);
    expect(response.status).toBe(status);
    expect(response.text).toMatch(first);
    expect(response.text).toMatch(second);
  });

  it.each([
    ['an exception in a timer', 'timer', 'NWSGI2401', "(req, res) => setTimeout(() => { throw new Error('nobody catches this'); })"],
    ['a rejection of a promise that nobody has', 'rejection', 'NWSGI2402', "(req, res) => void Promise.reject(new Error('nobody catches this'))"],
  ])('shows %s that ends the environment; the log names the request', async (_title, name, code, handler) => {
    await withServer({ directives: (s) => ['WSGIErrorPage Development', `WSGIScriptAlias / ${s.writeApp(`${name}.cjs`, `require('http').createServer(\n${handler}).listen(80);`)}`] }, async (s) => {
      const response = await s.get('/some/page');
      expect(response.status).toBe(500);
      expect(response.text).toContain(code);
      expect(response.text).toMatch(/<h1>Error: nobody catches this<\/h1>[^]*class="hit">\s*2\s/);
      await s.expectLog(new RegExp(`${code}[^\\n]*nobody catches this \\(in progress: script [^\\n]*${name}\\.cjs, GET /some/page\\)\\.`));
      expect(await waitFor('the next environment', async () => (await s.get('/other')).status)).toBe(500);
    });
  });

  it('shows the causes of an error', async () => {
    const { text } = await server.get('/fails?when=before-start');
    expect(text).toContain('caused by: Error: the deeper cause');
  });

  it('W-105 has no body for HEAD', async () => {
    const client = await server.raw();
    await client.send(head('HEAD /fails?when=before-start HTTP/1.1', 'Host: localhost', 'Connection: close'));
    const bytes = (await client.readAll()).toString('latin1');
    expect(bytes).toMatch(/^HTTP\/1\.1 500 /);
    expect(bytes.endsWith('\r\n\r\n')).toBe(true);
    client.close();
  });

  it('W-97 cannot replace an answer that has begun', async () => {
    const response = await server.get('/fails?when=after-block');
    expect(response.status).toBe(200);
    expect(response.text).toBe('some of the body');
    expect(response.complete).toBe(false);
  });

  it('WSGIErrorPage Production of a virtual host hides everything', async () => {
    const response = await server.request('/fails-with-markup', { host: 1 });
    expect(response.status).toBe(500);
    expect(response.text).not.toMatch(/NWSGI|alert|\.ts/);
  });

  it('comes before ErrorDocument', async () => {
    const response = await server.request('/fails-with-markup', { host: 2 });
    expect(response.status).toBe(500);
    expect(response.text).toContain('NWSGI2201');
  });
});
