import { describe, expect, it } from 'vitest';
import { pathInfo, requestUri, validator } from '../../src/index.js';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest } from '../../src/testing/fake-host.js';
import type { Environ, WsgiApplication } from '../../src/wsgi/types.js';

async function failureOf(application: unknown, request: FakeRequest = {}): Promise<string> {
  const response = await new FakeHost(validator(application as WsgiApplication)).fetch(request);
  return response.failure?.message ?? response.log.join() ?? '';
}

describe('validator', () => {
  it('finds nothing wrong with a correct application on this gateway', async () => {
    const application: WsgiApplication = async (environ, startResponse) => {
      environ['wsgi.errors'].write('note\n');
      const body = await environ['wsgi.input'].read(100);
      startResponse('200 OK', [['Content-Type', 'text/plain']]);
      return [body];
    };
    for (const method of ['GET', 'POST', 'HEAD']) {
      const response = await new FakeHost(validator(application)).fetch({ method, body: 'x' });
      expect([response.status, response.log]).toEqual(['200 OK', ['note']]);
    }
  });

  it('passes on close(), once', async () => {
    let closed = 0;
    await new FakeHost(validator(((_e: unknown, start: (s: string, h: unknown) => void) => (start('200 OK', [['Content-Type', 'x/y']]), Object.assign(['x'], { close: () => closed++ }))) as never)).fetch();
    expect(closed).toBe(1);
  });

  it.each<[string, unknown, RegExp]>([
    ['no result', (_e: unknown, start: (s: string, h: unknown) => void) => start('200 OK', [['Content-Type', 'x/y']]), /must return an iterable/],
    ['a string as result', () => 'text', /must return an iterable/],
    ['a missing Content-Type', (_e: unknown, start: (s: string, h: unknown) => void) => (start('200 OK', []), ['x']), /needs a Content-Type/],
    ['a Content-Type with 204', (_e: unknown, start: (s: string, h: unknown) => void) => (start('204 No Content', [['Content-Type', 'x/y']]), []), /must not have a Content-Type/],
    ['too many arguments', (_e: unknown, start: (...args: unknown[]) => void) => (start('200 OK', [], null, 1), []), /two or three arguments/],
    ['a bad block', (_e: unknown, start: (s: string, h: unknown) => void) => (start('200 OK', [['Content-Type', 'x/y']]), [5]), /bytes or strings/],
    ['a body without startResponse', () => ['x'], /call startResponse before/],
    ['closing the input', (environ: Environ) => environ['wsgi.input'].close(), /must not close wsgi.input/],
    ['writing no string to the errors', (environ: Environ) => environ['wsgi.errors'].write(5 as never), /takes a string/],
    ['a bad size', (environ: Environ) => environ['wsgi.input'].read(1.5), /whole number/],
  ])('reports %s', async (_name, application, message) => {
    expect(await failureOf(application)).toMatch(message);
  });

  it.each<[string, Record<string, string | undefined>, RegExp]>([
    ['a missing method', { REQUEST_METHOD: undefined }, /no "REQUEST_METHOD"/], ['HTTP_CONTENT_TYPE (W-18)', { HTTP_CONTENT_TYPE: 'x' }, /must not have HTTP_CONTENT_TYPE/],
    ['SCRIPT_NAME "/" (W-11)', { SCRIPT_NAME: '/' }, /must be empty/], ['a relative PATH_INFO', { PATH_INFO: 'x' }, /must start with/],
    ['neither SCRIPT_NAME nor PATH_INFO', { PATH_INFO: '' }, /one of SCRIPT_NAME and PATH_INFO/], ['a scheme', { 'wsgi.url_scheme': 'ftp' }, /http or https/],
    ['a length', { CONTENT_LENGTH: 'x' }, /must be digits/],
  ])('reports a server that gives %s', async (_name, environ, message) => {
    expect(await failureOf(() => [], { environ })).toMatch(message);
  });

  it('refuses what is no function', () => {
    expect(() => validator({} as never)).toThrow(expect.objectContaining({ code: 'NWSGI2501' }));
  });
});

describe('requestUri (W-116)', () => {
  const uri = (values: Record<string, string>, includeQuery?: boolean): string =>
    requestUri({ 'wsgi.url_scheme': 'http', SERVER_NAME: 'host', SERVER_PORT: '80', SCRIPT_NAME: '', PATH_INFO: '/', QUERY_STRING: '', ...values } as unknown as Environ, includeQuery);

  it.each<[Record<string, string>, string]>([
    [{}, 'http://host/'], [{ SERVER_PORT: '8080' }, 'http://host:8080/'], [{ 'wsgi.url_scheme': 'https', SERVER_PORT: '443' }, 'https://host/'], [{ 'wsgi.url_scheme': 'https' }, 'https://host:80/'],
    [{ HTTP_HOST: 'other:81', SERVER_PORT: '9' }, 'http://other:81/'], [{ SERVER_NAME: '::1', SERVER_PORT: '81' }, 'http://[::1]:81/'], [{ SCRIPT_NAME: '/app', PATH_INFO: '' }, 'http://host/app'],
    [{ PATH_INFO: '/\xc3\xa9/a b;p=1%' }, 'http://host/%C3%A9/a%20b;p=1%25'], [{ QUERY_STRING: 'q=%41&r=a+b' }, 'http://host/?q=%41&r=a+b'], [{ PATH_INFO: '' }, 'http://host/'],
  ])('of %j is %s', (values, expected) => {
    expect(uri(values)).toBe(expected);
  });

  it('can leave out the query', () => {
    expect(uri({ QUERY_STRING: 'a' }, false)).toBe('http://host/');
  });
});

describe('pathInfo', () => {
  it('decodes UTF-8', () => {
    expect(pathInfo({ PATH_INFO: '/\xc3\xa9' } as Environ)).toBe('/é');
    expect(pathInfo({ PATH_INFO: '/\xff' } as Environ)).toBe('/\ufffd');
  });
});
