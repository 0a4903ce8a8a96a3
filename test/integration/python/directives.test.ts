// The directives that say how Python runs: what httpd accepts, what it says about mistakes, and what reaches applications.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemon, HttpdServer, useServer, withServer } from '../harness/index.js';
import { python } from '../support/python.js';

async function check(...directives: string[]): Promise<{ ok: boolean; output: string; lines: string[] }> {
  const server = new HttpdServer({ apps: ['python_facts.py'], directives: (s) => directives.map((line) => line.replaceAll('SCRIPT', s.app('python_facts.py'))) });
  try {
    return { ...(await server.check()), lines: readFileSync(join(server.root, 'httpd.conf'), 'utf8').split('\n') };
  } finally {
    server.dispose();
  }
}

/** A virtual environment without pip, made as its users make theirs; with a module of its own. */
function makeVenv(folder: string): string {
  execFileSync('/usr/bin/python3', ['-m', 'venv', '--without-pip', folder]);
  return folder;
}

describe.skipIf(daemon)('directives for Python', () => {
  it('are accepted with each kind of value', async () => {
    const { output } = await check(
      'WSGIPythonHome /usr',
      'WSGIPythonPath /tmp:/usr/lib',
      'WSGIPythonEggs /tmp',
      'WSGIPythonOptimize 1',
      'WSGIPythonWarnings ignore::DeprecationWarning error::ResourceWarning',
      'WSGIPythonWarnings "d"',
      'WSGIPythonHashSeed 42',
      'WSGIPythonHashSeed random',
      'WSGIDontWriteBytecode On',
      'WSGIPythonDontWriteBytecode Off',
      'WSGISwitchInterval 0.005',
      'WSGIRestrictStdin On',
      'WSGIRestrictStdout On',
      'WSGIRestrictSignal Off',
      'WSGIPerInterpreterGIL On',
      'WSGIDestroyInterpreter Off',
      'WSGIChunkedRequest Buffered',
    );
    expect(output).toContain('Syntax OK');
  });

  it.each<[string, RegExp]>([
    ['WSGIPythonHome /no/such/venv', /NWSGI1118 "\/no\/such\/venv": No such file.*python3 -m venv \/no\/such\/venv/],
    ['WSGIPythonHome /tmp', /NWSGI1118.*no bin\/python3 in it.*pyvenv\.cfg/],
    ['WSGIPythonHome /usr/bin/python3', /NWSGI1118.*no folder/],
    ['WSGIPythonPath lib', /NWSGI1117 "lib": write absolute paths/],
    ['WSGIPythonEggs /no/such/folder', /NWSGI1117.*no such folder/],
    ['WSGIPythonOptimize 3', /NWSGI1117 "3": write 0, 1/],
    ['WSGIPythonWarnings loudly', /NWSGI1117 "loudly" is no filter.*ignore::DeprecationWarning/],
    ['WSGIPythonHashSeed -1', /NWSGI1117 "-1": write random, or/],
    ['WSGISwitchInterval 0', /NWSGI1117 "0": write seconds \(0\.005\)/],
    ['WSGIRestrictStdin Maybe', /WSGIRestrictStdin must be On or Off/],
    ['WSGIChunkedRequest Sometimes', /NWSGI1112.*On, Off or Buffered/],
    ['WSGIScriptAlias /x SCRIPT application-type=node', /NWSGI1112 application-type=node.*script of Python; write wsgi/],
    ['WSGIImportScript SCRIPT process-group=%{GLOBAL} application-group=%{GLOBAL} application-type=fetch', /NWSGI1112 application-type=fetch/],
  ])('%s is an error with file, line and remedy', async (directive, message) => {
    const { ok, output, lines } = await check('# before', directive);
    expect(output).toMatch(message);
    expect(output).toMatch(new RegExp(`Syntax error on line ${lines.findIndex((line) => line.startsWith(directive.split(' ')[0] as string)) + 1} of .*httpd\\.conf`));
    expect(ok).toBe(false);
  });

  it('stand outside of virtual hosts, because a process has one Python', async () => {
    const { output } = await check('<VirtualHost *:1>', 'WSGIPythonHome /usr', '</VirtualHost>');
    expect(output).toMatch(/WSGIPythonHome.*not.*within <VirtualHost>/);
  });

  it.each<[string, RegExp]>([
    ['WSGIAccessScript /srv/access.wsgi', /NWSGI1119.*Require.*Do not just take the line out/],
    ['WSGIAuthUserScript /srv/auth.wsgi', /NWSGI1119.*mod_authnz_external.*WSGIPassAuthorization On/],
    ['WSGIAuthGroupScript /srv/auth.wsgi', /NWSGI1119.*Require/],
    ['WSGIDispatchScript /srv/dispatch.wsgi', /NWSGI1119.*%\{ENV:name\}/],
    ['WSGIHandlerScript my-handler /srv/handler.wsgi', /NWSGI1119.*SetHandler wsgi-script/],
    ['WSGITrustedProxies 10.0.0.0/8', /NWSGI1119.*RemoteIPInternalProxy/],
    ['WSGITrustedProxyHeaders X-Forwarded-For', /NWSGI1119.*mod_remoteip.*HTTPS=on/],
    ['WSGIPassApacheRequest On', /NWSGI1119/],
    ['WSGIFreeThreading On', /NWSGI1119.*processes=/],
    ['<WSGIInterpreterOptions application-group=a>\nWSGISwitchInterval 0.1\n</WSGIInterpreterOptions>', /NWSGI1119.*WSGIDaemonProcess/],
  ])('of mod_wsgi that decide something and do not exist here are refused: %s', async (directive, message) => {
    const { ok, output } = await check(directive);
    expect(output).toMatch(message);
    expect(ok).toBe(false);
  });

  it('of mod_wsgi that only tune or measure are accepted, and a notice says that they have no effect', async () => {
    const ignored = ['WSGICaseSensitivity On', 'WSGIIgnoreActivity On', 'WSGILazyInitialization On', 'WSGIVerboseDebugging On', 'WSGIServerMetrics On',
      'WSGITelemetryService unix:/run/telemetry interval=2', 'WSGITelemetryOptions +All', 'WSGISlowRequests 5', 'WSGIPassApacheRequest Off',
      'WSGIFreeThreading Off', 'WSGIGroupAuthoritative On', 'WSGISocketRotation Off', 'WSGIAcceptMutex default'];
    const { ok, output } = await check(...ignored, 'WSGIDaemonProcess metrics server-metrics=On stack-size=524288 response-socket-timeout=60 response-flush-delay=5');
    expect(output).toContain('Syntax OK');
    expect(ok).toBe(true);
    for (const line of ignored) expect(output).toMatch(new RegExp(`NWSGI4008 ${line.split(' ')[0]} in .*httpd\\.conf:\\d+ has no effect: .*it can be taken out`));
    expect(output).toMatch(/NWSGI4008 stack-size= of process group "metrics" in .* has no effect/);
  });

  it('warn of folders that are not there, and of Pythons that nwsgi was not built for', async () => {
    const server = new HttpdServer({
      directives: (s) => {
        const home = join(s.root, 'old-venv');
        if (!existsSync(home)) {
          mkdirSync(join(home, 'bin'), { recursive: true });
          s.writeFile('old-venv/bin/python3', '');
          s.writeFile('old-venv/pyvenv.cfg', 'home = /opt/bin\nversion = 3.10.4\n');
        }
        return [`WSGIPythonHome ${home}`, 'WSGIPythonPath /tmp:/no/such/folder', `WSGIDaemonProcess late python-path=/later python-home=${home}`];
      },
    });
    try {
      const { ok, output } = await server.check();
      expect(ok).toBe(true);
      expect(output).toMatch(/NWSGI1120 WSGIPythonPath: not there: \/no\/such\/folder;/);
      expect(output).toMatch(/NWSGI1120 python-path= of process group "late" \(.*httpd\.conf:\d+\): not there: \/later/);
      expect(output).toMatch(/NWSGI1121 WSGIPythonHome ".*old-venv" is of Python 3\.10.*nwsgi_python_3\.10\.node.*libpython3\.10-dev/);
      expect(output).toMatch(/NWSGI1121 python-home= of process group "late"/);
    } finally {
      server.dispose();
    }
  });

  it('of a virtual environment whose Python was removed say so', async () => {
    const server = new HttpdServer({ directives: (s) => `WSGIPythonHome ${s.root}/broken` });
    try {
      server.writeFile('broken/pyvenv.cfg', 'version = 3.11.2\n');
      const { output } = await server.check();
      expect(output).toMatch(/NWSGI1118.*bin\/python3 is missing.*python3 -m venv --clear/);
    } finally {
      server.dispose();
    }
  });
});

interface Facts {
  prefix: string;
  base: string;
  executable: string;
  path: string[];
  optimize: number;
  bytecode: boolean;
  warnings: string[];
  hash: number;
  interval: number;
  eggs: string | null;
  isolated: string | null;
  import?: string;
  pid: number;
  environ: Record<string, string | boolean | number>;
}

describe('a server without directives for Python', () => {
  const server = useServer({ apps: ['python_facts.py'], env: { PYTHONPATH: '/from/the/environment', PYTHONOPTIMIZE: '2' }, directives: (s) => [`WSGIScriptAlias /a ${s.app('python_facts.py')}`, `WSGIScriptAlias /b ${s.app('python_facts.py')}`, `WSGIScriptAlias /c ${s.app('python_facts.py')} application-group=other`] });
  const facts = async (path: string) => (await server.get(path)).json() as Facts;

  it('runs the system\'s Python as it comes, without what PYTHON… variables say', async () => {
    const { prefix, base, executable, path, optimize, bytecode, warnings, interval, eggs } = await facts('/a');
    expect({ prefix, base, executable, optimize, bytecode, warnings, interval, eggs }).toEqual({
      prefix: '/usr', base: '/usr', executable: expect.stringMatching(/^\/usr\/bin\/python3/) as string, optimize: 0, bytecode: true, warnings: [], interval: 0.005, eggs: null,
    });
    expect(path).toContain('/usr/lib/python3/dist-packages');
    expect(path).not.toContain('/from/the/environment');
    expect(path).not.toContain('');
  });

  it('W-115: runs all scripts of Python in the application group %{GLOBAL}, unless WSGIApplicationGroup says otherwise', async () => {
    for (const path of ['/a', '/b']) expect((await facts(path)).environ['mod_wsgi.application_group']).toBe('');
    expect((await facts('/a')).hash).toBe((await facts('/b')).hash);
    expect((await facts('/c')).environ['mod_wsgi.application_group']).toBe('other');
  });

  it('tells applications how many of them there are', async () => {
    const { environ } = await facts('/a');
    expect(environ['wsgi.multithread']).toBe(true);
    // The server has room for one child.
    expect(environ['wsgi.multiprocess']).toBe(false);
    expect(environ['wsgi.run_once']).toBe(false);
  });

  it('gives what mod_wsgi\'s applications know of their request', async () => {
    const begin = Date.now() * 1000;
    const { environ } = await facts('/a/');
    expect(Number(environ['mod_wsgi.request_start']) / 1e6).toBeCloseTo(begin / 1e6, -1);
    expect(environ['mod_wsgi.connection_id']).toMatch(/\S+/);
    expect(environ['mod_wsgi.input_chunked']).toBe('0');
    expect(environ['mod_wsgi.listener_port']).toBe(String(server.port));
  });
});

describe('directives for Python', () => {
  const server = useServer({
    apps: ['python_facts.py'],
    directives: (s) => {
      const venv = join(s.root, 'venv');
      if (!existsSync(venv)) {
        makeVenv(venv);
        s.writeFile(`venv/lib/${python}/site-packages/in_venv.py`, 'WHERE = __file__\n');
        s.writeFile('site/in_path.py', 'WHERE = __file__\n');
        s.writeFile('more/linked.pth', `${s.root}/linked\n`);
        s.writeFile('linked/in_linked.py', 'WHERE = __file__\n');
      }
      return [
        `WSGIPythonHome ${venv}`, `WSGIPythonPath ${s.root}/site:${s.root}/more`, `WSGIPythonEggs ${s.root}`, 'WSGIPythonOptimize 1',
        'WSGIPythonWarnings ignore::DeprecationWarning', 'WSGIPythonWarnings error::ResourceWarning', 'WSGIPythonHashSeed 7', 'WSGIDontWriteBytecode On', 'WSGISwitchInterval 0.002',
        `WSGIScriptAlias /facts ${s.app('python_facts.py')}`,
      ];
    },
  });
  const facts = async (path = '/facts') => (await server.get(path)).json() as Facts;

  it('reach Python in both modes', async () => {
    const { prefix, base, executable, path, optimize, bytecode, warnings, interval, eggs } = await facts();
    expect({ prefix, base, executable, optimize, bytecode, warnings, interval, eggs }).toEqual({
      prefix: join(server.root, 'venv'), base: '/usr', executable: expect.stringMatching(/venv\/bin\/python/) as string, optimize: 1, bytecode: false,
      warnings: ['ignore::DeprecationWarning', 'error::ResourceWarning'], interval: 0.002, eggs: server.root,
    });
    expect(path.indexOf(`${server.root}/site`)).toBeLessThan(path.indexOf(`${server.root}/venv/lib/${python}/site-packages`));
    expect(path).toContain(`${server.root}/linked`);
  });

  it('find modules of the virtual environment, of WSGIPythonPath, and of its .pth files, not the system\'s', async () => {
    expect((await facts('/facts/in_venv')).import).toContain(`/venv/lib/${python}/site-packages/in_venv.py`);
    expect((await facts('/facts/in_path')).import).toContain('/site/in_path.py');
    expect((await facts('/facts/in_linked')).import).toContain('/linked/in_linked.py');
    expect((await facts()).path).not.toContain('/usr/lib/python3/dist-packages');
    expect((await server.get('/facts/flask')).status).toBe(500);
  });

  it('make hashes the same in all processes', async () => {
    const expected = execFileSync('/usr/bin/python3', ['-c', "print(hash('nwsgi'))"], { env: { PYTHONHASHSEED: '7' }, encoding: 'utf8' });
    expect((await facts()).hash).toBe(Number(expected));
  });
});

it('options of a process group win over the directives', async () => {
  await withServer(
    {
      apps: ['python_facts.py'],
      directives: (s) => {
        makeVenv(join(s.root, 'venv'));
        for (const name of ['site', 'other']) s.writeFile(`${name}/where.py`, `WHERE = '${name}'\n`);
        return [
          'WSGIPythonHome /usr', `WSGIPythonPath ${s.root}/site`, 'WSGISwitchInterval 0.002',
          `WSGIDaemonProcess own python-home=${s.root}/venv python-path=${s.root}/other python-eggs=${s.root} switch-interval=0.003 threads=1`,
          `WSGIDaemonProcess plain processes=2`,
          `WSGIScriptAlias /own ${s.app('python_facts.py')} process-group=own`,
          `WSGIScriptAlias /plain ${s.app('python_facts.py')} process-group=plain`,
        ];
      },
    },
    async (server) => {
      const own = (await server.get('/own/where')).json() as Facts;
      expect([own.import, own.interval, own.eggs, own.prefix]).toEqual(['other', 0.003, server.root, `${server.root}/venv`]);
      expect([own.environ['wsgi.multithread'], own.environ['wsgi.multiprocess'], own.environ['mod_wsgi.process_group']]).toEqual([false, false, 'own']);
      const plain = (await server.get('/plain/where')).json() as Facts;
      expect([plain.import, plain.interval, plain.eggs, plain.prefix]).toEqual(['site', 0.002, null, '/usr']);
      expect([plain.environ['wsgi.multithread'], plain.environ['wsgi.multiprocess']]).toEqual([true, true]);
    },
  );
});

it.skipIf(daemon)('prefork: applications are told that they have one thread', async () => {
  await withServer({ mpm: 'prefork', apps: ['python_facts.py'], directives: (s) => `WSGIScriptAlias / ${s.app('python_facts.py')}` }, async (server) => {
    const { environ } = (await server.get('/')).json() as Facts;
    expect([environ['wsgi.multithread'], environ['wsgi.multiprocess']]).toEqual([false, true]);
  });
});

it('the Authorization header is shown where WSGIPassAuthorization is On, and only there', async () => {
  await withServer(
    {
      apps: ['python_facts.py'],
      directives: (s) => [`WSGIScriptAlias /default ${s.app('python_facts.py')}`, `WSGIScriptAlias /on ${s.app('python_facts.py')}`, `WSGIScriptAlias /option ${s.app('python_facts.py')} pass-authorization=On`, '<Location /on>\nWSGIPassAuthorization On\n</Location>'],
    },
    async (server) => {
      const shown = async (path: string) => ((await server.get(path, { Authorization: 'Bearer abc' })).json() as Facts).environ['HTTP_AUTHORIZATION'];
      expect([await shown('/default'), await shown('/on'), await shown('/option')]).toEqual([undefined, 'Bearer abc', 'Bearer abc']);
    },
  );
});
