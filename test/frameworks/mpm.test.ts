/** Applications in each kind of server process; what they keep in memory is one child's own with prefork. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { describeEachMpm, useServer } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { eventData } from './harness/arrivals.js';
import { Socket } from './harness/websocket.js';

describeEachMpm('applications', (mpm) => {
  const server = useServer({
    mpm,
    ...(mpm === 'prefork' ? { children: 8 } : { threads: 16 }),
    directives: [`<Directory "${apps.express5.folder}">`, '  Require all granted', '</Directory>'],
    vhosts: [apps.express5, apps.hono, apps.ws].map(({ script }) => ({ directives: [`WSGIScriptAlias / "${script}"`] })),
  });
  const [express, hono, ws] = [0, 1, 2] as const;

  it('answer many requests at a time', async () => {
    const requests = Array.from({ length: 60 }, (_, i) => server.request(i % 2 ? '/etag' : '/users/7', { host: i % 2 ? express : hono }));
    const answers = await Promise.all(requests);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['200 the same text every time', '200 {"id":"7"}']));
  });

  it('take uploads and stream', async () => {
    const bytes = randomBytes(4 * 1024 * 1024);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const headers = { 'Content-Type': 'application/octet-stream' };
    const up = await server.request('/raw', { host: express, method: 'POST', body: bytes, headers });
    expect(up.json()).toEqual({ length: bytes.length, sha256 });
    expect((await server.request('/large', { host: hono })).body.length).toBe(16 * 1024 * 1024);
    expect(eventData((await server.request('/streams/events', { host: express })).text)).toHaveLength(5);
  });

  it('talk over WebSockets', async () => {
    const sockets = await Promise.all(Array.from({ length: 4 }, () => Socket.open(`ws://127.0.0.1:${server.ports[ws]}/echo`)));
    const answers = await Promise.all(sockets.map((socket, i) => socket.ask(`socket ${i}`)));
    expect(answers).toEqual(['socket 0', 'socket 1', 'socket 2', 'socket 3']);
    for (const socket of sockets) expect(await socket.close(1000)).toEqual({ code: 1000, reason: '' });
  });
});
