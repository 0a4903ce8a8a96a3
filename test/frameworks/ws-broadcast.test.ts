import { expect, it } from 'vitest';
import { apps } from './harness/apps.js';
import { describeTargets } from './harness/targets.js';
import { Socket } from './harness/websocket.js';

describeTargets(apps.wsBroadcast, (target) => {
  it('sends what one says to all others', async () => {
    const sockets = await Promise.all(Array.from({ length: 4 }, () => Socket.open(target.url('/chat', 'ws'))));
    expect((await target.get('/')).text).toBe('clients: 4');
    sockets[0]?.send('hello everybody');
    for (const socket of sockets.slice(1)) expect(await socket.text()).toBe('hello everybody');
    await Promise.all(sockets.map((socket) => socket.close()));
    await expect.poll(async () => (await target.get('/')).text, { timeout: 2000 }).toBe('clients: 0');
  });

  it('refuses other paths', async () => {
    await expect(Socket.open(target.url('/other', 'ws'))).rejects.toMatchObject({ status: 400 });
  });
});
