import { describe, expect, it } from 'vitest';
import { escapeHtml, prefersHtml } from '../../src/error-page.js';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest, FakeResponse } from '../../src/testing/fake-host.js';
import type { WsgiApplication } from '../../src/wsgi/types.js';

function page(application: unknown, request: FakeRequest = {}): Promise<FakeResponse> {
  return new FakeHost(application as WsgiApplication).fetch({ ...request, environ: { 'nwsgi.x-error-page': 'development', ...request.environ } });
}

const failing = (): never => {
  throw new RangeError('<b>out & about</b>');
};

describe('the development error page', () => {
  it('shows the error, the code around it, the request and what to do', async () => {
    const response = await page(failing, { path: '/here', query: 'a=<i>', headers: { Accept: 'text/html', 'X-Thing': '"quoted"' } });
    expect(response.status).toBe('500 Internal Server Error');
    expect(response.get('Content-Type')).toBe('text/html; charset=utf-8');
    expect(response.get('Content-Length')).toBe(String(response.body.length));
    expect(response.text).toContain('RangeError: &lt;b&gt;out &amp; about&lt;/b&gt;');
    expect(response.text).toContain('NWSGI2201');
    expect(response.text).toContain('error-page.test.ts');
    expect(response.text).toMatch(/class="hit">[^<]*throw new RangeError/);
    expect(response.text).toContain('GET /here?a=&lt;i&gt;');
    expect(response.text).toContain('&quot;quoted&quot;');
    expect(response.text).not.toMatch(/<b>out|<i>|src=|href=/);
  });

  it('hides secrets', async () => {
    const request = { headers: { Authorization: 'Basic c2VjcmV0', Cookie: 'sid=topsecret', 'X-Api-Key': 'topsecret' }, environ: { DB_PASSWORD: 'topsecret' } };
    const response = await page(failing, request);
    expect(response.text).not.toMatch(/c2VjcmV0|topsecret/);
  });

  it.each([
    ['text/plain', 'text/plain'], ['application/json', 'text/plain'], ['application/json, text/html;q=0.5', 'text/plain'],
    ['*/*', 'text/html'], ['', 'text/html'], ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/html'], ['text/html, application/json', 'text/html'],
  ])('answers Accept %j with %s', async (accept, type) => {
    expect(prefersHtml(accept)).toBe(type === 'text/html');
    const response = await page(failing, { headers: { Accept: accept } });
    expect(response.get('Content-Type')).toBe(`${type}; charset=utf-8`);
    expect(response.text).toContain('RangeError');
  });

  it('is not shown without WSGIErrorPage, nor after the head', async () => {
    expect((await page(failing, { environ: { 'nwsgi.x-error-page': '' } })).calls).toEqual(['fail', 'release']);
    const late = await page(function* (_e: unknown, start: (status: string, headers: []) => void) {
      start('200 OK', []);
      yield 'part';
      failing();
    });
    expect([late.text, late.calls.includes('abort')]).toEqual(['part', true]);
  });

  it('copes with anything thrown and with a broken environ', async () => {
    for (const thrown of [null, 'text', { a: 1 }]) expect((await page(() => { throw thrown; })).status).toMatch(/^500/);
    const response = await page((environ: Record<string, unknown>) => {
      for (const key of Object.keys(environ)) delete environ[key];
      throw new Error('empty');
    });
    expect(response.text).toContain('Error: empty');
  });
});

describe('escapeHtml', () => {
  it('escapes all characters with a meaning', () => {
    expect(escapeHtml(`<a href="x" id='y'>&amp;`)).toBe('&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;');
  });
});
