import { describe, expect, it } from 'vitest';
import { FakeHost, fakeRecord } from '../../src/testing/fake-host.js';
import type { FakeRequest } from '../../src/testing/fake-host.js';
import type { Environ } from '../../src/wsgi/types.js';

async function environOf(request: FakeRequest = {}): Promise<Environ> {
  let seen: Environ | undefined;
  const host = new FakeHost((environ, startResponse) => {
    seen = environ;
    startResponse('204 No Content', []);
    return [];
  });
  await host.fetch(request);
  return seen as Environ;
}

describe('environ', () => {
  it('is a plain, unfrozen object without a prototype (W-04)', async () => {
    const environ = await environOf();
    expect(Object.getPrototypeOf(environ)).toBeNull();
    expect(Object.isExtensible(environ)).toBe(true);
    environ['my.key'] = 1;
    delete environ['wsgi.input' as string];
    expect(Object.keys(environ)).not.toContain('wsgi.input');
  });

  it('is fresh for each request (W-04)', async () => {
    const host = new FakeHost((environ, startResponse) => {
      startResponse('200 OK', []);
      const marked = 'my.mark' in environ;
      environ['my.mark'] = true;
      return [String(marked)];
    });
    expect((await host.fetch()).text).toBe('false');
    expect((await host.fetch()).text).toBe('false');
  });

  it('has strings for all CGI variables (W-25), as latin-1 (W-34, W-35)', async () => {
    const environ = await environOf({ path: '/%C3%A9/a%20b;p=1', headers: { 'X-Raw': 'caf\xe9' } });
    for (const key of Object.keys(environ)) if (!key.includes('.')) expect(typeof environ[key]).toBe('string');
    expect(environ.PATH_INFO).toBe('/\xc3\xa9/a b;p=1');
    expect(environ.HTTP_X_RAW).toBe('caf\xe9');
  });

  it('has the wsgi.* variables (W-36…W-45)', async () => {
    const environ = await environOf({ environ: { 'nwsgi.x-multiprocess': '1' } });
    expect(environ['wsgi.version']).toEqual([1, 0]);
    expect(Object.isFrozen(environ['wsgi.version'])).toBe(true);
    expect(environ).toMatchObject({
      'wsgi.url_scheme': 'http', 'wsgi.multithread': false, 'wsgi.multiprocess': true, 'wsgi.run_once': false,
      'wsgi.input_terminated': true, 'nwsgi.interleaved': true, 'nwsgi.version': '0',
    });
    expect((await environOf())['wsgi.multiprocess']).toBe(false);
  });

  it('does not let the client set server variables', async () => {
    const environ = await environOf({ environ: { 'wsgi.input': 'x', 'nwsgi.signal': 'x', __proto__x: 'y' } });
    expect(typeof environ['wsgi.input']).toBe('object');
    expect(environ['nwsgi.signal']).toBeInstanceOf(AbortSignal);
  });

  it('names its own keys as PEP 3333 asks (W-43)', async () => {
    for (const key of Object.keys(await environOf())) {
      if (key.includes('.')) expect(key).toMatch(/^(?:wsgi|nwsgi)\.[a-z0-9_.]+$/);
    }
  });

  it('creates the signal on first use and keeps it', async () => {
    const environ = await environOf();
    expect(Object.keys(environ)).toContain('nwsgi.signal');
    const signal = environ['nwsgi.signal'];
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(environ['nwsgi.signal']).toBe(signal);
    expect(Object.getOwnPropertyDescriptor(environ, 'nwsgi.signal')).toMatchObject({ value: signal, writable: true });
  });

  it('lets the signal be replaced, deleted and copied', async () => {
    const replaced = await environOf();
    const own = new AbortController().signal;
    replaced['nwsgi.signal'] = own;
    expect(replaced['nwsgi.signal']).toBe(own);
    const deleted = await environOf();
    delete (deleted as Record<string, unknown>)['nwsgi.signal'];
    expect('nwsgi.signal' in deleted).toBe(false);
    expect({ ...(await environOf()) }['nwsgi.signal']).toBeInstanceOf(AbortSignal);
    expect((Object.create(await environOf()) as Environ)['nwsgi.signal']).toBeInstanceOf(AbortSignal);
  });

  it('answers 500 for a malformed record and serves the next request', async () => {
    const host = new FakeHost((_environ, startResponse) => {
      startResponse('200 OK', []);
      return ['x'];
    });
    const [bad, good] = host.bridge.submit({ record: '\x09\x09x' }, { record: fakeRecord() });
    expect(bad?.response.failure).toMatchObject({ status: 500, code: 'NWSGI2213' });
    expect(good?.response.text).toBe('x');
  });

  it('fetches a record that does not fit into the scratch buffer', async () => {
    const environ = await environOf({ headers: { 'X-Large': 'x'.repeat(400_000) } });
    expect(String(environ.HTTP_X_LARGE).length).toBe(400_000);
  });
});
