/** What the command line takes: values with units, addresses, options, what is said about bad ones. */
import { describe, expect, it } from 'vitest';
import { takeActivation } from '../../src/cli/activation.js';
import { announcement, statusLine } from '../../src/cli/announcement.js';
import { CliError } from '../../src/cli/failure.js';
import { listenAddress, showAddress } from '../../src/cli/listen-address.js';
import { ServiceManager } from '../../src/cli/notify.js';
import { describeFailure, runProgram } from '../../src/cli/program.js';
import { ELSEWHERE, groups, optionsHelp, type ServeOptions } from '../../src/cli/serve-options.js';
import { mostSimilar } from '../../src/cli/similar.js';
import { assignment, BadValue, count, duration, mode, mountPoint, nodeOptions, oneOf, percent, showDuration, showSize, size, sizeFrom } from '../../src/cli/values.js';

describe('durations', () => {
  it.each([
    ['30', 30_000],
    ['30s', 30_000],
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['2min', 120_000],
    ['1h', 3_600_000],
    ['1D', 86_400_000],
    ['10 s', 10_000],
    ['0', 0],
    ['off', 0],
  ])('%s', (text, milliseconds) => expect(duration(text)).toBe(milliseconds));

  it.each(['', 's', '-1s', '1x', '1,5s', '1e3', '400d', '0.1ms', '30 s s'])('not %j', (text) => expect(() => duration(text)).toThrow(BadValue));

  it.each([
    [90_000, '90s'],
    [120_000, '2m'],
    [1500, '1.5s'],
    [1250, '1250ms'],
    [86_400_000, '1d'],
  ])('%i is shown as %s', (milliseconds, text) => expect(showDuration(milliseconds)).toBe(text));
});

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['64K', 65_536],
    ['512M', 512 * 1024 ** 2],
    ['512MB', 512 * 1024 ** 2],
    ['512MiB', 512 * 1024 ** 2],
    ['1.5g', 1.5 * 1024 ** 3],
    ['1T', 1024 ** 4],
    ['100b', 100],
    ['off', 0],
  ])('%s', (text, bytes) => expect(size(text)).toBe(bytes));

  it.each(['', 'M', '-1', '1X', '1MM', '1,5G'])('not %j', (text) => expect(() => size(text)).toThrow(BadValue));

  it('have lower bounds, but may be off', () => {
    expect(sizeFrom(1024)('0')).toBe(0);
    expect(() => sizeFrom(32 * 1024 ** 2)('1M')).toThrow('is too small: 32M at least, or 0 for none');
    expect(showSize(1.5 * 1024 ** 3)).toBe('1.5G');
  });
});

describe('other values', () => {
  it('are read or refused', () => {
    expect(count(1, 256)('4')).toBe(4);
    expect(() => count(1, 256)('0')).toThrow('is no number from 1 to 256');
    expect(() => count(0)('4.5')).toThrow('is no number of 0 or more');
    expect(percent('10%')).toBe(10);
    expect(() => percent('101')).toThrow(BadValue);
    expect(mode('0660')).toBe(0o660);
    expect(mode('600')).toBe(0o600);
    expect(() => mode('999')).toThrow(BadValue);
    expect(oneOf('wsgi', 'node')('Node')).toBe('node');
    expect(() => oneOf('production', 'development')('developement')).toThrow('is not one of production, development. Did you mean "development"?');
    expect(assignment('A=b=c')).toEqual(['A', 'b=c']);
    for (const text of ['A', '=b', '1A=b', 'NODE_OPTIONS=--inspect', 'NODE_CHANNEL_FD=3']) expect(() => assignment(text)).toThrow(BadValue);
    expect(nodeOptions(' --max-old-space-size=512  --enable-source-maps ')).toEqual(['--max-old-space-size=512', '--enable-source-maps']);
    expect(() => nodeOptions('--inspect-brk')).toThrow('would not serve');
    expect(() => nodeOptions('--max-old-space-size 512')).toThrow('"512"');
    expect(['/', '/shop', '/shop/'].map(mountPoint)).toEqual(['', '/shop', '/shop']);
    expect(() => mountPoint('shop')).toThrow(BadValue);
    expect(mostSimilar('graceful-timout', ['request-timeout', 'graceful-timeout'])).toBe('graceful-timeout');
    expect(mostSimilar('xyz', ['request-timeout'])).toBeUndefined();
  });
});

describe('addresses', () => {
  it.each([
    ['unix:/run/app.sock', 'unix:/run/app.sock'],
    ['unix:///run/app.sock', 'unix:/run/app.sock'],
    ['unix:app.sock', 'unix:/srv/app.sock'],
    ['127.0.0.1:8000', '127.0.0.1:8000'],
    ['[::1]:8000', '[::1]:8000'],
    [':8000', '*:8000'],
    ['*:0', '*:0'],
    ['localhost:80', 'localhost:80'],
    ['fd:3', 'fd:3'],
    ['fd://4', 'fd:4'],
    ['systemd', 'systemd'],
    ['systemd:web', 'systemd:web'],
  ])('%s', (text, shown) => expect(showAddress(listenAddress(text, '/srv'))).toBe(shown));

  it.each([
    ['8000', 'has no port'],
    ['localhost', 'has no port'],
    ['::1:8000', 'without brackets'],
    ['127.0.0.1:65536', 'ports go from 0 to 65535'],
    ['[1.2.3.4]:80', 'no IPv6 address in the brackets'],
    ['/run/app.sock', 'did you mean "unix:/run/app.sock"?'],
    ['unix:', 'has no path'],
    ['unix:@app', 'is abstract'],
    [`unix:/${'x'.repeat(120)}`, '107 bytes'],
    ['fd:1', 'standard stream'],
    ['http://localhost:80', 'has a path'],
    ['a b', 'is no address'],
  ])('not %s', (text, message) => expect(() => listenAddress(text, '/srv')).toThrow(message));
});

describe('the command line', () => {
  const run = async (...argv: string[]): Promise<{ script: string; options: ServeOptions }> => {
    let called: { script: string; options: ServeOptions } | undefined;
    await runProgram(argv, '1.2.3', {
      serve: (script, options) => {
        called = { script, options };
        return Promise.resolve(0);
      },
      reload: () => Promise.reject(new Error('serve was asked for')),
    });
    if (called === undefined) throw new Error('serve was not called');
    return called;
  };

  it('gives the options their defaults, those of WSGIDaemonProcess', async () => {
    const { script, options } = await run('serve', 'app.ts');
    expect(script).toBe('app.ts');
    expect(options).toMatchObject({ http: [], fastcgi: [], maximumRequests: 0, maximumRequestsJitter: 10, requestTimeout: 0, interruptTimeout: 2000, deadlockTimeout: 300_000, startupTimeout: 60_000, gracefulTimeout: 15_000, shutdownTimeout: 5000, socketMode: 0o660, listenBacklog: 1024, reload: true, errorPage: 'production', mount: '', env: [], nodeOptions: [] });
    expect(options.processes).toBeUndefined();
    expect(options.threads).toBeUndefined();
  });

  it('collects what may be repeated', async () => {
    const { options } = await run('serve', '--http', ':1', 'app.ts', '--http=:2', '--fastcgi', 'unix:/a', '--env', 'A=1', '--env', 'B=x=y', '--node-options', '--a --b', '--node-options=--c', '--no-reload');
    expect(options).toMatchObject({ http: [':1', ':2'], fastcgi: ['unix:/a'], env: [['A', '1'], ['B', 'x=y']], nodeOptions: ['--a', '--b', '--c'], reload: false });
  });

  it.each([
    [['serve'], "missing required argument 'script'."],
    [[], 'no command was given. The commands are: serve, reload. See nwsgi --help'],
    [['serv', 'x'], "unknown command 'serv'. Did you mean serve?"],
    [['serve', 'x', '--proceses', '4'], "unknown option '--proceses'. Did you mean --processes?"],
    [['serve', 'x', '--threads', 'many'], '--threads "many" is no number from 1 to 100000'],
    [['serve', 'x', '--request-timeout'], "option '--request-timeout <duration>' argument missing."],
    [['serve', 'x', 'y'], "too many arguments for 'serve'. Expected 1 argument but got 2."],
    [['serve', 'x', '--chroot', '/'], "--chroot is for Apache's WSGIDaemonProcess only: systemd's RootDirectory= does that."],
  ])('%j: one line and exit code 2', async (argv, message) => {
    const error: unknown = await run(...argv).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CliError);
    expect(describeFailure(error)).toEqual({ text: `nwsgi: NWSGI4301 ${message}`, exitCode: 2 });
  });

  it('shows every option with its default', () => {
    const help = optionsHelp();
    for (const { flags } of groups.flatMap(({ rows }) => rows)) expect(help).toContain(`  ${flags} `);
    expect(help).toContain('--maximum-requests-jitter <percent>   spread of that number, so that not all leave at once (default: 10%)');
    const offered = groups.flatMap(({ rows }) => rows.map(({ flags }) => flags.split(' ')[0]));
    for (const name of Object.keys(ELSEWHERE)) expect(offered).not.toContain(`--${name}`);
  });
});

describe('socket activation', () => {
  it('takes the sockets with their names, once', () => {
    const env: NodeJS.ProcessEnv = { LISTEN_FDS: '2', LISTEN_PID: '42', LISTEN_FDNAMES: 'web:', OTHER: '1' };
    expect(takeActivation(env, 42)).toEqual({ sockets: [{ fd: 3, name: 'web' }, { fd: 4, name: 'unknown' }] });
    expect(env).toEqual({ OTHER: '1' });
  });

  it('says why sockets of another process are not used', () => {
    const { sockets, warning } = takeActivation({ LISTEN_FDS: '1', LISTEN_PID: '41' }, 42);
    expect(sockets).toEqual([]);
    expect(warning).toContain('npx');
    expect(takeActivation({}, 42)).toEqual({ sockets: [] });
  });
});

describe('notifications', () => {
  const manager = (env: NodeJS.ProcessEnv, result = 0) => {
    const sent: string[] = [];
    const failures: string[] = [];
    const support = { sendDatagram: (_address: string, text: string) => (sent.push(text), result) };
    return { sent, failures, manager: new ServiceManager(support, env, 42, (text) => failures.push(text)) };
  };

  it('are not sent where nobody asked for them', () => {
    const { manager: silent, sent } = manager({});
    silent.ready('x');
    silent.stopping(undefined);
    expect(sent).toEqual([]);
  });

  it('say how the service is, without repetition', () => {
    const env: NodeJS.ProcessEnv = { NOTIFY_SOCKET: '@s', WATCHDOG_USEC: '10000000', WATCHDOG_PID: '41' };
    const { manager: service, sent } = manager(env);
    service.ready('two\nlines');
    service.status('busy');
    service.status('busy');
    service.reloading();
    service.mainProcess(7);
    service.stopping('Stopping');
    expect(sent).toEqual(['READY=1\nSTATUS=two lines', 'STATUS=busy', expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d{6,}\nSTATUS=Reloading$/), 'MAINPID=7', 'STOPPING=1\nSTATUS=Stopping']);
    expect(env).toEqual({});
    expect(service.variables()).toEqual({ NOTIFY_SOCKET: '@s' });
  });

  it('report a failure once', () => {
    const { manager: service, failures } = manager({ NOTIFY_SOCKET: '/run/absent' }, -2);
    service.ready('a');
    service.status('b');
    expect(failures).toEqual(['/run/absent does not take notifications: ENOENT']);
  });
});

describe('the announcement', () => {
  it('begins with where to look', () => {
    const listeners = [{ protocol: 'http', description: '*:8000' }, { protocol: 'fastcgi', description: 'unix:/run/app.sock' }] as const;
    const text = announcement({ script: '/srv/app.ts', mount: '/shop', listeners, processes: { least: 1, most: 4 }, threads: 256, user: 'web', node: '/usr/bin/node', nodeVersion: 'v20.0.0', version: '1.0.0', pid: 7, errorLog: '' });
    expect(text.split('\n').slice(0, 4)).toEqual(['http://127.0.0.1:8000/shop/', 'fastcgi unix:/run/app.sock', '  application  /srv/app.ts at /shop', '  workers      1 to 4 × 256 requests, user web']);
    expect(statusLine(1, 2, 0, listeners, '')).toBe('1 worker serving (2 starting) at http://127.0.0.1:8000/, fastcgi unix:/run/app.sock');
  });
});
