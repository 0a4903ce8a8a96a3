/** Trailers of requests and responses, over HTTP/1.1 and HTTP/2. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, useServer, type HttpdServer, type Mpm, type Options } from './harness/index.js';
import { get } from './support/mounts.js';

const options = (mpm: Mpm): Options => ({
  mpm,
  apps: ['trailers.cjs'],
  modules: ['deflate', 'filter'],
  directives: (server: HttpdServer) => [`WSGIScriptAlias /node "${server.app('trailers.cjs')}"`, '<Location /node/stream>', 'SetOutputFilter DEFLATE', '</Location>'],
  vhosts: [{}, { tls: true, http2: mpm !== 'prefork' }],
});

describeEachMpm('trailers over HTTP/1.1', (mpm) => {
  const server = useServer(options(mpm));

  it.each(['stream', 'short'])('N-340 follow the last chunk of a response (%s), and the connection goes on', async (kind) => {
    const client = await server.raw();
    await client.send(get(`/node/${kind}`));
    const response = await client.readResponse();
    expect(response.framing).toBe('chunked');
    expect(response.text).toBe(kind === 'stream' ? 'begun ended' : 'short');
    expect(response.trailers).toEqual(kind === 'stream' ? [['X-Sum', '11'], ['X-Note', 'last']] : [['X-Sum', '5']]);
    await client.send(get('/node/length'));
    expect((await client.readResponse()).text).toBe('length');
    client.close();
  });

  it('N-341 follow a body that a filter has changed', async () => {
    const client = await server.raw();
    await client.send(get('/node/stream', 'Accept-Encoding: gzip'));
    const response = await client.readResponse();
    expect(response.header('Content-Encoding')).toBe('gzip');
    expect(response.trailers).toEqual([['X-Sum', '11'], ['X-Note', 'last']]);
    client.close();
  });

  it('N-342 are left out of a response with a length, and for HTTP/1.0', async () => {
    const client = await server.raw();
    await client.send(get('/node/length'));
    const response = await client.readResponse();
    expect(response.framing).toBe('length');
    expect(response.text).toBe('length');
    await client.send(head('GET /node/stream HTTP/1.0', 'Host: localhost'));
    const old = await client.readResponse();
    expect(old.text).toBe('begun ended');
    expect(old.raw.toString('latin1')).not.toContain('X-Sum: 11');
    client.close();
  });

  it('N-343 of a request reach the application', async () => {
    const client = await server.raw();
    await client.send(head('POST /node/request HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked', 'Trailer: X-Sum'));
    await client.send('4\r\nbody\r\n0\r\nX-Sum: 4\r\nX-Note: last\r\n\r\n');
    expect(JSON.parse((await client.readResponse()).text)).toEqual({ 'x-sum': '4', 'x-note': 'last' });
    client.close();
  });
});

describe('trailers over HTTP/2', () => {
  const server = useServer(options('event'));

  it('N-344 follow the body of a response', async () => {
    const client = await server.http2(1);
    const response = await client.request('/node/stream');
    expect(response.text).toBe('begun ended');
    expect(response.trailers).toMatchObject({ 'x-sum': '11', 'x-note': 'last' });
    client.close();
  });

  it('N-345 of a request reach the application', async () => {
    const client = await server.http2(1);
    const stream = client.session.request({ ':path': '/node/request', ':method': 'POST' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '4' }));
    stream.end('body');
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    expect(JSON.parse(text)).toEqual({ 'x-sum': '4' });
    client.close();
  });
});
