// Directives of daemon mode: which forms and values httpd accepts, and what it says about mistakes. No server runs here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HttpdServer } from '../harness/index.js';

async function check(...directives: string[]): Promise<{ ok: boolean; output: string; lines: string[] }> {
  const server = new HttpdServer({
    apps: ['hello.mjs'],
    directives: (s) => directives.map((line) => line.replaceAll('APP', s.app('hello.mjs')).replaceAll('DIR', s.app(''))),
  });
  try {
    const result = await server.check();
    return { ...result, lines: readFileSync(join(server.root, 'httpd.conf'), 'utf8').split('\n') };
  } finally {
    server.dispose();
  }
}

/** Every option with values that it takes. */
const accepted: Record<string, readonly string[]> = {
  'processes': ['1', '256'],
  'threads': ['0', '1', '100000'],
  'max-processes': ['1', '8'],
  'user': ['www-data', '#33', 'nobody'],
  'group': ['www-data', '#33', 'root'],
  'supplementary-groups': ['www-data', 'www-data,#33,nogroup'],
  'umask': ['0', '0027', '77', '777'],
  'home': ['/tmp', '"/tmp"'],
  'chroot': ['/tmp'],
  'lang': ['en_US.UTF-8'],
  'locale': ['C.UTF-8'],
  'display-name': ['%{GROUP}', '"my shop"'],
  'maximum-requests': ['0', '100000'],
  'maximum-requests-jitter': ['0', '25', '25%', '100%'],
  'restart-interval': ['0', 'off', '3600', '1d', '12h'],
  'cpu-time-limit': ['0', '60'],
  'inactivity-timeout': ['0', '5m', '5min'],
  'request-timeout': ['0', '60', '1.5s', '500ms'],
  'interrupt-timeout': ['0', '2'],
  'deadlock-timeout': ['0', '300'],
  'startup-timeout': ['0', '30s'],
  'graceful-timeout': ['0', '15s'],
  'eviction-timeout': ['0', '15s'],
  'shutdown-timeout': ['0', '5s'],
  'connect-timeout': ['15', '100ms'],
  'socket-timeout': ['0', '60'],
  'queue-timeout': ['0', '45'],
  'queue-limit': ['0', '1000'],
  'listen-backlog': ['1', '4096'],
  'socket-user': ['www-data', 'nobody'],
  'script-user': ['root', 'www-data'],
  'script-group': ['root', '#33'],
  'cpu-priority': ['-20', '0', '19', '+5'],
  'memory-soft-limit': ['0', '256M', '1.5G', '256MB', '256MiB', '268435456'],
  'memory-limit': ['off', '512m', '1T'],
  'virtual-memory-limit': ['0', '4G'],
  'heap-limit': ['0', '200M'],
  'send-buffer-size': ['0', '512', '64K'],
  'receive-buffer-size': ['0', '64K'],
  'header-buffer-size': ['8K', '64K'],
  'response-buffer-size': ['0', '64K', '8M'],
  'node': [process.execPath],
  'node-options': ['--no-warnings', '"--max-old-space-size=100 --no-warnings"'],
  'python-home': ['/usr', '/usr/'],
  'python-path': ['/tmp', '/tmp:/usr/lib', '/tmp:/no/such/folder', '/tmp python-path=/usr/lib'],
  'python-eggs': ['/tmp'],
  'switch-interval': ['0.005', '1', '5ms', '10'],
  'stack-size': ['1048576'],
  'server-metrics': ['On'],
  'response-socket-timeout': ['60'],
  'response-flush-delay': ['5'],
  'env': ['A=1', 'A=', 'EMPTY=""', 'GREETING="hello world"', '"GREETING=hello world"'],
};

/** Option and value, and what the message has to say. */
const refused: [string, RegExp][] = [
  ...['0', '257', '-1', 'two', '1.5', '2x', ''].map((value): [string, RegExp] => [`processes=${value}`, /NWSGI4003 processes=.*"group-a".*from 1 to 256/]),
  ['threads=-1', /NWSGI4003.*threads=-1.*from 0 to 100000/],
  ['max-processes=300', /NWSGI4003.*max-processes=300/],
  ['maximum-requests=-1', /NWSGI4003.*0 or more/],
  ['maximum-requests-jitter=101', /NWSGI4003.*0 to 100/],
  ['queue-limit=many', /NWSGI4003.*queue-limit=many/],
  ...['soon', '-1', '10parsecs', '1.s', '99999999999999999999', '400d', '30S ', 's', '0.1ms'].map((value): [string, RegExp] => [
    `"graceful-timeout=${value}"`,
    /NWSGI4003 graceful-timeout=.*0 \(off\).*30s, 500ms/,
  ]),
  ['connect-timeout=0', /NWSGI4003 connect-timeout=0.*write a duration/],
  ...['1000', '31M', '-1', '512X', '1,5G', '9999999999999T'].map((value): [string, RegExp] => [`memory-limit=${value}`, /NWSGI4003 memory-limit=.*512M.*at least 32M/]),
  ['virtual-memory-limit=512M', /NWSGI4003.*at least 1G/],
  ['heap-limit=4M', /NWSGI4003.*at least 8M/],
  ['header-buffer-size=1K', /NWSGI4003.*from 8K to 16M/],
  ['response-buffer-size=1K', /NWSGI4003.*from 64K to 1G/],
  ['send-buffer-size=100', /NWSGI4003.*from 512/],
  ['cpu-priority=20', /NWSGI4003.*from -20 to 19/],
  ['umask=0888', /NWSGI4003.*octal/],
  ['umask=01777', /NWSGI4003.*octal/],
  ['user=root', /NWSGI4004 user=root.*do not run as root/],
  ['user=#0', /NWSGI4004 user=#0.*do not run as root/],
  ['user=no-such-user', /NWSGI4004.*no such user.*#1000/],
  ['user=#abc', /NWSGI4004.*no such user/],
  ['group=no-such-group', /NWSGI4004.*no such group/],
  ['supplementary-groups=www-data,no-such-group', /NWSGI4004.*no group "no-such-group"/],
  ['socket-user=root', /NWSGI4004/],
  ['home=srv', /NWSGI4003.*absolute/],
  ['home=/no/such/folder', /NWSGI4003.*No such file/],
  ['home=/etc/passwd', /NWSGI4003.*no folder/],
  ['chroot=/no/such/folder', /NWSGI4003.*No such file/],
  ['node=node', /NWSGI4003.*absolute/],
  ['node=/no/such/node', /NWSGI4003.*No such file.*node executable/],
  ['node=/etc/passwd', /NWSGI4003.*not executable/],
  ['node=/tmp', /NWSGI4003.*no file/],
  ['node-options=max-old-space-size', /NWSGI4003.*does not start with '-'/],
  ['node-options="--no-warnings --test"', /NWSGI4003.*--test cannot work/],
  ['env=A', /NWSGI4003.*NAME=value/],
  ['env=1A=x', /NWSGI4003.*NAME=value/],
  ['env=NODE_OPTIONS=--inspect', /NWSGI4003.*node-options=/],
  ['lang=', /NWSGI4003.*value is needed/],
  ['stray', /NWSGI4002 "stray".*name=value/],
  ['=5', /NWSGI4002.*name=value/],
  ['procesess=2', /NWSGI4002 procesess=.*did you mean processes=\?/],
  ['gracefull-timeout=2', /NWSGI4002.*did you mean graceful-timeout=\?/],
  ['Processes=2', /NWSGI4002.*did you mean processes=\?/],
  ['colour=blue', /NWSGI4002 colour=.*docs\/directives\.md/],
  ['python-hme=/usr', /NWSGI4002 python-hme=.*did you mean python-home=\?/],
  ['python-home=venv', /NWSGI4003 python-home=venv.*absolute/],
  ['python-home=/no/such/venv', /NWSGI4003.*python3 -m venv \/no\/such\/venv/],
  ['python-home=/etc/passwd', /NWSGI4003.*no folder.*pyvenv\.cfg/],
  ['python-home=/tmp', /NWSGI4003.*no bin\/python3 in it/],
  ['python-home=/usr/bin', /NWSGI4003.*folder of the programs; write the one above it/],
  ['python-home=/usr/lib/python3/dist-packages', /NWSGI4003.*python-path=/],
  ['python-path=lib:/usr/lib', /NWSGI4003 python-path=.*absolute paths/],
  ['python-path=:', /NWSGI4003 python-path=.*absolute paths/],
  ['python-eggs=/no/such/folder', /NWSGI4003 python-eggs=.*No such file/],
  ...['0', '-1', '11', 'soon', '0.005x'].map((value): [string, RegExp] => [`switch-interval=${value}`, /NWSGI4003 switch-interval=.*seconds \(0\.005\)/]),
  ['processes=2 processes=2', /NWSGI4003 processes=.*twice/],
  ['min-processes=3 processes=2', /NWSGI4005.*min-processes=3 processes=2.*ascending/],
  ['processes=4 max-processes=2', /NWSGI4005.*ascending/],
  ['memory-soft-limit=512M memory-limit=256M', /NWSGI4005.*memory-soft-limit=/],
  ['script-user=root script-group=root', /NWSGI4005.*exclude each other/],
];

describe('options of WSGIDaemonProcess', () => {
  it('are accepted with each kind of value', async () => {
    let group = 0;
    const lines = Object.entries(accepted).flatMap(([name, values]) => values.map((value) => `WSGIDaemonProcess group-${++group} ${name}=${value}`));
    const { ok, output } = await check(...lines, 'WSGIDaemonProcess all user=nobody processes=2 min-processes=1 max-processes=4 env=A=1 env=B=2');
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });

  it.each(refused)('%s is refused, with option, value and remedy', async (options, message) => {
    const { ok, output, lines } = await check('# before', `WSGIDaemonProcess group-a ${options}`);
    expect(output).toMatch(message);
    expect(output).toContain(`Syntax error on line ${lines.indexOf('# before') + 2} of `);
    expect(output).toContain('WSGIDaemonProcess: ');
    expect(ok).toBe(false);
  });

  it.each([[''], ['processes=2'], ['%{GLOBAL}'], ['""'], ['x'.repeat(101)]])('the name %j is refused', async (name) => {
    const { ok, output } = await check(`WSGIDaemonProcess ${name}`);
    expect(output).toMatch(/NWSGI4001.*name/);
    expect(ok).toBe(false);
  });
});

const host = (name: string, ...lines: string[]) => ['<VirtualHost 127.0.0.1:1>', `ServerName ${name}`, ...lines, '</VirtualHost>'];

describe('process groups', () => {
  it.each([
    ['declared above', ['WSGIDaemonProcess a', 'WSGIProcessGroup a']],
    ['declared below', ['WSGIProcessGroup a', 'WSGIDaemonProcess a']],
    ['of the server, in a virtual host', [...host('x', 'WSGIProcessGroup a'), 'WSGIDaemonProcess a']],
    ['of the same virtual host', host('x', 'WSGIDaemonProcess a', 'WSGIProcessGroup a')],
    ['of a virtual host of the same name', [...host('x', 'WSGIDaemonProcess a'), ...host('X', 'WSGIProcessGroup a')]],
    ['of a virtual host, named outside', [...host('x', 'WSGIDaemonProcess a'), '<Directory /srv>', 'WSGIProcessGroup a', '</Directory>']],
    ['in options of mounts', ['WSGIDaemonProcess a', 'WSGIScriptAlias / APP process-group=a', 'WSGIScriptAliasMatch ^/x APP process-group=a application-group=b']],
    ['in WSGIImportScript', ['WSGIImportScript APP process-group=a application-group=b', 'WSGIDaemonProcess a']],
    ['by a variable', ['WSGIProcessGroup %{ENV:GROUP}', 'WSGIRestrictProcess a b %{GLOBAL}']],
    ['twice the same', ['WSGIDaemonProcess a threads=5 env=A=1', 'WSGIDaemonProcess a env=A=1 threads=5']],
    ['twice the same, in two virtual hosts', [...host('x', 'WSGIDaemonProcess a', 'WSGIProcessGroup a'), ...host('y', 'WSGIDaemonProcess a', 'WSGIProcessGroup a')]],
  ])('%s can be used', async (_, lines) => {
    const { ok, output } = await check(...lines);
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
  });

  it.each([
    ['is not declared', ['WSGIProcessGroup nobody'], /NWSGI1110 WSGIProcessGroup in .*httpd\.conf:\d+.*no process group "nobody".*WSGIDaemonProcess nobody/],
    ['is not declared, in a mount', ['WSGIScriptAlias / APP process-group=nobody'], /NWSGI1110 WSGIScriptAlias in .*"nobody"/],
    ['is not declared, in WSGIImportScript', ['WSGIImportScript APP process-group=nobody application-group=x'], /NWSGI1110 WSGIImportScript in .*"nobody"/],
    [
      'belongs to another virtual host',
      [...host('x', 'WSGIDaemonProcess a'), ...host('y', 'WSGIProcessGroup a')],
      /NWSGI1110 WSGIProcessGroup in .*another virtual host \(.*httpd\.conf:\d+\)/,
    ],
  ])('one that %s is refused', async (_, lines, message) => {
    const { ok, output } = await check(...lines);
    expect(output).toMatch(message);
    expect(ok).toBe(false);
  });

  it.each([
    ['threads=5', 'threads=6', 'threads'],
    ['env=A=1', 'env=A=2', 'env'],
    ['user=www-data', '', 'user'],
    ['home=/tmp', 'home=/', 'home'],
    ['node-options=--no-warnings', '', 'node-options'],
  ])('declared with %s and with "%s" are refused, with both places', async (first, second, option) => {
    const { ok, output, lines } = await check(`WSGIDaemonProcess a ${first}`, `WSGIDaemonProcess a ${second}`);
    const line = lines.indexOf(`WSGIDaemonProcess a ${first}`) + 1;
    expect(output).toMatch(new RegExp(`NWSGI4006.*httpd\\.conf:${line + 1} is declared already in .*httpd\\.conf:${line}, with another ${option}=`));
    expect(ok).toBe(false);
  });
});

describe('the other directives', () => {
  it('are accepted, and a notice says what has no effect', async () => {
    const { ok, output } = await check(
      'WSGISocketPrefix run/sockets',
      'WSGISocketRotation Off',
      'WSGIAcceptMutex default',
      'WSGIRestrictEmbedded On',
      'WSGIRestrictProcess a b',
    );
    expect(ok).toBe(true);
    for (const name of ['WSGISocketRotation', 'WSGIAcceptMutex']) expect(output).toMatch(new RegExp(`NWSGI4008 ${name} in .*no effect`));
  });

  it.each([
    ['WSGISocketPrefix', /one argument/],
    ['WSGISocketRotation Perhaps', /On or Off/],
    ['WSGIRestrictEmbedded Perhaps', /On or Off/],
    ['WSGIRestrictProcess %{ENV:X}', /NWSGI1109.*plain name/],
    ['WSGIRestrictProcess', /at least one argument/],
  ])('%s is refused', async (line, message) => {
    const { ok, output } = await check(line);
    expect(output).toMatch(message);
    expect(ok).toBe(false);
  });

  it.each(['WSGISocketPrefix run', 'WSGISocketRotation On', 'WSGIAcceptMutex default', 'WSGIRestrictEmbedded On'])('%s is refused in a virtual host', async (line) => {
    const { ok, output } = await check(...host('x', line));
    expect(output).toMatch(/cannot occur within <VirtualHost>/);
    expect(ok).toBe(false);
  });

  it('WSGIDaemonProcess is refused in a directory', async () => {
    const { ok, output } = await check('<Directory /srv>', 'WSGIDaemonProcess a', '</Directory>');
    expect(output).toMatch(/not allowed/);
    expect(ok).toBe(false);
  });
});
