/** New versions of applications, and restarts of the server, while clients are connected. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startLoad, useServer, waitFor } from '../integration/harness/index.js';
import { apps } from './harness/apps.js';
import { Socket } from './harness/websocket.js';

const modules = join(apps.express5.folder, 'node_modules');

/** An application of Express with a WebSocket server, and a shutdown as the documentation of Express has it. */
const version = (text: string) => `
  const http = require('http');
  const express = require('${modules}/express');
  const { WebSocketServer } = require('${modules}/ws');

  const app = express();
  app.get('/', (req, res) => res.send('${text}'));
  app.get('/slow', (req, res) => setTimeout(() => res.send('${text}'), 1000));

  const server = http.createServer(app);
  const wss = new WebSocketServer({ server });
  wss.on('connection', (socket) => socket.on('message', (data) => socket.send('${text}: ' + data)));

  server.listen(process.env.PORT || 3000);
  process.on('SIGTERM', () => {
    console.log('${text} is closing');
    for (const socket of wss.clients) socket.close(1001, 'going away');
    server.close(() => console.log('${text} is closed'));
  });
`;

const server = useServer(
  {
    threads: 16,
    directives: (s) => [`<Directory "${modules}">`, '  Require all granted', '</Directory>', `WSGIScriptAlias / ${s.app('server.js')}`],
  },
  (s) => void s.writeApp('server.js', version('first')),
);
const socketTo = () => Socket.open(`ws://127.0.0.1:${server.port}/`);
const answers = (text: string) => waitFor(`the answer ${text}`, async () => (await server.get('/')).text === text);

describe('an application with a WebSocket', () => {
  it('is replaced by its new version, without a lost request', async () => {
    await answers('first');
    const socket = await socketTo();
    const load = startLoad(server, '/', { connections: 2, check: (body) => /^(first|second)$/.test(body) });
    const slow = server.get('/slow');
    server.writeApp('server.js', version('second'));
    await answers('second');
    expect((await slow).text).toBe('first');
    expect(await socket.end(20_000)).toEqual({ code: 1001, reason: 'going away' });
    const next = await socketTo();
    expect(await next.ask('hello')).toBe('second: hello');
    expect(await load.stop()).toMatchObject({ failures: [] });
    await next.close();
    await server.expectLog('first is closing');
    await server.expectLog('first is closed');
  });

  it('is told when the server restarts gracefully', async () => {
    const socket = await socketTo();
    expect(await socket.ask('before')).toBe('second: before');
    const since = server.mark();
    await server.graceful();
    await answers('second');
    expect(await socket.end(20_000)).toEqual({ code: 1001, reason: 'going away' });
    await server.expectLog('second is closing', { since });
    const next = await socketTo();
    expect(await next.ask('after')).toBe('second: after');
    await next.close();
  });

  it('keeps serving its last version when the new one does not load', async () => {
    const since = server.mark();
    server.writeApp('server.js', 'this is no JavaScript');
    await server.expectLog(/NWSGI2\d+/, { since });
    expect((await server.get('/')).text).toBe('second');
    server.writeApp('server.js', version('third'));
    await answers('third');
  });
});
