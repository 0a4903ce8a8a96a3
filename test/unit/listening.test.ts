/** Servers that are taken over behave as Node's own do: each scenario runs with and without the gateway. */
import { execFile } from 'node:child_process';
import http from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { Listeners } from '../../src/node/listening.js';
import { FakeBridge } from '../../src/testing/fake-host.js';
import { compileGateway, nodes, root } from './helpers/gateway.js';

interface Report {
  results: Record<string, unknown[]>;
  notices: string[];
  left: number;
}

const run = promisify(execFile);
let gateway = '';
beforeAll(() => {
  gateway = compileGateway('gateway-listening');
}, 60_000);

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function scenarios(node: string, port: number, ...args: string[]): Promise<Report> {
  const { stdout } = await run(node, [join(root, 'test/unit/fixtures/listening-scenarios.mjs'), String(port), ...args], { env: { ...process.env, NODE_OPTIONS: '' } });
  return JSON.parse(stdout) as Report;
}

describe.each(nodes)('servers in %s', { timeout: 30_000 }, (node) => {
  it('listen, report and close as without a takeover', async () => {
    const port = await freePort();
    const own = await scenarios(node, port);
    const taken = await scenarios(node, port, gateway);
    expect(taken.results).toEqual(own.results);
    expect(Object.keys(own.results).length).toBeGreaterThan(20);
    expect(taken.left).toBe(0);
    expect(taken.notices).toHaveLength(1);
    expect(taken.notices[0]).toMatch(/^NWSGI2108 .*127\.0\.0\.1 port \d+/);
  });
});

describe('connections of a server', () => {
  const listeners = new Listeners(new FakeBridge());
  const began: number[] = [];
  listeners.onListen = ({ port }) => void began.push(port);
  listeners.install();
  const listening = async (port: number): Promise<http.Server> => {
    const server = http.createServer().listen(port);
    await new Promise((resolve) => server.once('listening', resolve));
    return server;
  };
  const count = (server: http.Server): Promise<number> => new Promise((resolve, reject) => server.getConnections((error, number) => (error === null ? resolve(number) : reject(error))));

  it('are waited for by close()', async () => {
    const server = await listening(8001);
    const socket = new PassThrough();
    expect(listeners.connect(server, socket)).toBe(true);
    expect(await count(server)).toBe(1);
    const closed = new Promise<string>((resolve) => server.close(() => resolve('closed')));
    expect(await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 20, 'open'))])).toBe('open');
    expect(listeners.find('8001')).toBeUndefined();
    socket.destroy();
    expect(await closed).toBe('closed');
    expect(await count(server)).toBe(0);
  });

  it('are destroyed by closeAllConnections()', async () => {
    const server = await listening(8001);
    const socket = new PassThrough();
    listeners.connect(server, socket);
    server.closeIdleConnections();
    expect(socket.destroyed).toBe(false);
    server.closeAllConnections();
    expect(socket.destroyed).toBe(true);
    await new Promise((resolve) => server.close(resolve));
  });

  it('are waited for at the end of the environment, which closes all servers', async () => {
    const servers = [await listening(8001), await listening(8002)];
    const socket = new PassThrough();
    listeners.connect(servers[0] as http.Server, socket);
    const events: string[] = [];
    for (const server of servers) server.on('close', () => events.push('close'));
    const closed = listeners.close().then(() => events.push('done'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([events, servers.map((server) => server.listening)]).toEqual([['close'], [false, false]]);
    listeners.closeConnections();
    await closed;
    expect(events).toEqual(['close', 'close', 'done']);
  });

  it('are refused above maxConnections, and the server is told', async () => {
    const server = await listening(8001);
    server.maxConnections = 1;
    let dropped = 0;
    server.on('drop', () => (dropped += 1));
    const [first, second] = [new PassThrough(), new PassThrough()];
    expect([listeners.connect(server, first), listeners.connect(server, second), dropped]).toEqual([true, false, 1]);
    first.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('go to the server of their port, else to the first of the script', async () => {
    began.length = 0;
    listeners.owner = '/one.js';
    const first = await listening(8001);
    const second = await listening(8002);
    listeners.owner = '/two.js';
    const other = await listening(8001);
    await new Promise((resolve) => setImmediate(resolve));
    expect(began).toEqual([8001, 8002, 8001]);
    expect(listeners.list.map(({ server }) => server)).toEqual([first, second, other]);
    const find = (port: string, owner?: string): http.Server | undefined => listeners.find(port, owner)?.server as http.Server | undefined;
    expect([find('8002', '/one.js'), find('80', '/one.js'), find('', '/two.js'), find('8002')].map((server) => [first, second, other].indexOf(server as http.Server))).toEqual([1, 0, 2, 1]);
    for (const server of [first, second, other]) server.close();
    expect(listeners.list).toEqual([]);
  });
});
