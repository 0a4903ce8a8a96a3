/** What a site does with Apache's own features around an application. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { useServer } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { Socket } from './harness/websocket.js';

const server = useServer({
  threads: 16,
  modules: ['deflate', 'filter', 'rewrite'],
  directives: [`<Directory "${apps.express5.folder}">`, '  Require all granted', '</Directory>'],
  vhosts: [
    {
      directives: [
        'AddOutputFilterByType DEFLATE text/plain text/html application/json application/octet-stream',
        'ErrorDocument 404 "the page of the server"',
        'ErrorDocument 500 "the page of the server"',
        'Header set X-Site "yes"',
        `WSGIScriptAlias / "${apps.express5.script}"`,
      ],
    },
    {
      directives: [
        'RewriteEngine on',
        'RewriteRule "^/request(/.*)?$" "/site/request$1" [PT]',
        `WSGIScriptAlias /site "${apps.express5.script}"`,
      ],
    },
    { directives: [`WSGIScriptAlias / "${apps.ws.script}"`] },
  ],
});
const [filtered, rewritten, sockets] = [0, 1, 2] as const;

describe('filters and headers of the server', () => {
  it('compress once', async () => {
    const headers = { 'Accept-Encoding': 'gzip' };
    const byApplication = await server.request('/large', { host: filtered, headers });
    expect(byApplication.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(byApplication.body).toString().slice(0, 16)).toBe('0123456789abcdef');
    const byServer = await server.request('/streams/large/1', { host: filtered, headers });
    expect(byServer.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(byServer.body).length).toBe(1024 * 1024);
  });

});

describe('pages for errors', () => {
  it.each([
    ['/nothing', 404, 'nothing at /nothing'],
    ['/error', 500, 'the handler failed'],
  ])('are those of the application: %s', async (path, status, error) => {
    const response = await server.request(path, { host: filtered });
    expect([response.status, response.json()]).toEqual([status, { error }]);
  });
});

describe('a rewritten path', () => {
  it('stays whole, for sites that are built for their path', async () => {
    const response = await server.request('/request?a=1', { host: rewritten });
    expect([response.status, response.json()]).toMatchObject([200, { url: '/request?a=1', originalUrl: '/request?a=1' }]);
    expect((await server.request('/etag', { host: rewritten })).status).toBe(404);
  });
});

describe('the access log', () => {
  it('has WebSockets when they are over', async () => {
    const socket = await Socket.open(`ws://127.0.0.1:${server.ports[sockets]}/echo`);
    expect(await socket.ask('hello')).toBe('hello');
    await socket.close();
    await expect.poll(() => server.accessLog(), { timeout: 5000 }).toMatch(/"GET \/echo HTTP\/1\.1" 101 /);
  });
});
