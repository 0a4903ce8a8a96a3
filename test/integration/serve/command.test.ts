// What `nwsgi` says when it cannot do what it was asked to: one line, and an exit code that tells the kind.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts, NwsgiServe, projectRoot, sleep, waitFor, withServe } from '../harness/index.js';

const command = join(projectRoot, 'dist', 'cli', 'main.js');
const fixtures = join(projectRoot, 'test', 'fixtures', 'apps');
const hello = join(fixtures, 'hello.mjs');

function nwsgi(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [command, ...args], { encoding: 'utf8', cwd: fixtures, timeout: 20_000 });
}

describe('nwsgi', () => {
  it('shows its version and its help', () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
    expect(nwsgi('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(nwsgi('--help').stdout).toMatch(/serve \[options\] <script>/);
    const { status, stdout } = nwsgi('serve', '--help');
    expect(status).toBe(0);
    for (const text of ['--processes <number>', '--fastcgi <address>', 'Signals: TERM']) expect(stdout).toContain(text);
  });

  it('is found by npx', () => {
    // npx links the program into its cache: a cache of the test's own, and links also where this machine's npm makes none.
    const cache = mkdtempSync(join(tmpdir(), 'nwsgi-npx-'));
    const env = { ...process.env, npm_config_cache: cache, npm_config_bin_links: 'true' };
    const { status, stdout, stderr } = spawnSync('npx', ['--no-install', 'nwsgi', '--version'], { encoding: 'utf8', cwd: projectRoot, env });
    rmSync(cache, { recursive: true, force: true });
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    [['serve', 'helo.mjs'], 1, /^nwsgi: NWSGI4303 there is no file \S+helo\.mjs\. Did you mean "hello\.mjs"\?\n$/],
    [['serve', '.'], 1, /^nwsgi: NWSGI4303 \S+ is no file\. Name the script/],
    [['serve', hello, '--http', 'unix:/nowhere/app.sock'], 1, /^nwsgi: NWSGI4305 unix:\/nowhere\/app\.sock cannot be listened on: the folder of the socket does not exist\n$/],
    [['serve', hello, '--http', `unix:${hello}`], 1, /^nwsgi: NWSGI4305 \S+ cannot be used: a file that is no socket is there, and it is not removed\n$/],
    [['serve', hello, '--http', '192.0.2.1:80'], 1, /^nwsgi: NWSGI4305 192\.0\.2\.1:80 cannot be listened on: this machine does not have that address\n$/],
    [['serve', hello, '--http', 'no.such.host.invalid:80'], 1, /^nwsgi: NWSGI4305 the name no\.such\.host\.invalid has no address\n$/],
    [['serve', hello, '--http=:0', '--error-log', '/nowhere/log'], 1, /^nwsgi: NWSGI4307 the log \/nowhere\/log cannot be written \(ENOENT\)\n$/],
    [['serve', hello, '--http=:0', '--pid-file', '/nowhere/pid'], 1, /^nwsgi: NWSGI4304 the process file \/nowhere\/pid cannot be written \(ENOENT\)\n$/],
    [['serve', hello, '--node', 'no-such-node'], 1, /^nwsgi: NWSGI4303 --node no-such-node: there is no such program in PATH\n$/],
    [['serve', hello, '--home', '/nowhere'], 1, /^nwsgi: NWSGI4303 --home \/nowhere is no folder\n$/],
    [['serve', hello, '--http', 'systemd'], 2, /^nwsgi: NWSGI4301 --http systemd: systemd passed no sockets\n$/],
    [['serve', hello, '--http', 'fd:0'], 2, /^nwsgi: NWSGI4301 --http "fd:0" names a standard stream/],
    [['serve', hello, '--http', ':1', '--http', '*:1'], 2, /^nwsgi: NWSGI4301 \*:1 is given twice\n$/],
    [['serve', hello, '--user', 'no-such-user'], 2, /^nwsgi: NWSGI4301 --user no-such-user: there is no such user\n$/],
    [['serve', hello, '--user', 'root'], 2, /^nwsgi: NWSGI4301 --user root: applications do not run as root/],
    [['serve', hello, '--socket-group', 'no-such-group'], 2, /there is no such group\n$/],
    [['serve', hello, '--processes', '3', '--max-processes', '2'], 2, /^nwsgi: NWSGI4301 --processes 3 is not between --min-processes \d and --max-processes 2\n$/],
    [['serve', hello, '--memory-soft-limit', '2G', '--memory-limit', '1G'], 2, /--memory-soft-limit 2G is more than --memory-limit 1G\n$/],
    [['serve', hello, '--threads', '0'], 2, /^nwsgi: NWSGI4301 --threads "0" is no number from 1 to 100000\n$/],
  ])('%j: exit code %i', (args, status, line) => {
    const result = nwsgi(...args);
    expect(result.stderr).toMatch(line);
    expect([result.status, result.stdout]).toEqual([status, '']);
  });

  it('reloads the server that a process file names, and nothing else', async () => {
    const server = new NwsgiServe({ apps: ['hello.mjs'], args: (s) => [`--http=127.0.0.1:${s.port}`, `--pid-file=${join(s.root, 'run', 'pid')}`] });
    await server.start();
    const file = join(server.root, 'run', 'pid');
    await waitFor('a worker', () => server.workers().length === 1);
    const [before] = server.workers();
    expect(nwsgi('reload', '--pid-file', file)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    await waitFor('a fresh worker alone', () => server.workers().length === 1 && server.workers()[0] !== before);
    expect((await server.get('/')).status).toBe(200);
    await server.stop();
    expect(nwsgi('reload', '--pid-file', file)).toMatchObject({ status: 1, stderr: expect.stringMatching(/^nwsgi: NWSGI4304 \S+ names no running process/) as string });
    expect(nwsgi('reload')).toMatchObject({ status: 2, stderr: expect.stringMatching(/NWSGI4301 .*--pid-file/) as string });
  });

  it('says that a port is in use', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    expect(nwsgi('serve', hello, '--http', `127.0.0.1:${port}`)).toMatchObject({ status: 1, stderr: `nwsgi: NWSGI4305 127.0.0.1:${port} cannot be listened on: another process listens there. Stop it, or use another address\n` });
    server.close();
  });
});

describe('an application that does not load', () => {
  it.each([
    ['throws-at-load.ts', /throws-at-load\.ts:\d+/, 'the setting DATABASE is missing'],
    ['syntax-error-cjs.cjs', /syntax-error-cjs\.cjs:\d+/, 'SyntaxError'],
    ['missing-import.mjs', /missing-import\.mjs/, 'NWSGI2102'],
  ])('%s: where and why, and exit code 3', async (app, place, why) => {
    const server = new NwsgiServe({ apps: [app] });
    await server.spawn();
    expect(await server.exit()).toBe(3);
    const said = server.output();
    expect(said).toMatch(place);
    expect(said).toContain(why);
    expect(said).toMatch(/\nnwsgi: NWSGI4308 \S+ does not load; the lines before this one say why\n$/);
    await server.assertClean();
    server.dispose();
  });

  it('is explained in the log, and the terminal names that', async () => {
    const server = new NwsgiServe({ apps: ['throws-at-load.ts'], args: (s) => [`--http=127.0.0.1:${s.port}`, `--error-log=${s.root}/logs/error.log`] });
    await server.spawn();
    expect(await server.exit()).toBe(3);
    const log = `${server.root}/logs/error.log`;
    expect(server.output()).toBe(`nwsgi: NWSGI4308 ${server.script} does not load; ${log} says why\n`);
    expect(readFileSync(log, 'utf8')).toMatch(/throws-at-load\.ts:\d+/);
    server.dispose();
  });

  it('is waited for with --error-page development', async () => {
    const server = new NwsgiServe({ args: (s) => [`--http=127.0.0.1:${s.port}`, '--error-page=development'] });
    server.writeApp('app.mjs', 'throw new Error("not yet");\n');
    await server.spawn();
    await server.expectOutput(/nwsgi: \S+ \S+app\.mjs does not load; waiting until it changes/);
    server.writeApp('app.mjs', readFileSync(hello, 'utf8'));
    await server.expectOutput(/^http:\/\/127\.0\.0\.1:\d+\/$/m, { milliseconds: 20_000 });
    expect((await server.get('/')).text).toBe('Hello from an ES module\n');
    await server.stop();
  });
});

describe('the terminal', () => {
  it('shows where what is served', async () => {
    await withServe({ apps: ['hello.mjs'], args: (s) => [`--http=127.0.0.1:${s.port}`, `--fastcgi=unix:${s.socket}`, '--processes=2', '--mount=/shop'] }, async (server) => {
      const lines = server.output().split('\n').filter((line) => !line.startsWith('['));
      expect(lines).toEqual([
        `http://127.0.0.1:${server.port}/shop/`,
        `fastcgi unix:${server.socket}`,
        `  application  ${server.script} at /shop`,
        expect.stringMatching(/^ {2}workers {6}2 × 256 requests, user \S+$/),
        `  node         ${process.version} (${process.execPath})`,
        expect.stringMatching(new RegExp(`^ {2}process {6}${server.pid}, nwsgi \\d`)),
        '  log          standard error',
        '',
      ]);
      expect((await server.get('/shop/x')).text).toBe('Hello from an ES module\n');
    });
  });

  it.each([
    ['gracefully at the first Ctrl-C', [0], 1000, 200],
    ['at once at the second', [0, 600], 20_000, undefined],
  ] as const)('stops %s', async (_, presses, milliseconds, status) => {
    const server = new NwsgiServe({ apps: ['faults/answers-slowly.mjs', 'faults/answer.mjs'] });
    const [port = 0] = await freePorts(1);
    // script(1) gives the command a terminal of its own, and passes on what is typed. The shell that it starts, whichever
    // that is, must not stay: it would get the signal, too.
    const line = ['exec', process.execPath, command, 'serve', server.script, `--http=127.0.0.1:${port}`].join(' ');
    const child = spawn('script', ['-qfec', line, join(server.root, 'typescript')], { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, TERM: 'dumb' } });
    let said = '';
    child.stdout.on('data', (text: Buffer) => (said += text.toString()));
    try {
      await waitFor(`the announcement; it said ${said}`, () => said.includes('process  '));
      const slow = fetch(`http://127.0.0.1:${port}/?${milliseconds}`).catch(() => undefined);
      await sleep(300);
      for (const pause of presses) {
        await sleep(pause);
        expect(child.exitCode).toBe(null);
        child.stdin.write('\x03');
      }
      await waitFor('the end', () => child.exitCode !== null, 8000);
      expect(child.exitCode).toBe(0);
      if (status !== undefined) expect((await slow)?.status).toBe(status);
    } finally {
      child.kill('SIGKILL');
      server.dispose();
    }
  });
});

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'nwsgi-command-'))));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the process file', () => {
  it('of a server that runs is respected, one of a dead process is not', () => {
    const file = join(folder, 'pid');
    writeFileSync(file, `${process.pid}\n`);
    expect(nwsgi('serve', hello, '--http=:0', '--pid-file', file)).toMatchObject({ status: 1, stderr: expect.stringContaining(`names process ${process.pid}, which is running`) as string });
    expect(readFileSync(file, 'utf8')).toBe(`${process.pid}\n`);
  });
});
