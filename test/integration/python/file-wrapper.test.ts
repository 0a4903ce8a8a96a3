// wsgi.file_wrapper in Python: W-117 to W-124 (PEP 3333).
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, openDescriptors, sleep, useServer, waitFor, type HttpdServer, type Options } from '../harness/index.js';
import { count, get, newRun, notesOf } from '../support/mounts.js';

/** A file without any repetition that could hide a wrong offset. */
const file = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `${i}\n`).join(''));
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const laboratory = (more: Options = {}): Options => ({
  ...more,
  apps: ['file_lab.py', 'wsgi_notes.py'],
  directives: (s: HttpdServer) => [
    `SetEnv test.file "${s.writeFile('files/data.bin', file)}"`,
    `WSGIScriptAlias /noted ${s.app('wsgi_notes.py')}`,
    `WSGIScriptAlias /file ${s.app('file_lab.py')}`,
    ...['refused', 'not_started', 'hello'].map((name) => `WSGIScriptAlias /${name} ${s.app('file_lab.py')} callable-object=${name}`),
  ],
});

/** Sent by their descriptor. */
const files = ['open', 'raw', 'random', 'proxy', 'temporary', 'unclosable'];
/** Read block by block, because their bytes are not those of a file, or nobody can know. */
const others = ['bytes', 'object', 'subclass', 'gzip', 'pipe'];
const sources = [...files, ...others];

describeEachMpm('wsgi.file_wrapper in every MPM', (mpm) => {
  const server = useServer(laboratory({ mpm }));

  it('W-118 W-120 W-121 a file and an object with read() are sent from their position to their end', async () => {
    const response = await server.get('/file?source=open&at=1000');
    expect(sha(response.body)).toBe(sha(file.subarray(1000)));
    expect(response.headers['content-length']).toBe(String(file.length - 1000));
    expect(sha((await server.get('/file?source=object')).body)).toBe(sha(file));
  });
});

describe('wsgi.file_wrapper', () => {
  const server = useServer(
    laboratory({
      modules: ['deflate', 'filter'],
      vhosts: [
        { directives: ['EnableSendfile On', 'WSGIEnableSendfile On'] },
        { directives: ['EnableSendfile Off', 'WSGIEnableSendfile Off'] },
        { tls: true, http2: true, directives: ['EnableSendfile On', 'WSGIEnableSendfile On'] },
        { directives: ['EnableSendfile On', 'WSGIEnableSendfile On', 'SetOutputFilter DEFLATE'] },
      ],
    }),
  );

  it('W-117 gives an iterable and sends nothing by itself', async () => {
    const facts = { iterable: true, close: true, 'of file': true, names: [true, 65536] };
    expect((await server.get('/file?then=facts')).json()).toEqual(facts);
    expect((await server.get('/file?then=facts&block=7')).json()).toEqual({ ...facts, names: [true, 7] });
    const response = await server.get('/file?then=discard');
    expect([response.text, response.headers['content-length']]).toEqual(['another body', '12']);
  });

  it.each([
    ['with sendfile', 0],
    ['without sendfile', 1],
    ['over TLS', 2],
  ])('W-118 W-124 every kind of file is sent whole %s', async (_, host) => {
    for (const source of sources) {
      const response = await server.request(`/file?source=${source}`, { host });
      expect([response.status, response.complete, sha(response.body)], source).toEqual([200, true, sha(file)]);
    }
  });

  it.each(sources)('W-120 %s is sent from its current position', async (source) => {
    const response = await server.get(`/file?source=${source}&at=123456`);
    expect(response.body.length).toBe(file.length - 123_456);
    expect(sha(response.body)).toBe(sha(file.subarray(123_456)));
  });

  it('W-120 the position is the one at the end of the call, also at or behind the end of the file', async () => {
    expect(sha((await server.get('/file?then=seek&at=5')).body)).toBe(sha(file.subarray(100)));
    for (const source of files) {
      const response = await server.get(`/file?source=${source}&at=${file.length}`);
      expect([response.status, response.headers['content-length'], response.body.length], source).toEqual([200, '0', 0]);
    }
  });

  it('W-118 an object that has a descriptor, but reads other bytes, is read', async () => {
    const response = await server.get('/file?source=upper');
    expect(response.text).toBe(file.toString().replaceAll('1', 'one'));
    expect(response.headers['content-length']).toBeUndefined();
  });

  it('W-118 a file that has something to read, but no size, is read', async () => {
    expect((await server.get('/file?source=proc')).text).toMatch(/^Name:\t[^]*\nPid:\t/);
  });

  it('W-89 a file opened for text is refused as its blocks are', async () => {
    const since = server.mark();
    expect((await server.get('/file?source=text')).status).toBe(500);
    await server.expectLog('NWSGI2205', { since });
  });

  it('W-95 a file that was closed before it was returned is an error', async () => {
    const since = server.mark();
    expect((await server.get('/file?then=closed')).status).toBe(500);
    await server.expectLog(/NWSGI2201.*ValueError.*closed file/, { since });
  });

  it('W-07 a file without start_response() is an error', async () => {
    const since = server.mark();
    expect((await server.get('/not_started')).status).toBe(500);
    await server.expectLog('NWSGI2203', { since });
  });

  it('W-118 the block size is used, 64 KiB without', async () => {
    for (const [block, size] of [['&block=1000', 1000], ['', 65536]] as const) {
      const run = newRun();
      const response = await server.get(`/file?source=object${block}&run=${run}`);
      expect(sha(response.body)).toBe(sha(file));
      const notes = await notesOf(server, run);
      expect(count(notes, `read ${size}`)).toBe(Math.ceil(file.length / size) + 1);
      expect(notes.filter((note) => note.startsWith('read'))).toHaveLength(Math.ceil(file.length / size) + 1);
    }
  });

  it.each(['object', 'subclass', 'open&then=noted', 'temporary&then=noted'])('W-91 W-119 close() of %s is called once, also for HEAD', async (source) => {
    for (const method of ['GET', 'HEAD']) {
      const run = newRun();
      await server.request(`/file?source=${source}&run=${run}`, { method });
      await waitFor('close()', async () => count(await notesOf(server, run), 'close') > 0);
      await sleep(30);
      expect(count(await notesOf(server, run), 'close')).toBe(1);
    }
  });

  it('W-119 close() is looked up when it is called, and there is none where the file has none', async () => {
    for (const source of ['open', 'object']) {
      const run = newRun();
      const response = await server.get(`/file?source=${source}&then=reassign&run=${run}`);
      expect(response.body.length).toBe(file.length);
      await waitFor('close()', async () => count(await notesOf(server, run), 'the new close') > 0);
      expect(count(await notesOf(server, run), 'the new close')).toBe(1);
    }
    expect((await server.get('/file?source=unclosable&then=facts')).json()).toMatchObject({ close: false, 'of file': false });
  });

  it('W-119 nothing stays open after many files', async () => {
    const pids = [...server.children(), ...server.workers()];
    const open = () => pids.reduce((sum, pid) => sum + openDescriptors(pid), 0);
    await server.get('/file');
    await sleep(200);
    const before = open();
    for (let i = 0; i < 10; i++) for (const source of [...files, 'object']) await server.request(`/file?source=${source}`, { method: i % 2 ? 'HEAD' : 'GET' });
    await waitFor('the files to be closed', () => open() <= before + 2, 3000);
  });

  it('W-121 Content-Length is that of the file', async () => {
    for (const source of files) {
      const response = await server.get(`/file?source=${source}&at=10`);
      expect(response.all('content-length'), source).toEqual([String(file.length - 10)]);
      expect(response.headers['transfer-encoding'], source).toBeUndefined();
    }
    for (const source of others) expect((await server.get(`/file?source=${source}`)).headers['content-length'], source).toBeUndefined();
  });

  it('W-122 a middleware that reads the wrapper changes what is sent', async () => {
    for (const source of ['open', 'object']) {
      const response = await server.get(`/file?source=${source}&then=wrap`);
      expect(response.text).toBe(file.toString().replaceAll('0', 'O'));
      expect(response.headers['content-length']).toBeUndefined();
    }
  });

  it('W-122 what was read before is not sent again', async () => {
    const response = await server.get('/file?then=read&block=1000');
    expect(sha(response.body)).toBe(sha(file.subarray(1000)));
    expect(response.headers['content-length']).toBeUndefined();
  });

  it('W-122 what was written comes before the file', async () => {
    for (const source of ['open', 'object']) {
      const response = await server.get(`/file?source=${source}&then=write`);
      expect(response.body.subarray(0, 8).toString()).toBe('written ');
      expect(sha(response.body.subarray(8))).toBe(sha(file));
    }
  });

  it.each(sources)('W-123 a Content-Length smaller than the file limits %s', async (source) => {
    for (const host of [0, 1]) {
      const client = await server.raw(host);
      await client.send(get(`/file?source=${source}&at=5&length=7`));
      const response = await client.readResponse();
      expect(response.all('content-length')).toEqual(['7']);
      expect(response.text).toBe(file.subarray(5, 12).toString());
      await client.send(get('/hello'));
      expect((await client.readResponse()).text).toBe('hello');
      client.close();
    }
  });

  it.each(['open', 'object'])('W-100 W-121 a Content-Length larger than %s ends the connection', async (source) => {
    const client = await server.raw();
    await client.send(get(`/file?source=${source}&at=${file.length - 6}&length=20`) + get('/hello'));
    const bytes = (await client.readAll()).toString('latin1');
    expect(bytes).toMatch(/\r\nContent-Length: 20\r\n/);
    expect(bytes.slice(bytes.indexOf('\r\n\r\n') + 4)).toBe('59999\n');
    client.close();
  });

  it.each(['open', 'raw', 'object'])('W-105 HEAD with %s has no body, and the connection is usable', async (source) => {
    const client = await server.raw();
    await client.send(head(`HEAD /file?source=${source} HTTP/1.1`, 'Host: localhost'));
    const response = await client.readResponse({ method: 'HEAD' });
    expect(response.status).toBe(200);
    if (source !== 'object') expect(response.header('Content-Length')).toBe(String(file.length));
    await client.send(get('/hello'));
    expect((await client.readResponse()).text).toBe('hello');
    client.close();
  });

  it('W-106 304 and 204 with a file have no body', async () => {
    const client = await server.raw();
    for (const status of ['304%20Not%20Modified', '204%20No%20Content']) {
      await client.send(get(`/file?status=${status}`) + get('/hello'));
      expect((await client.readResponse()).status).toBe(Number(status.slice(0, 3)));
      expect((await client.readResponse()).text).toBe('hello');
    }
    client.close();
  });

  it.each(['open', 'object'])('W-124 %s is sent over HTTP/2', async (source) => {
    const client = await server.http2(2);
    const response = await client.request(`/file?source=${source}&at=10`);
    client.close();
    expect(response.complete).toBe(true);
    expect(sha(response.body)).toBe(sha(file.subarray(10)));
    if (source === 'open') expect(response.headers['content-length']).toBe(String(file.length - 10));
  });

  it.each(['open', 'object'])('W-124 %s passes through mod_deflate', async (source) => {
    const response = await server.request(`/file?source=${source}`, { host: 3, headers: { 'Accept-Encoding': 'gzip' } });
    expect(response.headers['content-encoding']).toBe('gzip');
    expect(response.headers['content-length']).toBeUndefined();
    expect(sha(gunzipSync(response.body))).toBe(sha(file));
  });

  it('W-120 W-124 files on one connection, each from another position', async () => {
    const client = await server.raw();
    for (let i = 0; i < 3; i++) {
      for (const source of ['open', 'raw', 'object']) {
        await client.send(get(`/file?source=${source}&at=${i}&length=${file.length - i}`));
        expect(sha((await client.readResponse()).body)).toBe(sha(file.subarray(i)));
      }
    }
    client.close();
  });

  it.each([
    ['(5.5,)', 'TypeError NWSGI2215'],
    ['(None,)', 'TypeError NWSGI2215'],
    ['("/etc/hostname",)', 'TypeError NWSGI2215'],
    ['([b"block"],)', 'TypeError NWSGI2215'],
    ['(io.BytesIO(), 0)', 'ValueError NWSGI2215'],
    ['(io.BytesIO(), -1)', 'ValueError NWSGI2215'],
    ['(io.BytesIO(), "many")', "TypeError 'str'"],
    ['()', 'TypeError FileWrapper()'],
    ['(io.BytesIO(), 10)', 'accepted'],
  ])('W-117 wsgi.file_wrapper%s: %s', async (given, expected) => {
    expect((await server.get(`/refused?given=${encodeURIComponent(given)}`)).text).toBe(expected);
  });
});
