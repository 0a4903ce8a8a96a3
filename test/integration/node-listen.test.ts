/** Servers of applications that listen in Apache: how, when, where, again. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, sleep, useServer, waitFor, withServer } from './harness/index.js';

/** Programs that listen in the ways of Node's documentation; each answers with what it asks for. */
const WAYS: Record<string, string> = {
  nothing: 'listen()',
  callback: 'listen(() => {})',
  port: 'listen(3000)',
  'port as text': "listen('3000')",
  'port and host': "listen(3000, '127.0.0.1')",
  'port, host, backlog and callback': "listen(3000, '127.0.0.1', 50, () => {})",
  'port and callback': 'listen(3000, () => {})',
  object: "listen({ port: 3000, host: 'localhost', exclusive: true, ipv6Only: false })",
  'a privileged port': 'listen(80)',
  path: "listen('/nowhere/at/all.sock')",
  'path in an object': "listen({ path: '/nowhere/at/all.sock', readableAll: true })",
  'a descriptor': 'listen({ fd: 3 })',
  'an abort signal': 'listen({ port: 3000, signal: new AbortController().signal })',
};

const ADDRESSES: Record<string, unknown> = {
  nothing: { address: '::', family: 'IPv6', port: 49152 },
  port: { address: '::', family: 'IPv6', port: 3000 },
  'port and host': { address: '127.0.0.1', family: 'IPv4', port: 3000 },
  'a privileged port': { address: '::', family: 'IPv6', port: 80 },
  path: '/nowhere/at/all.sock',
};

const program = (way: string): string => `
const events = [];
const server = require('http').createServer((req, res) => res.end(JSON.stringify({ events, address: server.address(), same: JSON.stringify(server.address()) === first })));
for (const name of ['listening', 'error', 'close']) server.on(name, () => events.push(name));
const returned = server.${way};
events.push(returned === server ? 'returned' : 'odd');
let first;
server.on('listening', () => { first = JSON.stringify(server.address()); });`;

describe('listen()', () => {
  const server = useServer({
    directives: (s) => Object.entries(WAYS).map(([, way], i) => `WSGIScriptAlias /way${i} ${s.writeApp(`way${i}.cjs`, program(way))}`),
  });

  it.each(Object.keys(WAYS).map((name, i) => [name, i] as const))('with %s is taken over', async (name, i) => {
    const response = await server.get(`/way${i}`);
    expect(response.status, response.text).toBe(200);
    const { events, address, same } = response.json() as { events: string[]; address: unknown; same: boolean };
    expect([events, same]).toEqual([['returned', 'listening'], true]);
    expect(address).not.toBeNull();
    if (ADDRESSES[name] !== undefined) expect(address).toEqual(ADDRESSES[name]);
  });
});

/** Servers of one program, chosen by the port of Apache; and what is done to them. */
const SEVERAL = `
const http = require('http');
const answer = (name) => (req, res) => res.end(name);
const main = http.createServer(answer('main')).listen(PORT0);
const admin = http.createServer(answer('admin')).listen(PORT1);
const problems = [];
http.createServer().on('error', (error) => problems.push(error.code, error.message)).listen(PORT1);
require('http').createServer(answer('third')).listen(0);
const control = { problems: () => problems.join(), close: () => void admin.close(), listen: () => void admin.listen(PORT1),
  twice: () => { try { main.listen(1); } catch (error) { return error.code; } } };
main.prependListener('request', (req, res) => { const call = control[req.url.slice(1)]; if (call !== undefined) res.setHeader('X-Result', String(call())); });`;

describe('several servers of one application', () => {
  const server = useServer({
    children: 1,
    vhosts: [{}, {}, {}],
    directives: (s) => {
      const script = s.writeApp('several.cjs', SEVERAL.replaceAll('PORT0', String(s.ports[0])).replaceAll('PORT1', String(s.ports[1])));
      return ['WSGIApplicationGroup one', `WSGIScriptAlias / ${script}`];
    },
  });
  const from = async (host: number, path = '/'): Promise<string> => (await server.request(path, { host })).text;
  const result = async (path: string): Promise<unknown> => (await server.request(path, { host: 0 })).headers['x-result'];

  it('get the requests of their ports, the first one those of other ports', async () => {
    expect([await from(0), await from(1), await from(2)]).toEqual(['main', 'admin', 'main']);
  });

  it('cannot have one port twice', async () => {
    expect(await result('/problems')).toMatch(/^EADDRINUSE,listen EADDRINUSE: address already in use :::\d+$/);
    expect(await result('/twice')).toBe('ERR_SERVER_ALREADY_LISTEN');
  });

  it('can be closed and listen again', async () => {
    await result('/close');
    expect(await from(1)).toBe('main');
    await result('/listen');
    expect(await from(1)).toBe('admin');
  });
});

describeEachMpm('a server that is closed', (mpm) => {
  it('finishes its requests, then there is 503 until it listens again', async () => {
    const source = `const http = require('http');
      const server = http.createServer((req, res) => {
        if (req.url === '/close') { server.close(() => { console.log('closed'); setTimeout(() => server.listen(80), 1500); }); setTimeout(() => res.end('closing'), 200); }
        else res.end('serving');
      }).listen(80);`;
    await withServer({ mpm, children: 1, directives: (s) => `WSGIScriptAlias / ${s.writeApp('app.cjs', source)}` }, async (s) => {
      expect((await s.get('/')).text).toBe('serving');
      const closing = s.get('/close');
      await sleep(100);
      expect(s.log()).not.toMatch(/closed/);
      expect((await s.get('/')).status).toBe(503);
      expect((await closing).text).toBe('closing');
      await s.expectLog(/closed/);
      await s.expectLog(/NWSGI2107/);
      await waitFor('the server to listen again', async () => (await s.get('/')).text === 'serving');
    });
  });
});

describe('a server that does not speak HTTP', () => {
  it('really listens, which the log says', async () => {
    const source = `const net = require('net'); const plain = net.createServer((socket) => socket.end('plain')).listen(0, '127.0.0.1');
      require('http').createServer((req, res) => res.end(String(plain.address().port))).listen(80);`;
    await withServer({ children: 1, directives: (s) => `WSGIScriptAlias / ${s.writeApp('app.cjs', source)}` }, async (s) => {
      const port = Number((await s.get('/')).text);
      const { connect } = await import('node:net');
      const text = await new Promise((resolve, reject) => connect(port, '127.0.0.1').on('data', (data) => resolve(String(data))).on('error', reject));
      expect(text).toBe('plain');
      // Lines of a worker come by way of its supervisor.
      await s.expectLog(/NWSGI2108/);
      expect(s.log().match(/NWSGI2108[^\n]*127\.0\.0\.1 port/g)).toHaveLength(1);
    });
  });
});

describe('an application that takes its time', () => {
  it('is waited for while it has something to do; the others are served meanwhile', async () => {
    const source = `setTimeout(async () => { await new Promise((done) => setTimeout(done, 1500)); require('http').createServer((req, res) => res.end('late')).listen(80); }, 1500);`;
    await withServer({ apps: ['hello.mjs'], directives: (s) => [`WSGIScriptAlias /late ${s.writeApp('late.cjs', source)}`, `WSGIScriptAlias /hello ${s.app('hello.mjs')}`] }, async (s) => {
      const late = s.get('/late');
      expect((await s.get('/hello')).status).toBe(200);
      expect((await late).text).toBe('late');
      expect(s.log()).not.toMatch(/NWSGI2\d{3}/);
    });
  });

  it('shares its environment with others, which keep their servers', async () => {
    const source = (name: string, wait: number): string => `setTimeout(() => require('http').createServer((req, res) => res.end('${name}')).listen(3000), ${wait});`;
    await withServer({
      directives: (s) => ['WSGIApplicationGroup shared', ...['a', 'b', 'c'].map((name, i) => `WSGIScriptAlias /${name} ${s.writeApp(`${name}.cjs`, source(name, 300 - i * 100))}`)],
    }, async (s) => {
      const answers = await Promise.all(['a', 'b', 'c'].map(async (name) => (await s.get(`/${name}`)).text));
      expect(answers).toEqual(['a', 'b', 'c']);
    });
  });
});
