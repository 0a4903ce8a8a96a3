// The sockets of `nwsgi serve`: who may connect, what is replaced and what is not, what systemd opened.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { freePorts, isListening, NwsgiServe, openDescriptors, processInfo, waitFor, withServe } from '../harness/index.js';

const activate = join(dirname(fileURLToPath(import.meta.url)), '../support/activate.pl');
const isRoot = process.getuid?.() === 0;

/** A request over a unix socket. */
function getUnix(path: string, url = '/'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath: path, path: url, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
  });
}

const unixHttp = (s: NwsgiServe, ...args: string[]): string[] => [`--http=unix:${s.socket}`, ...args];
const identityOf = async (s: NwsgiServe): Promise<string> => ((await s.get('/')).json() as { instance: string }).instance;
const hello = 'Hello from an ES module\n';

describe('a unix socket', () => {
  it('has the mode 0660 and belongs to the user of the application; its file goes with the server', async () => {
    const identity = childIdentity();
    const server = await new NwsgiServe({ apps: ['hello.mjs'], args: (s) => unixHttp(s) }).start();
    const { mode, uid, gid } = statSync(server.socket);
    expect((mode & 0o777).toString(8)).toBe('660');
    if (identity !== null) expect([uid, gid]).toEqual([identity.uid, identity.gid]);
    expect((await getUnix(server.socket)).text).toBe(hello);
    // stop() finds out whether the file is left.
    await server.stop();
  });

  it('has the mode that was asked for, and a relative path begins in the current folder', async () => {
    await withServe({ apps: ['hello.mjs'], args: () => ['--http=unix:run/app.sock', '--socket-mode=0600', '--umask=0077'] }, async (server) => {
      expect((statSync(server.socket).mode & 0o777).toString(8)).toBe('600');
      expect((await getUnix(server.socket)).text).toBe(hello);
    });
  });

  it.skipIf(!isRoot)('keeps out whoever is not in its group', async () => {
    await withServe({ apps: ['hello.mjs'], args: (s) => unixHttp(s, '--socket-group=daemon', '--socket-user=www-data') }, async (server) => {
      const connect = (uid: string, gid: string) =>
        spawnSync('perl', ['-e', 'use Socket; ($(, $)) = ($ARGV[1], "$ARGV[1] $ARGV[1]"); ($<, $>) = ($ARGV[0], $ARGV[0]); socket(my $s, PF_UNIX, SOCK_STREAM, 0); print connect($s, pack_sockaddr_un($ARGV[2])) ? "in" : "$!"', uid, gid, server.socket], { encoding: 'utf8' }).stdout;
      expect(connect('65534', '65534')).toBe('Permission denied');
      expect(connect('65534', '1')).toBe('in');
      expect(connect('33', '65534')).toBe('in');
    });
  });

  it('replaces a file that nobody listens on', async () => {
    await withServe({ apps: ['hello.mjs'], args: (s) => unixHttp(s) }, async (server) => {
      server.signal('SIGKILL');
      await server.exit();
      await server.kill();
      expect(existsSync(server.socket)).toBe(true);
      await server.start();
      expect((await getUnix(server.socket)).text).toBe(hello);
    });
  });

  it('of a server that runs is left alone', async () => {
    await withServe({ apps: ['hello.mjs'], args: (s) => unixHttp(s) }, async (first) => {
      const second = new NwsgiServe({ apps: ['hello.mjs'], args: () => [`--http=unix:${first.socket}`] });
      await second.spawn();
      expect(await second.exit()).toBe(1);
      expect(second.output()).toBe(`nwsgi: NWSGI4305 unix:${first.socket} is in use: another process listens on it. Stop that server, or use another path\n`);
      second.dispose();
      expect((await getUnix(first.socket)).text).toBe(hello);
    });
  });

  it('that somebody else put there in the meantime is not removed', async () => {
    const server = await new NwsgiServe({ apps: ['hello.mjs'], args: (s) => unixHttp(s) }).start();
    const { socket } = server;
    spawnSync('rm', [socket]);
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(socket, resolve));
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    expect(existsSync(socket)).toBe(true);
    await new Promise((resolve) => other.close(resolve));
    server.dispose();
  });
});

describe('several addresses', () => {
  it('are served by the same workers; a port of 0 is any', async () => {
    const [port = 0] = await freePorts(1);
    await withServe({ apps: ['identity.mjs'], args: (s) => [`--http=127.0.0.1:${port}`, '--http=localhost:0', `--http=unix:${s.socket}`, `--fastcgi=unix:${s.root}/run/fcgi.sock`] }, async (server) => {
      const other = /http:\/\/localhost:(\d+)\//.exec(server.output())?.[1];
      const seen = await Promise.all([fetch(`http://127.0.0.1:${port}/`), fetch(`http://localhost:${other}/`)].map(async (answer) => ((await (await answer).json()) as { pid: number }).pid));
      seen.push((JSON.parse((await getUnix(server.socket)).text) as { pid: number }).pid);
      expect(new Set(seen)).toEqual(new Set(server.workers()));
      expect(await isListening(port)).toBe(true);
    });
    expect(await isListening(port)).toBe(false);
  });

  it('are all free again when one of them is in use', async () => {
    const [free = 0] = await freePorts(1);
    const taken = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const server = new NwsgiServe({ apps: ['hello.mjs'], args: (s) => [`--http=127.0.0.1:${free}`, `--http=unix:${s.socket}`, `--http=127.0.0.1:${(taken.address() as net.AddressInfo).port}`] });
    await server.spawn();
    expect(await server.exit()).toBe(1);
    expect(existsSync(server.socket)).toBe(false);
    taken.close();
    server.dispose();
  });
});

describe('socket activation', () => {
  const activated = (sockets: (s: NwsgiServe) => string[], args: string[], env: Record<string, string> = {}): NwsgiServe =>
    new NwsgiServe({ apps: ['identity.mjs'], args: () => args, env, launcher: (s) => ['perl', activate, ...sockets(s), '--'] });

  it('takes what it gets: FastCGI on unix sockets, HTTP on others; the files are not its own', async () => {
    const server = activated((s) => [`unix:${s.socket}`, `tcp:${s.port}`], []);
    await server.start();
    expect(server.output()).toMatch(new RegExp(`^fastcgi unix:${server.socket}\nhttp://127\\.0\\.0\\.1:${server.port}/\n`));
    expect((await server.get('/')).status).toBe(200);
    // Workers do not think that sockets were handed to them.
    expect(server.workers()).toHaveLength(1);
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    expect(existsSync(server.socket)).toBe(true);
    server.dispose();
  });

  it('finds sockets by their names', async () => {
    const server = activated((s) => [`unix:${s.socket}`, `tcp:${s.port}`], ['--http=systemd:web', '--http=systemd:plain'], { LISTEN_FDNAMES: 'web:plain' });
    await server.start();
    expect((await getUnix(server.socket)).status).toBe(200);
    expect((await server.get('/')).status).toBe(200);
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    server.dispose();
  });

  it('survives SIGUSR2: a successor finds the same sockets under the same names', async () => {
    const server = activated((s) => [`unix:${s.socket}`, `tcp:${s.port}`], ['--http=systemd', '--http=127.0.0.1:0'], { LISTEN_FDNAMES: 'plain:web' });
    await server.start();
    const before = await identityOf(server);
    server.signal('SIGUSR2');
    const successor = Number((await server.expectOutput(/NWSGI4324 process (\d+) serves beside/))[1]);
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    expect(await identityOf(server)).not.toBe(before);
    expect((await getUnix(server.socket)).status).toBe(200);
    process.kill(successor, 'SIGTERM');
    await waitFor('its end', () => processInfo(successor) === undefined || processInfo(successor)?.state === 'Z');
    expect(existsSync(server.socket)).toBe(true);
    spawnSync('rm', [server.socket]);
    await server.assertClean();
    server.dispose();
  });

  it('refuses a name that is not there, and sockets that no option takes', async () => {
    const absent = activated((s) => [`tcp:${s.port}`], ['--http=systemd:wbe'], { LISTEN_FDNAMES: 'web' });
    await absent.spawn();
    expect(await absent.exit()).toBe(2);
    expect(absent.output()).toBe('nwsgi: NWSGI4301 --http systemd:wbe: systemd passed no such socket; there are: web\n');
    absent.dispose();
    const unused = activated((s) => [`tcp:${s.port}`, `unix:${s.socket}`], ['--http=systemd:web'], { LISTEN_FDNAMES: 'web:other' });
    await unused.spawn();
    expect(await unused.exit()).toBe(2);
    expect(unused.output()).toBe('nwsgi: NWSGI4301 systemd passed sockets that no --http or --fastcgi takes: other\n');
    unused.dispose();
  });

  it('says why sockets for another process are not used', async () => {
    const server = activated((s) => [`tcp:${s.port}`], ['--http=127.0.0.1:0'], { LISTEN_PID: '1' });
    await server.start();
    expect(server.output()).toMatch(/NWSGI4321 the sockets of LISTEN_FDS are for process 1, and this one is \d+: start nwsgi itself/);
    await server.stop();
  });
});

describe('descriptors', () => {
  it('of the supervisor do not grow with reloads', async () => {
    await withServe({ apps: ['hello.mjs'], args: (s) => [...unixHttp(s), `--error-log=${s.root}/logs/error.log`] }, async (server) => {
      const log = join(server.root, 'logs', 'error.log');
      const before = openDescriptors(server.pid);
      for (let i = 0; i < 3; i++) {
        const old = server.workers();
        server.signal('SIGHUP');
        await expect.poll(() => server.workers().some((pid) => old.includes(pid)), { timeout: 10_000 }).toBe(false);
        server.signal('SIGUSR1');
      }
      await expect.poll(() => openDescriptors(server.pid), { timeout: 5000 }).toBeLessThanOrEqual(before);
      expect(existsSync(log)).toBe(true);
      writeFileSync(log, '');
    });
  });
});
