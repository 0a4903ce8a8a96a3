// Configurations that were written for mod_wsgi: only their LoadModule line is changed. The ones here are those of its
// documentation (quick configuration guide, virtual environments, integration with Django) and of Debian's package.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { childIdentity } from '../../../scripts/lib/server-root.mjs';
import { configtest, daemon, HttpdServer, projectRoot, sanitized, useServer, waitFor, withServer, type Options } from '../harness/index.js';
import { python } from '../support/python.js';

interface Facts {
  prefix: string;
  path: string[];
  import?: string;
  optimize: number;
  environ: Record<string, string | boolean>;
}

const facts = async (server: HttpdServer, path: string) => (await server.get(path)).json() as Facts;

/** A site with a virtual environment of its own, which has a module that is installed nowhere else. */
function makeSite(s: HttpdServer): string {
  const site = join(s.root, 'srv');
  if (existsSync(site)) return site;
  execFileSync('/usr/bin/python3', ['-m', 'venv', '--without-pip', join(site, 'venv')]);
  s.writeFile(`srv/venv/lib/${python}/site-packages/installed.py`, "WHERE = 'virtual environment'\n");
  s.writeFile('srv/project/module.py', "WHERE = 'python-path'\n");
  for (const name of ['site.wsgi', 'wsgi.py']) s.writeFile(`srv/project/${name}`, readFileSync(join(projectRoot, 'test/fixtures/python/python_facts.py')));
  s.writeFile('srv/project/hello.wsgi', [
    'def application(environ, start_response):',
    "    status = '200 OK'",
    "    output = b'Hello World!'",
    "    response_headers = [('Content-type', 'text/plain'), ('Content-Length', str(len(output)))]",
    '    start_response(status, response_headers)',
    '    return [output]',
    '',
  ].join('\n'));
  return site;
}

/** mod_wsgi's documentation loads its module under this name. */
const load = (s: HttpdServer) => `LoadModule wsgi_module ${s.modulePath}`;
const user = () => {
  const identity = childIdentity();
  return identity === null ? '' : `user=${identity.user} group=${identity.user}`;
};

describe.skipIf(daemon)('the configuration of mod_wsgi\'s documentation', () => {
  const server = useServer({
    nwsgi: false,
    modules: ['mime'],
    directives: (s) => {
      const site = makeSite(s);
      return [
        'TypesConfig /etc/mime.types',
        load(s),
        `WSGIDaemonProcess example.com ${user()} processes=2 threads=15 display-name=%{GROUP} \\`,
        `    python-home=${site}/venv python-path=${site}/project lang='en_US.UTF-8' locale='C.UTF-8' \\`,
        '    maximum-requests=10000 inactivity-timeout=300 deadlock-timeout=60 stack-size=524288 umask=0027',
        'WSGISocketPrefix run/wsgi',
        'WSGIRestrictEmbedded Off',
      ];
    },
    vhosts: [
      {
        name: 'www.example.com',
        directives: (s) => {
          const site = makeSite(s);
          return [
            'WSGIProcessGroup example.com',
            `WSGIScriptAlias /myapp ${site}/project/hello.wsgi`,
            `WSGIScriptAlias /isolated ${site}/project/hello.wsgi application-group=isolated`,
            `WSGIScriptAlias / ${site}/project/site.wsgi process-group=example.com application-group=%{GLOBAL}`,
            `<Directory ${site}/project>`,
            'Require all granted',
            '</Directory>',
          ];
        },
      },
    ],
  });

  it('serves the hello-world script of the quick configuration guide', async () => {
    expect((await server.get('/myapp')).text).toBe('Hello World!');
    expect((await server.get('/isolated')).text).toBe('Hello World!');
  });

  it('runs in the virtual environment, with python-path in front', async () => {
    const { prefix, path } = await facts(server, '/');
    expect(prefix).toBe(join(server.root, 'srv/venv'));
    expect(path.indexOf(`${server.root}/srv/project`)).toBeLessThan(path.indexOf(`${server.root}/srv/venv/lib/${python}/site-packages`));
    expect((await facts(server, '/installed')).import).toBe('virtual environment');
    expect((await facts(server, '/module')).import).toBe('python-path');
  });

  it('tells applications what mod_wsgi tells them', async () => {
    const { environ } = await facts(server, '/');
    expect(environ).toMatchObject({
      'mod_wsgi.process_group': 'example.com', 'mod_wsgi.application_group': '', 'mod_wsgi.callable_object': 'application', 'mod_wsgi.request_handler': 'wsgi-script',
      'wsgi.multithread': true, 'wsgi.multiprocess': true, 'wsgi.run_once': false, 'wsgi.url_scheme': 'http', 'SCRIPT_NAME': '', 'PATH_INFO': '/',
    });
  });

  it('names the processes as display-name=%{GROUP} says', async () => {
    const titles = () => server.workers().map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim());
    // Further ones start when the first is ready; each gets its name when it begins to work.
    await waitFor('that name everywhere', () => titles().length >= 2 && titles().every((title) => title.includes('(wsgi:example.com)')));
  });
});

describe.skipIf(daemon)('embedded mode of mod_wsgi\'s documentation', () => {
  const server = useServer({
    nwsgi: false,
    modules: ['mime'],
    directives: (s) => {
      const site = makeSite(s);
      return [
        'TypesConfig /etc/mime.types',
        load(s),
        // Integration with Django.
        `WSGIScriptAlias /django ${site}/project/wsgi.py`,
        `WSGIPythonHome ${site}/venv`,
        `WSGIPythonPath ${site}/project`,
        'WSGIApplicationGroup %{GLOBAL}',
        `<Directory ${site}/project>\n<Files wsgi.py>\nRequire all granted\n</Files>\n</Directory>`,
        // Files of a folder as applications.
        `Alias /files ${site}/project`,
        `<Directory ${site}/project>\nOptions +ExecCGI\nAddHandler wsgi-script .wsgi\nRequire all granted\n</Directory>`,
        '<IfModule mod_wsgi.c>\nHeader always set X-By-File on\n</IfModule>',
        '<IfModule wsgi_module>\nHeader always set X-By-Name on\n</IfModule>',
        'LogLevel wsgi:info',
      ];
    },
  });

  it('serves the script, in the virtual environment', async () => {
    const { prefix, environ } = await facts(server, '/django/module/');
    expect([prefix, environ['SCRIPT_NAME'], environ['PATH_INFO'], environ['mod_wsgi.process_group']]).toEqual([join(server.root, 'srv/venv'), '/django', '/module/', '']);
    expect((await facts(server, '/django/module')).import).toBe('python-path');
  });

  it('serves files by AddHandler wsgi-script', async () => {
    expect((await server.get('/files/hello.wsgi')).text).toBe('Hello World!');
    expect((await facts(server, '/files/site.wsgi/installed')).import).toBe('virtual environment');
  });

  it('stands in sections for mod_wsgi, by file and by name', async () => {
    const { headers } = await server.get('/files/hello.wsgi');
    expect([headers['x-by-file'], headers['x-by-name']]).toEqual(['on', 'on']);
  });

  it('serves after restarts', async () => {
    await server.graceful();
    expect((await server.get('/files/hello.wsgi')).text).toBe('Hello World!');
    await server.restart();
    expect((await server.get('/files/hello.wsgi')).text).toBe('Hello World!');
  });
});

const debian = '/etc/apache2/mods-available';

describe.skipIf(daemon || sanitized || !existsSync(join(debian, 'wsgi.conf')))('the configuration of Debian\'s package', () => {
  const read = (name: string) => readFileSync(join(debian, name), 'utf8');
  /** Its lines are examples in comments; `directory` stands for a folder. */
  const enabled = (s: HttpdServer) =>
    read('wsgi.conf')
      .replace(/^ *#(WSGI(?:SocketPrefix|PythonOptimize|PythonPath|PythonEggs|RestrictEmbedded|RestrictStdin|RestrictStdout|RestrictSignal|AcceptMutex|LazyInitialization|ImportScript) .*)$/gm, '$1')
      .replace('/var/run/apache2/wsgi', `${s.root}/run/wsgi`)
      .replace('directory|directory-1:directory-2:...', `${s.root}/srv/project`)
      .replace('WSGIPythonEggs directory', `WSGIPythonEggs ${s.root}`)
      .replace('WSGIPythonOptimize 0', 'WSGIPythonOptimize 1')
      .replace('WSGIRestrictEmbedded On|Off', 'WSGIRestrictEmbedded Off')
      .replace('WSGILazyInitialization On|Off', 'WSGILazyInitialization On')
      .replace('WSGIImportScript process-group=name application-group=name', `WSGIImportScript ${s.root}/srv/project/wsgi.py process-group=%{GLOBAL} application-group=%{GLOBAL}`);

  const options = (conf: (s: HttpdServer) => string, name: string): Options => ({
    nwsgi: false,
    directives: (s) => {
      const site = makeSite(s);
      mkdirSync(join(s.root, 'mods-enabled'), { recursive: true });
      s.writeFile('mods-enabled/wsgi.load', read('wsgi.load').replace(/^LoadModule wsgi_module \S+/m, `LoadModule ${name} ${s.modulePath}`));
      s.writeFile('mods-enabled/wsgi.conf', conf(s));
      return [`IncludeOptional ${s.root}/mods-enabled/*.load`, `IncludeOptional ${s.root}/mods-enabled/*.conf`, `WSGIScriptAlias / ${site}/project/wsgi.py`,
        `<Directory ${site}/project>\nRequire all granted\n</Directory>`];
    },
  });

  it.each(['wsgi_module', 'nwsgi_module'])('serves as it is shipped (%s)', async (name) => {
    await withServer(options(() => read('wsgi.conf'), name), async (server) => {
      expect((await facts(server, '/')).prefix).toBe('/usr');
    });
  });

  it('means what it says when its lines are no comments any more', async () => {
    await withServer(options(enabled, 'wsgi_module'), async (server) => {
      const { optimize, path } = await facts(server, '/');
      expect(optimize).toBe(1);
      expect(path).toContain(`${server.root}/srv/project`);
      expect((await facts(server, '/module')).import).toBe('python-path');
      for (const name of ['WSGIAcceptMutex', 'WSGILazyInitialization']) expect(server.output()).toMatch(new RegExp(`NWSGI4008 ${name} in .*wsgi\\.conf:\\d+ has no effect`));
    });
  });
});

describe.skipIf(daemon)('mod_wsgi\'s name', () => {
  it('cannot be loaded beside nwsgi_module', async () => {
    const { ok, output } = await configtest({ directives: load });
    expect(output).toMatch(/NWSGI1007 two LoadModule lines/);
    expect(ok).toBe(false);
  });
});

it.skipIf(daemon)('an installed copy finds its Python part beside itself', async () => {
  await withServer(
    {
      nwsgi: false,
      directives: (s) => {
        const lib = join(s.root, 'modules');
        const site = makeSite(s);
        if (!existsSync(lib)) {
          mkdirSync(join(lib, 'nwsgi'), { recursive: true });
          cpSync(s.modulePath, join(lib, 'mod_nwsgi.so'));
          for (const name of ['nwsgi_runtime.so', 'nwsgi_bridge.node', `nwsgi_${python.replace('python', 'python_')}.node`]) cpSync(join(s.modulePath, '..', name), join(lib, 'nwsgi', name));
          cpSync(join(s.home, 'dist'), join(lib, 'nwsgi', 'dist'), { recursive: true });
          cpSync(join(s.home, 'package.json'), join(lib, 'nwsgi', 'package.json'));
          symlinkSync(join(s.home, 'node_modules'), join(lib, 'nwsgi', 'node_modules'));
        }
        return [`LoadModule wsgi_module ${lib}/mod_nwsgi.so`, `WSGIDaemonProcess group ${user()}`, `WSGIScriptAlias /embedded ${site}/project/hello.wsgi`, `WSGIScriptAlias /group ${site}/project/hello.wsgi process-group=group`,
          `<Directory ${site}/project>\nRequire all granted\n</Directory>`];
      },
      env: { LD_LIBRARY_PATH: join(process.env.NWSGI_TEST_HOME ?? projectRoot, '.deps/libnode/usr/lib/x86_64-linux-gnu') },
    },
    async (server) => {
      for (const path of ['/embedded', '/group']) expect((await server.get(path)).text).toBe('Hello World!');
    },
  );
});
