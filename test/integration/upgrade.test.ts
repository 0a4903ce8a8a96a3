/** Connections that change their protocol (Node's 'upgrade' event): over HTTP/1.1, TLS and HTTP/2. */
import { describe, expect, it } from 'vitest';
import { describeEachMpm, head, useServer, waitFor, withServer, type HttpdServer, type Mpm, type Options } from './harness/index.js';
import { closed, connectStream, echoes, readAll, upgrade } from './support/tunnels.js';

const MEBIBYTE = 1024 * 1024;

const options = (mpm: Mpm, more: Options = {}): Options => ({
  mpm,
  apps: ['upgrade.cjs'],
  modules: ['reqtimeout'],
  directives: (server) => [
    'WSGIApplicationGroup upgrades',
    `WSGIScriptAlias /node "${server.app('upgrade.cjs')}"`,
    'Timeout 5',
    'RequestReadTimeout header=2 body=2',
  ],
  vhosts: [{}, { tls: true }, { tls: true, http2: mpm !== 'prefork', directives: mpm === 'prefork' ? [] : ['H2WebSockets on'] }],
  ...more,
});

interface Noted {
  open: number;
  noted: string[];
}

const notedBy = async (server: HttpdServer): Promise<Noted> => (await server.get('/node/noted')).json() as Noted;

/** Waits for a note of the application; in prefork each child has its own. */
const waitForNote = (server: HttpdServer, note: RegExp, milliseconds = 3000) =>
  waitFor(String(note), async () => (await notedBy(server)).noted.find((text) => note.test(text)), milliseconds);

describeEachMpm('upgraded connections', (mpm) => {
  const server = useServer(options(mpm));

  it.each([['TCP', 0], ['TLS', 1]])('N-301 carry 16 MiB both ways at once over %s', { timeout: 60_000 }, async (_, host) => {
    const { socket, response } = await upgrade(server, '/node/echo', { host });
    expect(response.statusCode).toBe(101);
    expect(response.headers.upgrade).toBe('bytes');
    expect(response.headers.connection).toBe('Upgrade');
    expect(await echoes(socket, 16 * MEBIBYTE)).toBe(true);
    await waitFor('the access log', () => /GET \/node\/echo HTTP\/1\.1" 101 16777216/.test(server.accessLog()));
  });

  it.each([['TCP', 0], ['TLS', 1]])('N-302 the application may answer after the client has closed its side over %s', async (_, host) => {
    const { socket } = await upgrade(server, '/node/count', { host });
    socket.end('12345');
    expect(await readAll(socket)).toBe('received 5');
  });

  it('N-303 the client may go on after the application has closed its side', async () => {
    const { socket } = await upgrade(server, '/node/bye');
    expect(await readAll(socket)).toBe('bye');
    socket.end('x'.repeat(100_000));
    await waitForNote(server, /^bye: 100000 bytes after the end/);
  });

  it('N-304 over TLS the end of the application ends both sides in order', async () => {
    const { socket } = await upgrade(server, '/node/bye', { host: 1 });
    expect(await readAll(socket)).toBe('bye');
    socket.end();
    await closed(socket);
  });

  it('N-305 bytes that come with the request are the first ones of the tunnel', async () => {
    const client = await server.raw();
    await client.send(head('GET /node/echo HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: bytes') + 'early');
    expect((await client.readResponse()).status).toBe(101);
    expect((await client.readBytes(5)).toString()).toBe('early');
    client.close();
  });

  it("N-346 an application that reads nothing is told of the client's end", async () => {
    const { socket } = await upgrade(server, '/node/deaf');
    socket.end();
    expect(await readAll(socket)).toBe('goodbye');
  });

  it.each([['TCP', 0], ['TLS', 1]])('N-306 destroying the socket ends the connection at once over %s', async (_, host) => {
    const { socket } = await upgrade(server, '/node/drop', { host });
    socket.on('error', () => {});
    socket.resume();
    socket.write('x');
    await closed(socket);
  });

  it('N-307 a client that resets is noticed while the application is silent', async () => {
    const { socket } = await upgrade(server, '/node/idle');
    socket.on('error', () => {});
    socket.resetAndDestroy();
    await waitForNote(server, /^idle: closed/);
  });

  it('N-308 a client that resets is noticed while the application writes', async () => {
    const { socket } = await upgrade(server, '/node/flood');
    socket.on('error', () => {});
    socket.pause();
    socket.resetAndDestroy();
    await waitForNote(server, /^flood: closed/);
  });

  it('N-309 a client that does not read for Timeout is given up', { timeout: 20_000 }, async () => {
    const { socket } = await upgrade(server, '/node/flood');
    socket.on('error', () => {});
    socket.pause();
    // The tunnel of the test before was the first one.
    await waitFor('the end', () => server.accessLog().match(/GET \/node\/flood HTTP\/1\.1" 101/g)?.length === 2, 9000);
    socket.destroy();
  });

  it('N-310 an idle tunnel outlives every time limit for requests', { timeout: 20_000 }, async () => {
    const { socket } = await upgrade(server, '/node/echo');
    await new Promise((resolve) => setTimeout(resolve, 7000));
    expect(await echoes(socket, 1000)).toBe(true);
  });

  it('N-312 a request of HTTP/1.0 that asks for an upgrade is an ordinary one, as in Node', async () => {
    const client = await server.raw();
    await client.send(head('GET /node/echo HTTP/1.0', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: bytes'));
    expect((await client.readResponse()).status).toBe(200);
    client.close();
  });

  it('N-311 a request to upgrade can be answered as any other', async () => {
    await expect(upgrade(server, '/node/unknown')).rejects.toThrow('404 instead of 101');
  });
});

describe.skipIf(!['event', 'worker'].some((mpm) => (process.env.NWSGI_TEST_MPM ?? mpm).includes(mpm)))('WebSockets over HTTP/2', () => {
  const server = useServer(options('event'));

  it('N-320 an extended CONNECT carries 16 MiB both ways at once', { timeout: 60_000 }, async () => {
    const client = await server.http2(2);
    expect(await echoes(await connectStream(client, '/node/echo'), 16 * MEBIBYTE)).toBe(true);
    await waitFor('the access log', () => /"GET \/node\/echo HTTP\/2\.0" 101 /.test(server.accessLog()));
    client.close();
  });

  it('N-321 either side may close first', async () => {
    const client = await server.http2(2);
    const counted = await connectStream(client, '/node/count');
    counted.end('12345');
    expect(await readAll(counted)).toBe('received 5');
    const first = await connectStream(client, '/node/bye');
    expect(await readAll(first)).toBe('bye');
    first.end('late');
    await waitForNote(server, /^bye: closed/);
    expect(first.rstCode).toBe(0);
    client.close();
  });

  it('N-322 a stream that the client resets, or whose connection goes, is noticed', async () => {
    const client = await server.http2(2);
    const stream = await connectStream(client, '/node/idle');
    stream.on('error', () => {});
    stream.close(8);
    await waitFor('the end of the first', async () => (await notedBy(server)).noted.filter((note) => note === 'idle: closed').length === 1);
    await connectStream(client, '/node/idle').then((second) => second.on('error', () => {}));
    client.close();
    await waitFor('the end of the second', async () => (await notedBy(server)).noted.filter((note) => note === 'idle: closed').length === 2);
  });

  it('N-324 an idle stream outlives every time limit for requests', { timeout: 20_000 }, async () => {
    const client = await server.http2(2);
    const stream = await connectStream(client, '/node/echo');
    await new Promise((resolve) => setTimeout(resolve, 7000));
    expect(await echoes(stream, 1000)).toBe(true);
    client.close();
  });

  it('N-323 destroying the socket with an error resets the stream', async () => {
    const client = await server.http2(2);
    const stream = await connectStream(client, '/node/drop');
    stream.on('error', () => {});
    stream.resume();
    stream.write('x');
    await new Promise<void>((resolve) => stream.on('close', () => resolve()));
    expect(stream.rstCode).not.toBe(0);
    client.close();
  });
});

describe('tunnels and the life of the server', () => {
  it('N-330 a graceful restart ends a tunnel, whose application does not want to be told, when no request is awaited', { timeout: 60_000 }, async () => {
    await withServer(options('event'), async (server) => {
      const { socket } = await upgrade(server, '/node/echo');
      const end = closed(socket);
      socket.on('error', () => {});
      const since = performance.now();
      await server.graceful();
      await end;
      expect(performance.now() - since).toBeLessThan(8000);
      expect((await upgrade(server, '/node/echo')).socket.destroy().destroyed).toBe(true);
    });
  });

  it.each(['event', 'prefork'] as const)('N-331 a stop ends tunnels at once (%s)', { timeout: 30_000 }, async (mpm) => {
    await withServer(options(mpm), async (server) => {
      const { socket } = await upgrade(server, '/node/idle');
      const end = closed(socket);
      socket.on('error', () => {});
      socket.resume();
      await server.stop();
      await end;
    });
  });

  it('N-332 200 idle tunnels stay, and all of them work', { timeout: 60_000 }, async () => {
    await withServer(options('event', { threads: 220 }), async (server) => {
      const tunnels = await Promise.all(Array.from({ length: 200 }, () => upgrade(server, '/node/echo')));
      expect((await notedBy(server)).open).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      expect(await Promise.all(tunnels.map(({ socket }) => echoes(socket, 5000)))).toEqual(tunnels.map(() => true));
      await waitFor('the end of all', async () => (await notedBy(server)).open === 0);
    });
  });
});
