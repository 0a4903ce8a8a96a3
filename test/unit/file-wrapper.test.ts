import { mkdtempSync, openSync, closeSync, createReadStream, rmSync, writeFileSync, fstatSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { FakeRequest, FakeResponse } from '../../src/testing/fake-host.js';
import type { Environ, Header, WsgiApplication } from '../../src/wsgi/types.js';

const CONTENT = '0123456789'.repeat(100);
let directory = '';
let file = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nwsgi-file-'));
  file = join(directory, 'file');
  writeFileSync(file, CONTENT);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Make = (environ: Environ) => unknown;

/** Returns what `make` gives; `position` is what the bridge says about an open file. */
async function respond(make: Make, { headers = [], request = {}, position = 0 }: { headers?: Header[]; request?: FakeRequest; position?: number } = {}): Promise<FakeResponse> {
  const host = new FakeHost((async (environ, start) => {
    const body = await make(environ);
    start('200 OK', headers);
    return body;
  }) as WsgiApplication);
  host.bridge.fileInfoOf = (fd) => (fstatSync(fd).isFile() ? { size: fstatSync(fd).size, position } : null);
  return host.fetch(request);
}

describe('wsgi.file_wrapper', () => {
  it('hands a file handle to the server and closes it (W-119, W-121)', async () => {
    const handle = await open(file);
    const response = await respond((environ) => environ['wsgi.file_wrapper'](handle));
    expect(response.calls.slice(0, 2)).toEqual(['head', 'file']);
    expect(response.calls).toContain('end');
    expect(response.get('Content-Length')).toBe('1000');
    expect(handle.fd).toBe(-1);
  });

  it('starts at the current position (W-120)', async () => {
    const handle = await open(file);
    const { fd } = handle;
    const response = await respond((environ) => environ['wsgi.file_wrapper'](handle), { position: 990 });
    expect(response.calls).toContain(`${fd}:990+10`);
    expect(response.get('Content-Length')).toBe('10');
  });

  it('honours a smaller Content-Length (W-123)', async () => {
    const handle = await open(file);
    const { fd } = handle;
    const response = await respond((environ) => environ['wsgi.file_wrapper'](handle), { headers: [['Content-Length', '7']] });
    expect(response.calls).toContain(`${fd}:0+7`);
    expect(response.calls).toContain('end');
  });

  it('aborts when the file is shorter than Content-Length (W-100)', async () => {
    const handle = await open(file);
    const response = await respond((environ) => environ['wsgi.file_wrapper'](handle), { headers: [['Content-Length', '2000']] });
    expect(response.calls).toContain('abort');
  });

  it('sends no file for HEAD, but its length (W-105)', async () => {
    const handle = await open(file);
    const response = await respond((environ) => environ['wsgi.file_wrapper'](handle), { request: { method: 'HEAD' } });
    expect(response.calls).toEqual(['head', 'end', 'release']);
    expect(response.get('Content-Length')).toBe('1000');
    expect(handle.fd).toBe(-1);
  });

  it('hands over part of a ReadStream', async () => {
    const stream = createReadStream(file, { start: 10, end: 19 });
    const response = await respond((environ) => environ['wsgi.file_wrapper'](stream));
    expect(response.calls[2]).toMatch(/:10\+10$/);
    expect(stream.destroyed).toBe(true);
  });

  it('answers 500 for a ReadStream of a missing file', async () => {
    const response = await respond((environ) => environ['wsgi.file_wrapper'](createReadStream(join(directory, 'missing'))));
    expect(response.failure?.status).toBe(500);
  });

  it('hands over a descriptor and leaves it open', async () => {
    const fd = openSync(file, 'r');
    const response = await respond((environ) => environ['wsgi.file_wrapper'](fd));
    expect(response.calls).toContain(`${fd}:0+1000`);
    expect(fstatSync(fd).isFile()).toBe(true);
    closeSync(fd);
  });

  it('sends nothing by itself (W-117)', async () => {
    const handle = await open(file);
    const response = await respond((environ) => {
      environ['wsgi.file_wrapper'](handle);
      return ['other'];
    });
    expect(response.text).toBe('other');
    await handle.close();
  });

  it('is read as an iterable when a middleware wraps it (W-122)', async () => {
    const handle = await open(file);
    const response = await respond(async function (environ) {
      const wrapped = environ['wsgi.file_wrapper'](handle, 300);
      return (async function* () {
        for await (const block of wrapped) yield block;
        await wrapped.close();
      })();
    });
    expect(response.calls.filter((call) => call === 'write')).toHaveLength(4);
    expect(response.text).toBe(CONTENT);
  });

  it('is read when write() was used (W-122)', async () => {
    const handle = await open(file);
    const host = new FakeHost((environ, start) => {
      void start('200 OK', [])('first-');
      return environ['wsgi.file_wrapper'](handle);
    });
    host.bridge.fileInfoOf = () => ({ size: 1000, position: 0 });
    expect((await host.fetch()).text).toBe(`first-${CONTENT}`);
  });

  it('is read when the server cannot use the descriptor (W-124)', async () => {
    const handle = await open(file);
    const host = new FakeHost((environ, start) => (start('200 OK', []), environ['wsgi.file_wrapper'](handle)));
    expect((await host.fetch()).text).toBe(CONTENT);
  });

  it.each<[string, () => unknown]>([
    ['an object with read()', () => { let at = 0; return { read: (n: number) => CONTENT.slice(at, (at += n)) }; }],
    ['an object with asynchronous read()', () => { let at = 0; return { read: async (n: number) => Buffer.from(CONTENT.slice(at, (at += n))) }; }],
    ['a Readable', () => Readable.from([CONTENT])], ['an iterable', () => [CONTENT.slice(0, 5), CONTENT.slice(5)]],
    ['a read() that ends with null', () => { const fd = openSync(file, 'r'); return { read: (n: number) => { const b = Buffer.alloc(n); const got = readSync(fd, b, 0, n, null); return got === 0 ? null : b.subarray(0, got); }, close: () => closeSync(fd) }; }],
  ])('reads %s (W-118)', async (_name, source) => {
    expect((await respond((environ) => environ['wsgi.file_wrapper'](source() as never, 64))).text).toBe(CONTENT);
  });

  it('calls close() as it is at that time, once (W-119)', async () => {
    const closed: string[] = [];
    const source = { read: () => null, close: () => closed.push('old') };
    await respond((environ) => {
      const body = environ['wsgi.file_wrapper'](source);
      source.close = () => closed.push('new');
      return body;
    });
    expect(closed).toEqual(['new']);
  });

  it.each([undefined, null, {}, 'path', -1, 1.5, true])('refuses %j', async (source) => {
    const response = await respond((environ) => environ['wsgi.file_wrapper'](source as never));
    // A string is iterable, but never a file.
    expect(response.failure?.code).toBe('NWSGI2215');
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses the block size %s', async (size) => {
    expect((await respond((environ) => environ['wsgi.file_wrapper']([], size))).failure?.code).toBe('NWSGI2215');
  });
});
