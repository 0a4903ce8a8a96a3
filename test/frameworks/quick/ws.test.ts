import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { head, RawClient } from '../../integration/harness/index.js';
import { apps } from '../harness/apps.js';
import { describeTargets, type Target } from '../harness/targets.js';
import { Socket } from '../harness/websocket.js';

interface Ended {
  id: string;
  code?: number;
  reason?: string;
  error?: string;
}

describeTargets(apps.ws, (target) => {
  describe('messages', () => messages(target));
  describe('handshake', () => handshake(target));
  describe('end', () => ends(target));
});

const connect = (target: Target, path: string, options = {}) => Socket.open(target.url(path, 'ws'), options);

function messages(target: Target): void {
  it('echoes text and binary in order', async () => {
    const socket = await connect(target, '/echo');
    const texts = Array.from({ length: 200 }, (_, i) => `message ${i} – ${'ü'.repeat(i)}`);
    for (const text of texts) socket.send(text);
    for (const text of texts) expect(await socket.text()).toBe(text);
    socket.send(Buffer.from([0, 255, 128]));
    expect(await socket.message()).toEqual({ data: Buffer.from([0, 255, 128]), binary: true });
    await socket.close();
  });

  it('echoes 16 MiB', async () => {
    const socket = await connect(target, '/echo');
    const bytes = randomBytes(16 * 1024 * 1024);
    socket.send(bytes);
    const { data, binary } = await socket.message(20_000);
    expect([binary, data.equals(bytes)]).toEqual([true, true]);
    await socket.close();
  });

  it('joins fragments of the client and sends fragments', async () => {
    const socket = await connect(target, '/echo');
    socket.send('one ', { fin: false });
    socket.send('two ', { fin: false });
    socket.send('three', { fin: true });
    expect(await socket.text()).toBe('one two three');
    expect(await socket.ask('fragments')).toBe('one two three');
    await socket.close();
  });

  it('answers pings and sends them', async () => {
    const socket = await connect(target, '/echo');
    const pong = new Promise<string>((resolve) => socket.ws.once('pong', (data: Buffer) => resolve(data.toString())));
    socket.ws.ping('hello');
    expect(await pong).toBe('hello');
    expect(await socket.text()).toBe('pinged with hello');
    expect(await socket.ask('ping me')).toBe('ponged with are you there');
    await socket.close();
  });

  it('compresses messages', async () => {
    const socket = await connect(target, '/deflate', { perMessageDeflate: { threshold: 0 } });
    expect(socket.ws.extensions).toContain('permessage-deflate');
    const text = 'again and again '.repeat(50_000);
    expect(await socket.ask(text)).toBe(text);
    await socket.close();
  });

  it('serves many sockets at a time', async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => connect(target, '/echo')));
    const answers = await Promise.all(sockets.map((socket, i) => socket.ask(`socket ${i}`)));
    expect(answers).toEqual(sockets.map((_, i) => `socket ${i}`));
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it('takes what the client sent along with its handshake', async () => {
    const client = await RawClient.connect(target.port);
    try {
      const key = 'dGhlIHNhbXBsZSBub25jZQ==';
      const lines = ['Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`];
      // A masked text frame "hi" with the key 0.
      const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
      await client.send(Buffer.concat([Buffer.from(head(`GET ${target.mount}/echo HTTP/1.1`, ...lines)), frame]));
      const answer = (await client.readUntil('\r\n\r\n')).toString();
      expect(answer).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
      expect(answer).toMatch(/^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/im);
      expect(answer).toMatch(/^Upgrade: websocket\r$/im);
      expect(answer).toMatch(/^Connection: Upgrade\r$/im);
      expect(await client.readBytes(4)).toEqual(Buffer.from([0x81, 2, 0x68, 0x69]));
    } finally {
      client.close();
    }
  });
}

function handshake(target: Target): void {
  it('agrees on a subprotocol', async () => {
    const socket = await connect(target, '/protocols', { protocols: ['v1.chat', 'v2.chat'] });
    expect([socket.ws.protocol, await socket.text()]).toEqual(['v2.chat', 'protocol: v2.chat']);
    await socket.close();
  });

  it('refuses upgrades as the application says', async () => {
    await expect(connect(target, '/secret')).rejects.toMatchObject({ status: 401 });
    await expect(connect(target, '/nowhere')).rejects.toMatchObject({ status: 404 });
  });

  it('answers requests without an upgrade', async () => {
    const response = await target.get('/echo');
    expect([response.status, response.text]).toEqual([426, 'Upgrade Required']);
  });

  it('knows URL and client', async () => {
    const socket = await connect(target, '/echo?id=who');
    const seen = JSON.parse(await socket.ask('who am I')) as { remoteAddress: string };
    expect(seen).toMatchObject({ url: '/echo?id=who', remotePort: 'number', encrypted: false });
    expect(seen.remoteAddress).toMatch(/127\.0\.0\.1$/);
    await socket.close();
  });
}

function ends(target: Target): void {
  const ended = async (id: string): Promise<Ended[]> => {
    for (let attempt = 0; attempt < 100; attempt++) {
      const all = (await target.get('/ended')).json() as Ended[];
      const own = all.filter((entry) => entry.id === id);
      if (own.some((entry) => entry.code !== undefined)) return own;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`the application did not notice the end of ${id}`);
  };

  it('hands over close codes and reasons, both ways', async () => {
    const first = await connect(target, '/echo?id=client');
    expect(await first.close(4321, 'bye')).toEqual({ code: 4321, reason: 'bye' });
    expect(await ended('client')).toEqual([{ id: 'client', code: 4321, reason: 'bye' }]);
    const second = await connect(target, '/echo?id=server');
    second.send('close 4002 so long');
    expect(await second.end()).toEqual({ code: 4002, reason: 'so long' });
    expect(await ended('server')).toEqual([{ id: 'server', code: 4002, reason: 'so long' }]);
  });

  it('notices a client that is gone', async () => {
    const socket = await connect(target, '/echo?id=gone');
    expect(await socket.ask('still here')).toBe('still here');
    socket.ws.terminate();
    expect(await ended('gone')).toEqual([{ id: 'gone', code: 1006, reason: '' }]);
  });

  it('ends a connection that the application terminates', async () => {
    const socket = await connect(target, '/echo?id=terminated');
    socket.send('terminate');
    expect(await socket.end()).toEqual({ code: 1006, reason: '' });
  });

  it('refuses messages that are too large', async () => {
    const socket = await connect(target, '/small?id=large');
    socket.send('x'.repeat(2000));
    expect((await socket.end()).code).toBe(1009);
    expect((await ended('large'))[0]).toEqual({ id: 'large', error: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' });
  });
}
