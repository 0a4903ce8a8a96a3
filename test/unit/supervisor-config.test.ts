/** What a supervisor accepts as its configuration, as messages of workers and as a hello. */
import { describe, expect, it } from 'vitest';
import { completeConfig, ConfigError } from '../../src/supervisor/config.js';
import { acceptance, ANY_SLOT, HELLO_MAGIC, parseHello, refusal } from '../../src/supervisor/hello.js';
import { asFromWorker } from '../../src/supervisor/messages.js';

const least = { name: 'g', gatewayDirectory: '/dist', bridge: '/b.node', node: '/usr/bin/node', helloFd: 4 };
const script = { path: '/a.mjs' };
const listen = [{ fd: 7, protocol: 'http' }];

describe('a configuration', () => {
  it('has the documented defaults', () => {
    expect(completeConfig(least)).toMatchObject({
      processes: 1, minProcesses: 1, maxProcesses: 1, threads: 256, maximumRequests: 0, maximumRequestsJitter: 10, interruptTimeout: 2_000,
      deadlockTimeout: 300_000, startupTimeout: 60_000, gracefulTimeout: 15_000, evictionTimeout: 0, shutdownTimeout: 5_000, queueLimit: 1_000,
      reloading: true, script: null, listen: [], preload: [], scoreboardFd: -1, lifelineFd: -1, controlFd: -1, logLevel: 5,
    });
  });

  it('has room for the number of processes', () => {
    expect(completeConfig({ ...least, processes: 3 })).toMatchObject({ minProcesses: 3, maxProcesses: 3 });
    expect(completeConfig({ ...least, maxProcesses: 8, minProcesses: 2 })).toMatchObject({ processes: 2 });
    expect(completeConfig({ ...least, processes: 9, minProcesses: 2, maxProcesses: 8 })).toMatchObject({ processes: 8 });
  });

  it('has no time that a timer of Node would take for none', () => {
    const config = completeConfig({ ...least, gracefulTimeout: 2 ** 40, shutdownTimeout: 2 ** 40, startupTimeout: 2 ** 40, restartInterval: 2 ** 40 });
    expect(config.gracefulTimeout + config.shutdownTimeout).toBeLessThan(2 ** 31);
    expect(config.startupTimeout).toBeLessThan(2 ** 31);
    expect(config.restartInterval).toBe(2 ** 40);
  });

  it('completes what is served without httpd', () => {
    const config = completeConfig({ ...least, helloFd: -1, listen, script });
    expect(config.script).toEqual({ path: '/a.mjs', callable: 'application', type: 'auto', mount: '', errorPage: 'production', reloading: true });
    expect(config.listen).toEqual([{ fd: 7, protocol: 'http', description: 'descriptor 7' }]);
  });

  it.each<[string, Record<string, unknown> | null, RegExp]>([
    ['nothing', null, /is to be an object/],
    ['a text for a number', { processes: '3' }, /processes is to be a whole number/],
    ['a fraction', { gracefulTimeout: 0.5 }, /gracefulTimeout/],
    ['a relative path', { node: 'node' }, /node is to be an absolute path/],
    ['a NUL', { name: 'a\0b' }, /name is to be a text/],
    ['bounds the wrong way round', { minProcesses: 3, maxProcesses: 2 }, /minProcesses \(3\) is more than maxProcesses \(2\)/],
    ['two ways to get requests', { listen, script }, /either helloFd or listen/],
    ['no way to get requests', { helloFd: -1 }, /either helloFd or listen/],
    ['no script for a socket', { helloFd: -1, listen }, /listen needs script/],
    ['an unknown kind', { preload: [{ script: '/x', type: 'python' }] }, /preload\[0\]\.type/],
    ['an environment that is none', { env: ['A=1'] }, /env is to be an object/],
  ])('is refused: %s', (_, given, message) => {
    expect(() => completeConfig(given === null ? null : { ...least, ...given })).toThrow(ConfigError);
    expect(() => completeConfig(given === null ? null : { ...least, ...given })).toThrow(message);
  });
});

describe('messages of workers', () => {
  it('are known by their types and fields; what applications send is not', () => {
    expect(asFromWorker({ type: 'ready', failure: '' })).not.toBeNull();
    for (const other of [null, 'ready', 7, {}, { type: 'ready' }, { type: 'ready', failure: 1 }, { type: 'toString' }, { type: 'watch', script: '/x' }]) {
      expect(asFromWorker(other)).toBeNull();
    }
  });
});

describe('a hello', () => {
  const hello = (name: string, blob = '', magic = HELLO_MAGIC) => {
    const head = Buffer.alloc(20);
    [magic, ANY_SLOT, 3, name.length, blob.length].forEach((value, i) => head.writeUInt32LE(value, i * 4));
    return Buffer.concat([head, Buffer.from(name + blob)]);
  };

  it('is read however it arrives', () => {
    const bytes = hello('group', 'blob');
    for (let length = 0; length < bytes.length; length++) expect(parseHello(bytes.subarray(0, length))).toBeUndefined();
    expect(parseHello(bytes)).toEqual({ slot: ANY_SLOT, generation: 3, name: Buffer.from('group') });
  });

  it('is refused when it is none', () => {
    expect(() => parseHello(hello('a', '', 0x20544547))).toThrow(/it begins with 47455420/);
    expect(() => parseHello(Buffer.concat([hello('a'), Buffer.from('x')]))).toThrow(/1 bytes follow/);
    expect(() => parseHello(hello('a'.repeat(4097)))).toThrow(/lengths of 4097/);
  });

  it('is answered in the same byte order', () => {
    expect([0, 1, 2, 3, 4].map((i) => acceptance(7, 9, 1234).readUInt32LE(i * 4))).toEqual([HELLO_MAGIC, 0, 7, 9, 1234]);
    const bytes = refusal({ status: 503, retryAfter: 2, code: 'NWSGI3009', message: 'späte' });
    expect([1, 5, 6, 7, 8].map((i) => bytes.readUInt32LE(i * 4))).toEqual([1, 503, 2, 9, 6]);
    expect(bytes.toString('utf8', 36)).toBe('NWSGI3009späte');
  });
});
