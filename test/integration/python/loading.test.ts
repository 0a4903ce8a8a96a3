/** How Python scripts are loaded: their module, where modules are found, and what is said when it does not work. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemon, useServer, waitFor, type HttpdServer } from '../harness/index.js';

interface Facts {
  [name: string]: unknown;
  path: string[];
  runs: number;
  prefix: string;
}

const broken = {
  'syntax.wsgi': 'import os\n\ndef application(environ, start_response)\n    pass\n',
  'raises.py': 'import json\n\ndef prepare():\n    raise KeyError("the setting")\n\nprepare()\n',
  'within.py': 'import json\njson.loads("{")\n',
  'imports.py': 'import no_such_module\n',
  'nameless.py': 'def app(environ, start_response):\n    pass\n',
  'number.py': 'application = 3\n',
  'leaves.py': 'import sys\nsys.exit("not configured")\n',
  'unspeakable.py': 'class Bad(Exception):\n    def __str__(self):\n        raise RuntimeError("no text")\nraise Bad\n',
};
const stem = (name: string) => name.replace(/\..*/, '');

const pathOf = (s: HttpdServer) => {
  s.writeFile('modules/first_only.py', 'WHERE = "first"\n');
  s.writeFile('modules/both_have.py', 'WHERE = "first"\n');
  s.writeFile('modules/extra.pth', `${join(s.root, 'linked')}\n`);
  s.writeFile('linked/linked_only.py', 'WHERE = "linked"\n');
  s.writeFile('second/both_have.py', 'WHERE = "second"\n');
  // A module of the standard library's name: what the configuration names comes first.
  s.writeFile('second/colorsys.py', 'WHERE = "second"\n');
  // nwsgi offers a module of this name to those who have none.
  s.writeFile('second/apache.py', 'WHERE = "second"\n');
  return `${join(s.root, 'modules')}:${join(s.root, 'second')}`;
};
const finds = `
import json
def application(environ, start_response):
    import apache, both_have, colorsys, first_only, linked_only
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps([m.WHERE for m in (first_only, both_have, linked_only, colorsys, apache)]).encode()]
`;

describe('a script of Python', () => {
  const server = useServer({
    apps: ['loading.py'],
    directives: (s) => [
      ...Object.entries(broken).map(([name, source]) => `WSGIScriptAlias /${stem(name)} "${s.writeApp(name, source)}"`),
      `WSGIScriptAlias /as-wsgi "${s.writeApp('a b.wsgi', 'name = __name__\ndef application(environ, start_response):\n    start_response("200 OK", [])\n    return [name.encode()]\n')}"`,
      `WSGIScriptAlias /changes "${s.app('changes/changes.py')}" application-group=%{GLOBAL}`,
      `WSGIScriptAlias /absent "${s.app('absent.py')}"`,
      `WSGIScriptAlias /other "${s.app('loading.py')}" callable-object=other`,
      `WSGIScriptAlias /finds "${s.writeApp('finds.py', finds)}"`,
      `WSGIScriptAlias /imported "${s.writeApp('asks.py', 'import builtins\ndef application(environ, start_response):\n    start_response("200 OK", [])\n    return [builtins.imported_at_start.encode()]\n')}"`,
      `WSGIScriptAlias /also-a-mount "${s.app('at_start.py')}" application-group=%{GLOBAL}`,
      `WSGIImportScript "${s.writeApp('at_start.py', 'import builtins\nbuiltins.imported_at_start = builtins.__dict__.get("imported_at_start", "") + __name__\nprint("imported at start")\ndef application(environ, start_response):\n    start_response("200 OK", [])\n    return [imported_at_start.encode()]\n')}" process-group=${daemon ? 'nwsgi-test' : '%{GLOBAL}'} application-group=%{GLOBAL}`,
      `WSGIScriptAlias / "${s.app('loading.py')}"`,
      'WSGIApplicationEnv OF_THE_SCRIPT=told',
      'SetEnv OF_SETENV told',
      `WSGIPythonPath "${pathOf(s)}"`,
    ],
  });
  const facts = async (path = '/') => (await server.get(path)).json() as Facts;
  const failing = async (path: string) => {
    const since = server.mark();
    const { status } = await server.get(path);
    const log = (await server.expectLog(/NWSGI2\d{3}[^\n]*(?:\n[^\n]*)*/, { since }))[0];
    expect(log).not.toContain('nwsgi_host');
    expect(log).not.toContain('importlib');
    return { status, log };
  };

  it('is a module like any other: registered, with a spec, a file and a source; its objects can be pickled', async () => {
    const file = server.app('loading.py');
    const name = `_mod_wsgi_${createHash('md5').update(file).digest('hex')}`;
    expect(await facts()).toMatchObject({
      name,
      file,
      package: '',
      doc: 'Tells how it was loaded',
      spec: [name, file, true],
      loader: 'ScriptLoader',
      registered: true,
      found: file,
      pickled: 3,
      source: true,
      main: '__main__',
    });
  });

  it('can be reloaded by importlib', async () => {
    const { runs } = await facts();
    await facts('/?reload');
    expect((await facts()).runs).toBe(runs + 1);
  });

  it('sees mod_wsgi in sys.argv, and a Python in sys.executable', async () => {
    expect(await facts()).toMatchObject({ argv: ['mod_wsgi'], executable: expect.stringMatching(/^python3/) as string, prefix: '/usr' });
  });

  it('finds variables of WSGIApplicationEnv and SetEnv in os.environ', async () => {
    expect((await facts()).variable).toEqual(['told', 'told']);
  });

  it('runs anew when it was changed; what it has imported stays in a child, and is new in the process of a group', async () => {
    const write = (text: string) => {
      server.writeApp('changes/part_of_it.py', `TEXT = '${text}'\n`);
      server.writeApp('changes/changes.py', `import os, sys\nsys.path.append(os.path.dirname(__file__))\nimport part_of_it\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'script ${text}, module ', part_of_it.TEXT.encode()]\n`);
    };
    write('one');
    expect((await server.get('/changes')).text).toBe('script one, module one');
    write('other');
    const text = await waitFor('the new script', async () => (await server.get('/changes')).text.match(/script other.*/)?.[0]);
    expect(text).toBe(`script other, module ${daemon ? 'other' : 'one'}`);
  });

  it('may have any name that ends in .py or .wsgi, and leaves no bytecode behind', async () => {
    expect((await server.get('/as-wsgi')).text).toMatch(/^_mod_wsgi_[0-9a-f]{32}$/);
    expect(existsSync(server.app('__pycache__'))).toBe(false);
  });

  it('is run once, also for several callables', async () => {
    const { name } = (await facts()) as unknown as { name: string };
    expect((await server.get('/other')).json()).toEqual({ name, callable: 'other' });
  });

  it('finds the modules of WSGIPythonPath first, those that .pth files name among them; the host\'s own folder is not on sys.path', async () => {
    expect((await server.get('/finds')).json()).toEqual(['first', 'first', 'linked', 'second', 'second']);
    const { path } = await facts();
    expect(path.slice(0, 3)).toEqual([join(server.root, 'modules'), join(server.root, 'linked'), join(server.root, 'second')]);
    expect(path.filter((folder) => folder.includes('dist/python'))).toEqual([]);
    expect(path).not.toContain('');
  });

  it('is imported at start by WSGIImportScript, without a callable', async () => {
    if (!daemon) await server.expectLog(/imported at start/);
    expect((await server.get('/imported')).text).toMatch(/^_mod_wsgi_[0-9a-f]{32}$/);
    // It is not run again for a callable.
    expect((await server.get('/also-a-mount')).text).toMatch(/^_mod_wsgi_[0-9a-f]{32}$/);
  });

  it('with a syntax error is answered by 500, and the log has file, line and text', async () => {
    const { status, log } = await failing('/syntax');
    expect(status).toBe(500);
    expect(log).toMatch(/NWSGI2102/);
    expect(log).toMatch(/SyntaxError: expected ':' \(syntax\.wsgi, line 3\)/);
    expect(log).toMatch(/File "[^"]*syntax\.wsgi", line 3/);
  });

  it('that raises is answered by 500, and the log has a traceback that begins in the script', async () => {
    const { status, log } = await failing('/raises');
    expect(status).toBe(500);
    expect(log).toMatch(/NWSGI2102[^\n]*KeyError: 'the setting'/);
    const frames = [...log.matchAll(/File "([^"]*)", line (\d+), in (\S+)/g)].map(([, file, line, name]) => [basename(file as string), line, name]);
    expect(frames).toEqual([['raises.py', '6', '<module>'], ['raises.py', '4', 'prepare']]);
  });

  it('whose module is missing, or fails in a library, says so', async () => {
    expect((await failing('/imports')).log).toMatch(/NWSGI2102[^\n]*ModuleNotFoundError: No module named 'no_such_module'/);
    expect((await failing('/within')).log).toMatch(/JSONDecodeError[\s\S]*within\.py", line 2[\s\S]*json\/decoder\.py/);
  });

  it('whose exception has no text does no harm', async () => {
    const { status, log } = await failing('/unspeakable');
    expect(status).toBe(500);
    expect(log).toMatch(/NWSGI2102[^\n]*Bad/);
  });

  it('without the callable is told which one it has', async () => {
    const { status, log } = await failing('/nameless');
    expect(status).toBe(500);
    expect(log).toMatch(/NWSGI2103[^\n]*has no application; it has app/);
    expect((await failing('/number')).log).toMatch(/NWSGI2103[^\n]*application is no callable, but of type int/);
  });

  it('that exits ends neither the process nor other applications', async () => {
    const { pid } = await facts();
    const { status, log } = await failing('/leaves');
    expect(status).toBe(500);
    expect(log).toMatch(/NWSGI2604[^\n]*not configured/);
    expect((await facts()).pid).toBe(pid);
  });

  it('that is not there is answered by 404, and looked for again', async () => {
    expect((await server.get('/absent')).status).toBe(404);
    await server.expectLog(/NWSGI(1201|2101)[^\n]*absent\.py/);
    server.writeApp('absent.py', 'def application(environ, start_response):\n    start_response("200 OK", [])\n    return [b"there"]\n');
    expect((await waitFor('the script', async () => ((await server.get('/absent')).status === 200 ? server.get('/absent') : undefined))).text).toBe('there');
  });
});

describe('a virtual environment', () => {
  const server = useServer(
    {
      apps: ['loading.py'],
      directives: (s) => [
        `WSGIPythonHome "${join(s.root, 'venv')}"`,
        `WSGIScriptAlias / "${s.app('loading.py')}"`,
        `WSGIScriptAlias /has "${s.writeApp('has.py', 'import of_venv\ndef application(environ, start_response):\n    start_response("200 OK", [])\n    return [of_venv.WHERE.encode()]\n')}"`,
      ].reverse(),
    },
    (s) => {
      mkdirSync(s.root, { recursive: true });
      execFileSync('/usr/bin/python3', ['-m', 'venv', '--without-pip', join(s.root, 'venv')]);
      const version = execFileSync('/usr/bin/python3', ['-c', 'import sys; print("python%d.%d" % sys.version_info[:2])']).toString().trim();
      s.writeFile(`venv/lib/${version}/site-packages/of_venv.py`, 'WHERE = "venv"\n');
    },
  );

  it('named by WSGIPythonHome has its own packages, prefix and executable', async () => {
    expect((await server.get('/has')).text).toBe('venv');
    const facts = (await server.get('/')).json() as Facts;
    expect(facts.prefix).toBe(join(server.root, 'venv'));
    expect(facts.executable).toMatch(/^python3/);
    expect(facts.path.some((folder) => folder.startsWith(join(server.root, 'venv')))).toBe(true);
    expect(facts.path).not.toContain('/usr/lib/python3/dist-packages');
  });
});
