// WSGIErrorPage Development: what a developer sees of an error in Python.
import { describe, expect, it } from 'vitest';
import { useServer } from '../harness/index.js';

const scripts = ['raises_at_import', 'syntax_error', 'missing_module', 'no_callable'];

const server = useServer({
  apps: ['faults/fails_with_markup.py', 'faults/faults.py', ...scripts.map((name) => `faults/${name}.py`)],
  threads: 8,
  directives: (s) => [
    `WSGIScriptAlias /markup ${s.app('faults/fails_with_markup.py')}`,
    `WSGIScriptAlias /faults ${s.app('faults/faults.py')}`,
    ...scripts.map((name) => `WSGIScriptAlias /${name} ${s.app(`faults/${name}.py`)} application-group=${name}`),
    'WSGIErrorPage Development',
    'WSGIPassAuthorization On',
    'SetEnv APP_SECRET_KEY sEcReT-value',
  ],
  vhosts: [{}, { directives: ['WSGIErrorPage Production', 'ErrorDocument 500 "the page of the site"'] }],
});

describe('the development page', () => {
  it('W-96 shows message, code, traceback, and the lines around the place', async () => {
    const response = await server.get('/markup/row');
    expect(response.status).toBe(500);
    expect(response.headers['content-type']).toBe('text/html; charset=utf-8');
    const { text } = response;
    expect(text).toContain('NWSGI2201');
    expect(text).toContain('<h1>LookupError: &lt;script&gt;alert(&quot;2&quot;)&lt;/script&gt; &amp; no röw</h1>');
    expect(text).toMatch(/<h2>Traceback<\/h2><pre>Traceback \(most recent call last\):/);
    expect(text).toMatch(/File &quot;[^"]*fails_with_markup\.py&quot;, line 9, in find/);
    expect(text).toMatch(/class="hit">\s*9\s+raise LookupError/);
    expect(text).toMatch(/class="line">\s*8\s+if number not in rows:/);
    expect(text).toMatch(/nwsgi [\d.]+ · Python 3\.\d+\.\d+/);
    expect(text).not.toContain('<script>');
    expect(text).not.toMatch(/nwsgi_host|_nwsgi\b/);
  });

  it('shows the cause of an exception, too', async () => {
    const { text } = await server.get('/markup/chain');
    expect(text).toContain('<h1>RuntimeError: outer</h1>');
    expect(text).toContain('The above exception was the direct cause');
    expect(text).toContain('LookupError');
  });

  it('lets the frames of libraries recede', async () => {
    const { text } = await server.get('/markup/library');
    expect(text).toMatch(/<span class="dim">\s*File &quot;[^<]*html\/parser\.py/);
    expect(text).not.toMatch(/<span class="dim">\s*File &quot;[^<]*fails_with_markup/);
  });

  it.each(['text/html', 'text/plain'])('hides secrets of the request and of the site (%s)', async (accept) => {
    const { text } = await server.get('/markup/', { Accept: accept, Authorization: 'Basic dXNlcjpwYXNz', Cookie: 'session=abc123secret' });
    expect(text).toContain('LookupError');
    expect(text).not.toMatch(/dXNlcjpwYXNz|abc123secret|sEcReT-value/);
  });

  it('shows headers and environ', async () => {
    const { text } = await server.get('/markup/<b>?<i>', { 'X-Shown': 'v<i>sible' });
    expect(text).toContain('v&lt;i&gt;sible');
    expect(text).toContain('SCRIPT_NAME');
    expect(text).not.toContain('<b>?');
  });

  it('is plain text for clients that prefer it', async () => {
    const response = await server.get('/markup/', { Accept: 'text/plain' });
    expect(response.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(response.text).toMatch(/^LookupError: <script>/);
    expect(response.text).toMatch(/>\s+9 \|\s+raise LookupError/);
  });

  it.each([
    ['raises_at_import', 'RuntimeError: not today', /class="hit">\s*7\s+raise RuntimeError/],
    ['syntax_error', 'SyntaxError', /class="hit">\s*2\s+return/],
    ['missing_module', 'ModuleNotFoundError', /class="hit">\s*1\s+import module_that_nobody_has/],
    ['no_callable', 'no_callable.py', /def application\(environ, start_response\):/],
  ])('explains a script that does not load: %s', async (name, message, detail) => {
    const response = await server.get(`/${name}/`);
    expect(response.status).toBe(500);
    expect(response.text).toContain(message);
    expect(response.text).toMatch(detail);
  });

  it.each(['/faults/none', '/faults/not-started', '/faults/text-block', '/faults/exit'])('explains a broken rule (%s)', async (path) => {
    const { status, text } = await server.get(path);
    expect(status).toBe(500);
    expect(text).toMatch(/NWSGI2\d{3}/);
  });

  it('is nothing for visitors', async () => {
    const response = await server.request('/markup/', { host: 1 });
    expect(response).toMatchObject({ status: 500, text: 'the page of the site' });
  });

  it('replaces nothing that was sent', async () => {
    const response = await server.get('/faults/blocks').catch((error: Error) => error);
    if (!(response instanceof Error)) expect(response.text).not.toContain('KeyError');
  });
});
