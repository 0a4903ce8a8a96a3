// Process groups in Apache's parent: who their processes are, what lies in the file system, and how they live with httpd.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HttpdServer, childProcesses, describeEachMpm, openDescriptors, processInfo, residentBytes, sessionProcesses, waitFor, withServer, type Options } from '../harness/index.js';

const root = process.getuid?.() === 0;
const id = (option: string, name: string) => Number(spawnSync('id', [option, name], { encoding: 'utf8' }).stdout);
const groupId = (name: string) => Number(spawnSync('getent', ['group', name], { encoding: 'utf8' }).stdout.split(':')[2]);

const source = `
export function application(environ, startResponse) {
  const { env } = process;
  const text = JSON.stringify({
    pid: process.pid, uid: process.getuid(), euid: process.geteuid(), gid: process.getgid(), groups: process.getgroups().sort((a, b) => a - b),
    umask: process.umask(), directory: process.cwd(), title: process.title, node: process.execPath, env,
  });
  startResponse('200 OK', [['content-type', 'application/json'], ['content-length', String(text.length)]]);
  return [text];
}
`;

interface Who {
  pid: number;
  uid: number;
  euid: number;
  gid: number;
  groups: number[];
  umask: number;
  directory: string;
  title: string;
  node: string;
  env: Record<string, string>;
}

/** A server with a group for each entry: its application is behind /name. */
const withGroups = (groups: Record<string, string>, more: Options = {}): Options => ({
  ...more,
  directives: (s) => {
    const script = s.writeApp('who.mjs', source);
    return Object.entries(groups).flatMap(([name, options]) => [
      `WSGIDaemonProcess ${name} ${options.replaceAll('ROOT', s.root)}`,
      `WSGIScriptAlias /${name} ${script} process-group=${name} application-group=who`,
    ]);
  },
});

const who = async (s: HttpdServer, name: string): Promise<Who> => {
  const response = await s.get(`/${name}`);
  expect(response.text).toMatch(/^\{/);
  return response.json() as Who;
};

/** Starts a server that is expected not to start; what it says. */
async function refusal(options: Options, prepare?: (s: HttpdServer) => void): Promise<string> {
  const server = new HttpdServer(options);
  try {
    prepare?.(server);
    await server.start();
    await server.stop();
  } catch (error) {
    return (error as Error).message;
  } finally {
    server.dispose();
  }
  throw new Error('the server has started');
}

/** An executable that answers --version like Node, and does something else as a supervisor. */
const fakeNode = (s: HttpdServer, name: string, otherwise: string, version = 'v20.1.0') => {
  const path = s.writeFile(name, `#!/bin/sh\ncase "$1" in --version) echo ${version} ;; *) ${otherwise} ;; esac\n`);
  chmodSync(path, 0o755);
  return path;
};

const sockets = (s: HttpdServer, folder = join(s.root, 'run', 'nwsgi')) =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.sock')).map((name) => join(folder, name)) : [];
const supervisor = (s: HttpdServer) => waitFor('one supervisor', () => (s.supervisors().length === 1 ? s.supervisors()[0] : undefined));

describe.runIf(root)('identity of a process group', () => {
  it('is what its options say, and what httpd is where they say nothing', async () => {
    const groups = {
      plain: '',
      full: 'user=nobody group=nogroup umask=0027 home=ROOT/apps lang=de_DE.UTF-8 locale=C.UTF-8 display-name=%{GROUP} env=GREETING="hello world" env=EMPTY=',
      listed: 'user=#65534 group=#33 supplementary-groups=www-data,nogroup display-name="my shop" cpu-priority=5 virtual-memory-limit=4G node-options=--disable-wasm-trap-handler',
    };
    await withServer(withGroups(groups, { env: { NODE_OPTIONS: '--no-warnings', NOTIFY_SOCKET: '/nowhere', KEPT: 'yes' } }), async (s) => {
      const plain = await who(s, 'plain');
      expect(plain).toMatchObject({ uid: id('-u', 'www-data'), euid: id('-u', 'www-data'), gid: id('-g', 'www-data') });
      expect(plain.env).toMatchObject({ KEPT: 'yes', USER: 'www-data', LOGNAME: 'www-data', LANG: 'C.UTF-8' });
      for (const name of ['NODE_OPTIONS', 'NOTIFY_SOCKET', 'GREETING']) expect(plain.env).not.toHaveProperty(name);

      const full = await who(s, 'full');
      expect(full).toMatchObject({ uid: id('-u', 'nobody'), gid: groupId('nogroup'), umask: 0o027, directory: join(s.root, 'apps'), title: '(wsgi:full)' });
      expect(full.env).toMatchObject({ LANG: 'de_DE.UTF-8', LC_ALL: 'C.UTF-8', GREETING: 'hello world', EMPTY: '', USER: 'nobody' });

      const listed = await who(s, 'listed');
      expect(listed).toMatchObject({ uid: 65534, gid: 33, groups: [groupId('www-data'), groupId('nogroup')].sort((a, b) => a - b), title: 'my shop' });
      const niceness = readFileSync(`/proc/${listed.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16];
      expect(niceness).toBe('5');
      expect(readFileSync(`/proc/${listed.pid}/limits`, 'utf8')).toMatch(/^Max address space +4294967296 +4294967296/m);

      for (const pid of [...s.supervisors(), ...s.workers()]) {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        expect(status).not.toMatch(/^Uid:.*\b0\b/m);
        expect(status).toMatch(/^CapEff:\s+0+$/m);
        expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('hello world');
      }
    });
  });

  it('has a file system of its own with chroot=', async () => {
    const jail = (s: HttpdServer) => join(s.root, 'jail');
    const take = (s: HttpdServer, path: string) => {
      mkdirSync(join(jail(s), dirname(path)), { recursive: true, mode: 0o755 });
      cpSync(realpathSync(path), join(jail(s), path), { recursive: true });
    };
    const options: Options = {
      directives: (s) => {
        const libraries = spawnSync('ldd', [process.execPath], { encoding: 'utf8' }).stdout.match(/\/\S+/g) ?? [];
        const parts = ['dist', 'package.json', 'node_modules/es-module-lexer', 'build/Release/nwsgi_bridge.node'].map((name) => join(s.home, name));
        for (const path of [process.execPath, ...libraries, ...parts]) take(s, path);
        mkdirSync(join(jail(s), 'dev'));
        expect(spawnSync('mknod', ['-m', '666', join(jail(s), 'dev/null'), 'c', '1', '3']).status).toBe(0);
        const script = s.writeFile('jail/srv/who.mjs', source.replace('umask:', `files: [environ.SCRIPT_FILENAME, environ.DOCUMENT_ROOT], root: (await import('node:fs')).readdirSync('/'), umask:`).replace('function application', 'async function application'));
        return [
          `WSGIDaemonProcess jailed chroot=${jail(s)} user=nobody home=/srv node=${process.execPath}`,
          `WSGIScriptAlias /who ${script} process-group=jailed`,
          `<Directory ${dirname(script)}>`,
          'Require all granted',
          '</Directory>',
        ];
      },
    };
    await withServer(options, async (s) => {
      const seen = (await who(s, 'who')) as Who & { files: string[]; root: string[] };
      expect(seen).toMatchObject({ uid: id('-u', 'nobody'), directory: '/srv', files: ['/srv/who.mjs', join(s.root, 'htdocs')] });
      expect(seen.root).toContain('srv');
      expect(seen.root).not.toContain('etc');
      expect(s.log()).not.toMatch(/nwsgi:(error|crit)/);
    });
  });

  it('has no descriptors of httpd', async () => {
    await withServer(withGroups({ one: 'user=nobody', two: '' }), async (s) => {
      await who(s, 'one');
      await who(s, 'two');
      const listening = new Set(
        readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1).map((line) => line.trim().split(/\s+/)).filter((f) => f[3] === '0A' && Number(`0x${f[1]?.split(':')[1]}`) === s.port).map((f) => `socket:[${f[9]}]`),
      );
      expect(listening.size).toBeGreaterThan(0);
      for (const pid of [...s.monitors(), ...s.supervisors(), ...s.workers()]) {
        const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        expect(targets.filter((target) => listening.has(target))).toEqual([]);
        expect(targets.filter((target) => target.endsWith('access.log'))).toEqual([]);
      }
      for (const pid of s.monitors()) expect(openDescriptors(pid)).toBeLessThanOrEqual(4);
    });
  });

  it.each([
    ['a folder that it cannot enter', 'user=nobody home=ROOT/closed', /NWSGI4047 process group "g" cannot start.*closed" cannot be entered by user "nobody": Permission denied/],
    ['a Node that is too old', 'node=ROOT/old-node', /NWSGI4044 .*old-node" is Node v16\.20\.0; Node 18 or newer/],
    ['a Node that fails', 'node=ROOT/bad-node', /NWSGI4043 .*bad-node" was asked for its version and ended with exit code 9/],
    ['a Node that is not its own to execute', 'user=nobody node=ROOT/closed/node', /NWSGI4043 .*cannot be executed by user "nobody".*node=/],
  ])('with %s keeps httpd from starting, and the log says why', async (_, options, message) => {
    const output = await refusal(withGroups({ g: options }), (s) => {
      const folder = join(s.root, 'closed');
      mkdirSync(folder, { mode: 0o700 });
      fakeNode(s, 'old-node', 'exit 1', 'v16.20.0');
      const bad = s.writeFile('bad-node', '#!/bin/sh\nexit 9\n');
      chmodSync(bad, 0o755);
      fakeNode(s, 'closed/node', 'exit 1');
    });
    expect(output).toMatch(message);
  });
});

describe.runIf(root)('sockets of process groups', () => {
  it('belong to the user of httpd, and no other user can connect', async () => {
    await withServer(withGroups({ one: 'user=nobody', two: 'socket-user=nobody' }), async (s) => {
      const folder = join(s.root, 'run', 'nwsgi');
      expect(statSync(folder)).toMatchObject({ uid: 0 });
      expect(statSync(folder).mode & 0o7777).toBe(0o711);
      const owners = sockets(s).map((path) => {
        const { mode, uid } = lstatSync(path);
        expect(mode & 0o777).toBe(0o600);
        return uid;
      });
      expect(owners.sort((a, b) => a - b)).toEqual([id('-u', 'www-data'), id('-u', 'nobody')]);
      const path = sockets(s).find((socket) => lstatSync(socket).uid === id('-u', 'www-data')) as string;
      const connect = (user: string) =>
        spawnSync('setpriv', ['--reuid', user, '--regid', 'nogroup', '--clear-groups', process.execPath, '-e', `require('net').connect(${JSON.stringify(path)}, () => { console.log('connected'); process.exit(); }).on('error', (e) => console.log(e.code))`], { encoding: 'utf8', cwd: '/' }).stdout.trim();
      expect(connect('nobody')).toBe('EACCES');
      expect(connect('www-data')).toBe('connected');
      const list = spawnSync('setpriv', ['--reuid', 'nobody', '--regid', 'nogroup', '--clear-groups', 'ls', folder], { encoding: 'utf8' });
      expect(list.stderr).toMatch(/Permission denied/);
    });
  });

  it('are gone when httpd has stopped, and those of a killed one when the next one starts', async () => {
    const server = new HttpdServer(withGroups({ one: '' }));
    try {
      await server.start();
      const [left] = sockets(server);
      await server.kill();
      expect(sockets(server)).toEqual([left]);
      await server.start();
      await who(server, 'one'); // it listens before it looks at its groups
      expect(sockets(server)).toHaveLength(1);
      expect(sockets(server)).not.toContain(left);
      const { root: folder } = server;
      server.dispose = () => {};
      await server.stop();
      expect(readdirSync(join(folder, 'run', 'nwsgi'))).toEqual([]);
    } finally {
      HttpdServer.prototype.dispose.call(server);
    }
  });

  it('lie where WSGISocketPrefix says', async () => {
    const options = withGroups({ one: '' });
    const directives = options.directives as (s: HttpdServer) => string[];
    await withServer({ ...options, directives: (s) => ['WSGISocketPrefix run/elsewhere', ...directives(s)] }, async (s) => {
      expect(sockets(s)).toEqual([]);
      expect(sockets(s, join(s.root, 'run', 'elsewhere'))).toHaveLength(1);
      await who(s, 'one');
    });
  });

  it.each<[string, RegExp, (folder: string, s: HttpdServer) => void]>([
    ['a symbolic link', /it is a symbolic link/, (folder, s) => symlinkSync(join(s.root, 'apps'), folder)],
    ['a file', /it is no folder/, (folder, s) => void s.writeFile('run/nwsgi', '')],
    ['a folder of another user', /it belongs to user #33/, (folder) => (mkdirSync(folder), chownSync(folder, 33, 33))],
    ['a folder that others can write', /others than its owner can write it/, (folder) => (mkdirSync(folder), chmodSync(folder, 0o777))],
    ['a folder that nobody can enter', /chmod 711/, (folder) => (mkdirSync(folder), chmodSync(folder, 0o700))],
    ['below a folder that everybody can write', /everybody can write ".*run"/, (folder) => chmodSync(join(folder, '..'), 0o777)],
  ])('are not put into %s', async (_, message, prepare) => {
    const output = await refusal(withGroups({ one: '' }), (s) => prepare(join(s.root, 'run', 'nwsgi'), s));
    expect(output).toMatch(/NWSGI4040 .*run\/nwsgi" cannot hold the sockets/);
    expect(output).toMatch(message);
  });

  it('need a path that a socket can have', async () => {
    const output = await refusal(withGroups({ one: '' }, {}), (s) => {
      const { directives } = s.options as { directives: (s: HttpdServer) => string[] };
      (s as { options: Options }).options = { ...s.options, directives: () => [`WSGISocketPrefix run/${'x'.repeat(100)}`, ...directives(s)] };
    });
    expect(output).toMatch(/NWSGI4041 .*too long.*WSGISocketPrefix/);
  });
});

describe('a supervisor', () => {
  it('that is killed is replaced, and requests wait for the new one', async () => {
    await withServer(withGroups({ one: '' }), async (s) => {
      const before = await who(s, 'one');
      const old = await supervisor(s);
      const since = s.mark();
      process.kill(old, 'SIGKILL');
      await s.expectLog(/NWSGI4051 process group "one": its supervisor has ended by signal 9 \(Killed\).*starts now/, { since });
      const after = await who(s, 'one');
      expect(after.pid).not.toBe(before.pid);
      expect(await supervisor(s)).not.toBe(old);
      await waitFor('the old worker to leave', () => processInfo(before.pid) === undefined, 20_000);
    });
  });

  it('that ends again and again is started after longer and longer pauses, and httpd goes on', async () => {
    // 15 would stop httpd if it came from a child of its own.
    const options: Options = {
      directives: (s) => [`WSGIDaemonProcess bad node=${fakeNode(s, 'bad-node', 'exit 15')}`, `WSGIDaemonProcess worse node=${fakeNode(s, 'worse-node', 'kill -ABRT $$')}`],
    };
    await withServer(options, async (s) => {
      for (const pause of ['now', 'in 1 s', 'in 2 s']) {
        await s.expectLog(new RegExp(`NWSGI4051 process group "bad": its supervisor has ended with exit code 1; .* starts ${pause}`), { milliseconds: 10_000 });
        await s.expectLog(new RegExp(`NWSGI4051 process group "worse": its supervisor has ended by signal 6 .* starts ${pause}`), { milliseconds: 10_000 });
      }
      const times = [...s.log().matchAll(/\[\w+ \w+ \d+ [\d:]*:([\d.]+) \d+\] .*NWSGI4051 process group "bad"/g)].length;
      expect(times).toBeLessThanOrEqual(4);
      expect((await s.get('/')).status).toBeLessThan(500);
    });
  });

  it('that cannot work makes requests fail at once, with Retry-After', async () => {
    const options: Options = {
      directives: (s) => [
        `WSGIDaemonProcess bad node=${fakeNode(s, 'bad-node', 'exit 78')}`,
        `WSGIScriptAlias /bad ${s.writeApp('who.mjs', source)} process-group=bad`,
      ],
    };
    await withServer(options, async (s) => {
      const begin = performance.now();
      for (let i = 0; i < 2; i++) {
        const response = await s.get('/bad');
        expect(response.status).toBe(503);
        expect(Number(response.headers['retry-after'])).toBeGreaterThan(10);
      }
      expect(performance.now() - begin).toBeLessThan(5000);
      expect(s.log()).toMatch(/NWSGI4104 process group "bad" has no supervisor: it keeps ending/);
    });
  });

  it('that is killed while a request waits for a worker leaves that to the next one', async () => {
    const options: Options = {
      directives: (s) => [
        'WSGIDaemonProcess one',
        `WSGIScriptAlias /slow ${s.writeApp('loads-slowly.mjs', `await new Promise((done) => setTimeout(done, 1500));
${source}`)} process-group=one`,
      ],
    };
    await withServer(options, async (s) => {
      const answer = s.get('/slow');
      await waitFor('the worker to start', () => s.workers().length === 1);
      process.kill(await supervisor(s), 'SIGKILL');
      expect((await answer).status).toBe(200);
    });
  });

  it('that is asked to end by the operator is started anew at once', async () => {
    await withServer(withGroups({ one: '' }), async (s) => {
      await who(s, 'one');
      const old = await supervisor(s);
      const since = s.mark();
      process.kill(old, 'SIGTERM');
      await s.expectLog(/nwsgi:notice.*NWSGI4051 process group "one": its supervisor has ended; .*starts now/, { since });
      await who(s, 'one');
      expect(await supervisor(s)).not.toBe(old);
    });
  });
});

describeEachMpm('process groups that have not changed', (mpm) => {
  it.each(['graceful', 'restart'] as const)('are kept by %s, and load their code anew', async (kind) => {
    await withServer(withGroups({ one: '' }, { mpm }), async (s) => {
      const before = await who(s, 'one');
      const old = await supervisor(s);
      const path = sockets(s);
      s.writeApp('who.mjs', source.replace('umask: process.umask()', 'umask: -1'));
      await s[kind]();
      await waitFor('the new code', async () => (await who(s, 'one')).umask === -1);
      expect((await who(s, 'one')).pid).not.toBe(before.pid);
      expect(await supervisor(s)).toBe(old);
      expect(sockets(s)).toEqual(path);
      await waitFor('the old worker to leave', () => processInfo(before.pid) === undefined);
    });
  });
});

describe('process groups in a restart', () => {
  it('write to the new error log afterwards', async () => {
    await withServer(withGroups({ one: '' }), async (s) => {
      const before = await who(s, 'one');
      const old = await supervisor(s);
      renameSync(s.logFile, `${s.logFile}.1`);
      await s.graceful();
      await s.expectLog(/NWSGI3011/);
      await waitFor('the new worker', async () => (await who(s, 'one')).pid !== before.pid);
      for (const pid of [old, ...s.workers(), ...s.monitors()]) {
        const logs = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)).filter((target) => target.includes('error.log'));
        for (const target of logs) expect(target).toBe(s.logFile);
      }
    });
  });

  it('that have changed serve old requests to their end beside the new ones; removed ones go', async () => {
    let options = 'env=VERSION=1';
    let second: string[] = ['WSGIDaemonProcess second'];
    const slowly = `export default async (req, res) => {
      console.log('begun'); res.write('begin '); await new Promise((done) => setTimeout(done, 2500)); res.end(process.env.VERSION); };`;
    const server: Options = {
      room: 1,
      directives: (s) => [
        `WSGIDaemonProcess one ${options}`,
        ...second,
        `WSGIScriptAlias /one ${s.writeApp('who.mjs', source)} process-group=one application-group=who`,
        `WSGIScriptAlias /slow ${s.writeApp('slowly.mjs', slowly)} process-group=one application-group=slow`,
      ],
    };
    await withServer(server, async (s) => {
      expect((await who(s, 'one')).env).toMatchObject({ VERSION: '1' });
      const old = s.supervisors();
      expect(old).toHaveLength(2);
      const before = sockets(s);
      const slow = s.get('/slow');
      await s.expectLog(/begun/);
      options = 'env=VERSION=2';
      second = [];
      s.writeConfiguration();
      await s.graceful();
      expect((await who(s, 'one')).env).toMatchObject({ VERSION: '2' });
      expect(await slow).toMatchObject({ complete: true, text: 'begin 1' });
      await waitFor('the old supervisors to leave', () => s.supervisors().length === 1 && !old.includes(s.supervisors()[0] as number), 15_000);
      await waitFor('the old sockets to go', () => sockets(s).length === 1);
      expect(before).not.toContain(sockets(s)[0]);
      expect(s.log()).toMatch(/NWSGI4055 process group "second" has changed or is gone/);
    });
  });

  it('are declared in a running server, and one that cannot start does not end it', async () => {
    let lines: (s: HttpdServer) => string[] = () => [];
    await withServer({ directives: (s) => lines(s) }, async (s) => {
      expect(s.supervisors()).toEqual([]);
      lines = (server) => [`WSGIDaemonProcess bad node=${fakeNode(server, 'bad-node', 'exit 1', 'v12.0.0')}`, ...((withGroups({ one: '' }).directives as (s: HttpdServer) => string[])(server))];
      s.writeConfiguration();
      await s.graceful();
      await s.expectLog(/NWSGI4044 process group "bad"/);
      await waitFor('the group', async () => (await s.get('/one')).status === 200);
    });
  });

  it('leave nothing behind in the parent: descriptors, memory, processes', async () => {
    await withServer(withGroups({ one: '', two: 'env=A=1' }), async (s) => {
      await who(s, 'one');
      for (let i = 0; i < 3; i++) await s.graceful();
      const descriptors = openDescriptors(s.pid);
      const memory = residentBytes(s.pid);
      for (let i = 0; i < 15; i++) await s.graceful();
      await who(s, 'two');
      expect(openDescriptors(s.pid)).toBeLessThanOrEqual(descriptors);
      expect(residentBytes(s.pid)).toBeLessThan(memory + 2 * 1024 * 1024);
      expect(s.monitors()).toHaveLength(2);
      expect(s.supervisors()).toHaveLength(2);
      expect(sockets(s)).toHaveLength(2);
    });
  }, 120_000);
});

describeEachMpm('the end of httpd', (mpm) => {
  it.each([
    ['SIGTERM', /process group 'one': it stops at once/],
    ['SIGWINCH', /process group 'one': it stops; requests may go on/],
  ] as const)('by %s ends all processes of its groups first', async (name, how) => {
    await withServer(withGroups({ one: 'processes=2', two: '' }, { mpm }), async (s) => {
      await who(s, 'one');
      await who(s, 'two');
      const all = [...s.monitors(), ...s.supervisors(), ...s.workers()];
      expect(all.length).toBeGreaterThanOrEqual(7);
      const begin = performance.now();
      process.kill(s.pid, name);
      await waitFor('httpd to end', () => !s.running, 10_000);
      expect(performance.now() - begin).toBeLessThan(6000);
      expect(all.filter((pid) => processInfo(pid) !== undefined)).toEqual([]);
      expect(s.log()).not.toMatch(/NWSGI4051|NWSGI4052/);
      // Of httpd's own making: a prefork parent that has stopped gracefully believes that it was told to stop at once.
      if (mpm !== 'prefork') expect(s.log()).toMatch(how);
    });
  });
});

describe('the end of httpd', () => {
  it('kills a group that does not end', async () => {
    const options: Options = { directives: (s) => [`WSGIDaemonProcess stubborn shutdown-timeout=1 node=${fakeNode(s, 'stubborn-node', 'trap "" TERM QUIT INT; while :; do sleep 0.2; done')}`] };
    await withServer(options, async (s) => {
      const pid = await supervisor(s);
      const begin = performance.now();
      process.kill(s.pid, 'SIGTERM');
      await waitFor('httpd to end', () => !s.running, 10_000);
      expect(performance.now() - begin).toBeGreaterThan(1500);
      expect(processInfo(pid)?.state ?? 'Z').toBe('Z');
      expect(s.log()).toMatch(/NWSGI4052 process group "stubborn"/);
    });
  });

  it('by SIGKILL of all of its processes leaves nothing of its groups', async () => {
    const server = new HttpdServer(withGroups({ one: '', two: '' }));
    try {
      await server.start();
      await who(server, 'one');
      const pid = server.pid;
      const all = [...server.monitors(), ...server.supervisors(), ...server.workers()];
      const children = server.children();
      process.kill(pid, 'SIGKILL');
      for (const child of children) process.kill(child, 'SIGKILL');
      await waitFor('the groups to end', () => all.every((member) => processInfo(member) === undefined), 10_000);
      expect(childProcesses(pid)).toEqual([]);
      expect(sessionProcesses(pid)).toEqual([]);
    } finally {
      await server.kill();
      server.dispose();
    }
  });
});
