import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { within } from '../integration/harness/index.js';
import { apps, clientPackage } from './harness/apps.js';
import { describeTargets, type Target } from './harness/targets.js';

interface Client {
  id: string;
  connected: boolean;
  io: { engine: { transport: { name: string } } };
  on(event: string, listener: (...values: never[]) => void): void;
  once(event: string, listener: (...values: never[]) => void): void;
  emit(event: string, ...values: unknown[]): void;
  emitWithAck(event: string, ...values: unknown[]): Promise<unknown>;
  close(): void;
}
const io = () => clientPackage<{ io(url: string, options: unknown): Client }>('socket.io-client').io;

describeTargets(apps.socketio, (target) => {
  describe.each([['polling'], ['websocket'], ['polling', 'websocket']])('by %s %s', (...transports) => {
    conversation(target, transports.filter(Boolean));
  });

  it('serves its page and client', async () => {
    expect((await target.get('/')).text).toContain('<title>Chat</title>');
    const script = await target.get('/socket.io/socket.io.js');
    expect([script.status, script.headers['content-type']]).toEqual([200, 'application/javascript; charset=utf-8']);
  });

  it('lets only some into a namespace', async () => {
    const refused = connect(target, ['websocket'], '/admin', { token: 'guess' });
    const error = await next<Error>(refused, 'connect_error');
    expect(error.message).toBe('not authorised');
    refused.close();
    const admitted = connect(target, ['websocket'], '/admin', { token: 'letmein' });
    expect(await next(admitted, 'admin')).toBe('welcome');
    admitted.close();
  });
});

function conversation(target: Target, transports: string[]): void {
  const last = transports.at(-1) as string;

  it('connects, acknowledges and disconnects', async () => {
    const client = connect(target, transports);
    expect(await next(client, 'welcome')).toEqual({ id: client.id, transport: transports[0] });
    expect(await client.emitWithAck('sum', 2, 3)).toBe(5);
    client.on('question', ((a: number, b: number, answer: (value: number) => void) => answer(a * b)) as never);
    expect(await client.emitWithAck('ask')).toBe(42);
    await expect.poll(() => client.io.engine.transport.name, { timeout: 5000 }).toBe(last);
    expect(await client.emitWithAck('sum', 20, 3)).toBe(23);
    const gone = next(client, 'disconnect');
    client.emit('leave');
    expect(await gone).toBe('io server disconnect');
  });

  it('sends to rooms', async () => {
    const clients = Array.from({ length: 3 }, () => connect(target, transports));
    await Promise.all(clients.map((client) => next(client, 'connect')));
    const room = `room-${transports.join('-')}`;
    expect(await clients[0]?.emitWithAck('join', room)).toEqual([room]);
    await clients[1]?.emitWithAck('join', room);
    const heard = clients.slice(0, 2).map((client) => next(client, 'said'));
    let outsider = false;
    clients[2]?.on('said', () => (outsider = true));
    clients[2]?.emit('say', room, 'hello, everybody');
    expect(await Promise.all(heard)).toEqual(['hello, everybody', 'hello, everybody']);
    expect(await clients[2]?.emitWithAck('sum', 1, 1)).toBe(2);
    expect(outsider).toBe(false);
    clients.forEach((client) => client.close());
  });

  it('sends binary data', async () => {
    const client = connect(target, transports);
    const bytes = randomBytes(500_000);
    const answer = (await client.emitWithAck('binary', bytes)) as { length: number; back: Buffer };
    expect(answer.length).toBe(bytes.length);
    expect(Buffer.from(answer.back).reverse().equals(bytes)).toBe(true);
    client.close();
  });

  it('notices a client that leaves', async () => {
    const [stays, leaves] = [connect(target, transports), connect(target, transports)];
    await Promise.all([next(stays, 'connect'), next(leaves, 'connect')]);
    const id = leaves.id;
    const left = new Promise<string>((resolve) => {
      stays.on('left', ((who: string, reason: string) => who === id && resolve(reason)) as never);
    });
    leaves.close();
    expect(await within(10_000, 'the end of the other client', left)).toBe('client namespace disconnect');
    stays.close();
  });
}

function connect(target: Target, transports: string[], namespace = '/', auth: object = {}): Client {
  const url = new URL(target.url(''));
  return io()(`${url.origin}${namespace}`, { path: `${target.mount}/socket.io/`, transports, auth, forceNew: true, reconnection: false });
}

/** The first value of the next event of this name. */
function next<T = unknown>(client: Client, event: string): Promise<T> {
  return within(10_000, `the event ${event}`, new Promise<T>((resolve) => client.once(event, ((value: T) => resolve(value)) as never)));
}
