import { afterEach, describe, expect, it } from 'vitest';
import { privateEnvironment } from '../../src/platform/environment.js';
import { stop } from '../../src/stop.js';
import { FakeHost } from '../../src/testing/fake-host.js';
import type { WsgiApplication } from '../../src/wsgi/types.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('stop', () => {
  const output = { flush() {} };
  const servers = { close: () => Promise.resolve(), closeConnections() {} };
  afterEach(() => void process.removeAllListeners('SIGTERM'));

  function slow(milliseconds: number): FakeHost {
    return new FakeHost((async (_environ, start) => {
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      start('200 OK', []);
      return ['done'];
    }) as WsgiApplication);
  }

  it('waits for requests in flight, then for listeners of SIGTERM, then emits exit', async () => {
    const host = slow(30);
    const order: string[] = [];
    const onExit = (): void => void order.push('exit');
    process.once('exit', onExit);
    process.on('SIGTERM', async () => {
      order.push(`SIGTERM after ${response.text}`);
      await turn();
      order.push('cleaned up');
    });
    const { response } = host.begin();
    await stop({ bridge: host.bridge, dispatcher: host.dispatcher, servers, output }, 'test', 1000);
    process.removeListener('exit', onExit);
    expect(order).toEqual(['SIGTERM after done', 'cleaned up', 'exit']);
    expect(host.bridge.siteLog).toEqual([]);
  });

  it('does not wait longer than it may, and says so', async () => {
    const host = slow(300);
    const { released } = host.begin();
    const before = Date.now();
    await stop({ bridge: host.bridge, dispatcher: host.dispatcher, servers, output }, 'test', 20);
    expect(Date.now() - before).toBeLessThan(250);
    expect(host.bridge.siteLog.join()).toMatch(/NWSGI2403.*1 in flight/);
    await released;
  });

  it('closes servers after the listeners, and what is left of connections at the end', async () => {
    const order: string[] = [];
    const say = (text: string) => () => void order.push(text);
    const host = slow(0);
    const closing = { close: async () => say('close')(), closeConnections: say('connections') };
    await stop({ bridge: host.bridge, dispatcher: host.dispatcher, servers: closing, output }, 'test', 50);
    // A test runner listens for messages too, so that the connections may be left the whole time.
    expect(new Set(order)).toEqual(new Set(['close', 'connections']));
    order.length = 0;
    process.on('SIGTERM', async () => say('SIGTERM')());
    await stop({ bridge: host.bridge, dispatcher: host.dispatcher, servers: { ...closing, close: () => new Promise(say('close')) }, output }, 'test', 50);
    expect(order).toEqual(['SIGTERM', 'close', 'connections']);
  });

  it('survives listeners that throw', async () => {
    process.on('SIGTERM', () => { throw new Error('sync'); });
    process.on('SIGTERM', async () => { throw new Error('async'); });
    const host = slow(0);
    await stop({ bridge: host.bridge, dispatcher: host.dispatcher, servers, output }, 'test', 100);
    expect(host.bridge.siteLog.join()).toMatch(/NWSGI2404.*sync[^]*NWSGI2404.*async/);
  });
});

describe('the private environment', () => {
  it('converts as process.env does and leaves the original alone', () => {
    const original = { A: '1' };
    const env = privateEnvironment(original);
    env.B = 5 as unknown as string;
    env.C = undefined;
    delete env.A;
    expect({ ...env }).toEqual({ B: '5', C: 'undefined' });
    expect(original).toEqual({ A: '1' });
    expect(() => { (env as Record<symbol, unknown>)[Symbol('x')] = 'y'; }).toThrow(TypeError);
    Object.defineProperty(env, 'D', { value: 1, configurable: true, enumerable: true, writable: true });
    expect(env.D).toBe('1');
  });
});
