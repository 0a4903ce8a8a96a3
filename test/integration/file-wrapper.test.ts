import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, openDescriptors, sleep, useServer, waitFor, type HttpdServer } from './harness/index.js';
import { appsServer, count, get, newRun, notesOf } from './support/mounts.js';

/** A file without any repetition that could hide a wrong offset. */
const file = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `${i}\n`).join(''));
const small = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz');
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const serving = (content: Buffer) => (s: HttpdServer) => [`SetEnv test.file "${s.writeFile('files/data.bin', content)}"`];

describeEachMpm('wsgi.file_wrapper in every MPM', (mpm) => {
  const server = useServer(appsServer(['file-served.mjs'], { mpm, directives: serving(file) }));

  it('W-117 W-120 a wrapped FileHandle is sent from its position to its end', async () => {
    const response = await server.get('/file-served?source=handle&at=1000');
    expect(sha(response.body)).toBe(sha(file.subarray(1000)));
    expect(response.headers['content-length']).toBe(String(file.length - 1000));
  });

  it('W-118 a wrapped object with read() is sent block by block', async () => {
    const response = await server.get('/file-served?source=object');
    expect(sha(response.body)).toBe(sha(file));
  });
});

describe('wsgi.file_wrapper', () => {
  const server = useServer(
    appsServer(['file-served.mjs', 'file-refused.mjs', 'hello.mjs'], {
      modules: ['deflate', 'filter'],
      directives: serving(file),
      vhosts: [
        { directives: ['EnableSendfile On', 'WSGIEnableSendfile On'] },
        { directives: ['EnableSendfile Off', 'WSGIEnableSendfile Off'] },
        { tls: true, http2: true, directives: ['EnableSendfile On', 'WSGIEnableSendfile On'] },
        { directives: ['EnableSendfile On', 'WSGIEnableSendfile On', 'SetOutputFilter DEFLATE'] },
      ],
    }),
  );
  const sources = ['fd', 'handle', 'stream', 'readable', 'object'];

  it('W-117 is a function that returns an iterable and sends nothing by itself', async () => {
    expect((await server.get('/file-served?source=handle&then=type')).json()).toEqual({ type: 'object', iterable: true });
    const response = await server.get('/file-served?source=handle&then=discard');
    expect(response.text).toBe('another body');
    expect(response.headers['content-length']).toBe('12');
  });

  it.each([
    ['with sendfile', 0],
    ['without sendfile', 1],
    ['over TLS', 2],
  ])('W-118 W-124 every kind of source is sent whole %s', async (_, host) => {
    for (const source of sources) {
      const response = await server.request(`/file-served?source=${source}`, { host });
      expect(response.status, source).toBe(200);
      expect(response.complete, source).toBe(true);
      expect(sha(response.body), source).toBe(sha(file));
    }
  });

  it.each(sources)('W-120 %s is sent from its current position', async (source) => {
    const response = await server.get(`/file-served?source=${source}&at=123456`);
    expect(response.body.length).toBe(file.length - 123_456);
    expect(sha(response.body)).toBe(sha(file.subarray(123_456)));
  });

  it('W-120 a position at the end gives an empty body', async () => {
    for (const source of ['fd', 'handle']) {
      const response = await server.get(`/file-served?source=${source}&at=${file.length}`);
      expect(response.status).toBe(200);
      expect(response.headers['content-length']).toBe('0');
      expect(response.body.length).toBe(0);
    }
  });

  it('W-120 a ReadStream with start and end is sent as that part', async () => {
    const response = await server.get('/file-served?source=part&at=100');
    expect(response.text).toBe(file.subarray(100, 110).toString());
    expect(response.complete).toBe(true);
  });

  it('W-118 a list and a web stream can be wrapped', async () => {
    expect((await server.get('/file-served?source=list')).text).toBe('from a list');
    expect(sha((await server.get('/file-served?source=web')).body)).toBe(sha(file));
  });

  it.each([
    ['an object', 'object'],
    ['a handle that has to be read', 'handle&then=wrap'],
  ])('W-118 the block size is used for %s', async (_, source) => {
    const run = newRun();
    const response = await server.get(`/file-served?source=${source}&block=1000&run=${run}`);
    expect(sha(response.body)).toBe(sha(file));
    if (source === 'object') {
      const notes = await notesOf(server, run);
      expect(new Set(notes.filter((note) => note.startsWith('read')))).toEqual(new Set(['read 1000']));
      expect(count(notes, 'read 1000')).toBe(Math.ceil(file.length / 1000) + 1);
    }
  });

  it.each(['handle', 'object', 'stream'])('W-119 close() of %s is called once', async (source) => {
    const run = newRun();
    await server.get(`/file-served?source=${source}&run=${run}`);
    await waitFor('close()', async () => count(await notesOf(server, run), 'close') > 0);
    await sleep(50);
    expect(count(await notesOf(server, run), 'close')).toBe(1);
  });

  it.each(['handle', 'object'])('W-119 close() of %s is looked up when it is called', async (source) => {
    const run = newRun();
    const response = await server.get(`/file-served?source=${source}&then=reassign&run=${run}`);
    expect(response.body.length).toBe(file.length);
    await waitFor('close()', async () => count(await notesOf(server, run), 'the new close') > 0);
    expect(count(await notesOf(server, run), 'close')).toBe(1);
  });

  it('W-119 nothing stays open after many files', async () => {
    await server.get('/file-served?source=handle');
    const pids = [...server.children(), ...server.workers()];
    const open = () => pids.reduce((sum, pid) => sum + openDescriptors(pid), 0);
    await sleep(1100); // Descriptors that the fixture closes by a timer.
    const before = open();
    for (let i = 0; i < 20; i++) for (const source of ['handle', 'stream', 'object']) await server.request(`/file-served?source=${source}`, { method: i % 2 ? 'HEAD' : 'GET' });
    await waitFor('the files to be closed', () => open() <= before + 2, 3000);
  });

  it('W-121 Content-Length is that of the file', async () => {
    for (const source of ['fd', 'handle', 'stream']) {
      const response = await server.get(`/file-served?source=${source}&at=10`);
      expect(response.all('content-length'), source).toEqual([String(file.length - 10)]);
      expect(response.headers['transfer-encoding'], source).toBeUndefined();
    }
  });

  it('W-122 a middleware that reads the wrapper changes what is sent', async () => {
    for (const source of ['handle', 'object']) {
      const response = await server.get(`/file-served?source=${source}&then=wrap`);
      expect(sha(response.body)).toBe(sha(file));
      expect(response.headers['content-length']).toBeUndefined();
    }
  });

  it('W-122 what was written comes before the file', async () => {
    for (const source of ['fd', 'handle', 'object']) {
      const response = await server.get(`/file-served?source=${source}&then=write`);
      expect(response.body.length).toBe(file.length + 8);
      expect(response.body.subarray(0, 12).toString()).toBe(`written ${file.subarray(0, 4)}`);
      expect(sha(response.body.subarray(8))).toBe(sha(file));
    }
  });

  it.each(sources)('W-123 a Content-Length smaller than the file limits %s', async (source) => {
    for (const host of [0, 1]) {
      const client = await server.raw(host);
      await client.send(get(`/file-served?source=${source}&at=5&length=7`));
      const response = await client.readResponse();
      expect(response.all('content-length')).toEqual(['7']);
      expect(response.text).toBe(file.subarray(5, 12).toString());
      await client.send(get('/hello'));
      expect((await client.readResponse()).status).toBe(200);
      client.close();
    }
  });

  it.each(['handle', 'object'])('W-100 W-121 a Content-Length larger than %s ends the connection', async (source) => {
    const client = await server.raw();
    await client.send(get(`/file-served?source=${source}&at=${file.length - 6}&length=20`) + get('/hello'));
    const bytes = (await client.readAll()).toString('latin1');
    expect(bytes).toMatch(/\r\nContent-Length: 20\r\n/);
    expect(bytes.slice(bytes.indexOf('\r\n\r\n') + 4)).toBe('59999\n');
    client.close();
  });

  it.each(['fd', 'handle', 'stream', 'object'])('W-105 HEAD with %s has no body, and the connection is usable', async (source) => {
    const client = await server.raw();
    await client.send(head(`HEAD /file-served?source=${source} HTTP/1.1`, 'Host: localhost'));
    const response = await client.readResponse({ method: 'HEAD' });
    expect(response.status).toBe(200);
    if (source !== 'object') expect(response.header('Content-Length')).toBe(String(file.length));
    await client.send(get('/hello'));
    expect((await client.readResponse()).text).toBe('Hello from an ES module\n');
    client.close();
  });

  it('W-106 304 with a file has no body', async () => {
    const client = await server.raw();
    await client.send(get('/file-served?source=handle&status=304%20Not%20Modified') + get('/hello'));
    expect((await client.readResponse()).status).toBe(304);
    expect((await client.readResponse()).text).toBe('Hello from an ES module\n');
    client.close();
  });

  it('W-117 a Range header is left to the application', async () => {
    const response = await server.get('/file-served?source=handle', { Range: 'bytes=0-9' });
    expect([200, 206]).toContain(response.status);
    if (response.status === 200) expect(response.body.length).toBe(file.length);
    else expect(response.body.equals(file.subarray(0, 10))).toBe(true);
  });

  it.each(sources)('W-124 %s is sent over HTTP/2 with its length', async (source) => {
    const client = await server.http2(2);
    const response = await client.request(`/file-served?source=${source}&at=10`);
    client.close();
    expect(response.complete).toBe(true);
    expect(sha(response.body)).toBe(sha(file.subarray(10)));
    if (['fd', 'handle', 'stream'].includes(source)) expect(response.headers['content-length']).toBe(String(file.length - 10));
  });

  it.each(sources)('W-124 %s passes through mod_deflate', async (source) => {
    const response = await server.request(`/file-served?source=${source}`, { host: 3, headers: { 'Accept-Encoding': 'gzip' } });
    expect(response.headers['content-encoding']).toBe('gzip');
    expect(response.headers['content-length']).toBeUndefined();
    expect(sha(gunzipSync(response.body))).toBe(sha(file));
  });

  it.each([
    ['5.5', 'TypeError NWSGI2215'],
    ['-1', 'TypeError NWSGI2215'],
    ['null', 'TypeError NWSGI2215'],
    ['{}', 'TypeError NWSGI2215'],
    ['"/etc/hostname"', 'TypeError NWSGI2215'],
    ['["block"], 0', 'TypeError NWSGI2215'],
    ['["block"], "many"', 'TypeError NWSGI2215'],
    ['["block"], 10', 'accepted'],
  ])('W-117 wsgi.file_wrapper(%s): %s', async (given, expected) => {
    expect((await server.get(`/file-refused?${encodeURIComponent(given)}`)).text).toBe(expected);
  });
});

describe('small files', () => {
  const server = useServer(appsServer(['file-served.mjs'], { directives: serving(small) }));

  it.each(['fd', 'handle', 'stream', 'readable', 'object'])('W-120 a small file is sent whole, several times on one connection (%s)', async (source) => {
    const client = await server.raw();
    for (let i = 0; i < 3; i++) {
      await client.send(get(`/file-served?source=${source}&at=${i}`));
      expect((await client.readResponse()).text).toBe(small.subarray(i).toString());
    }
    client.close();
  });
});
