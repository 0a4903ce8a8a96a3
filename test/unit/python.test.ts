/** The parts of the gateway for Python that need no Python. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pageFor } from '../../src/error-page.js';
import { logText, NwsgiError, Problem, stackOf, summary } from '../../src/errors.js';
import { choosePython } from '../../src/python/choose.js';
import { PythonError } from '../../src/python/error.js';
import { isPythonScript } from '../../src/python/recognise.js';
import { pythonRemedyOf } from '../../src/python/remedies.js';
import { remedyFor } from '../../src/remedies.js';
import { foreignInTraceback } from '../../src/source-excerpt.js';
import { pythonConfig } from '../../src/supervisor/python-config.js';

const folder = mkdtempSync(join(tmpdir(), 'nwsgi-python-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const traceback = `Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/flask/app.py", line 5, in dispatch
    return view()
  File "/srv/shop/views.py", line 7, in view
    raise ValueError('no such thing')
ValueError: no such thing
`;
const error = new PythonError({ problem: 'applicationFailed', summary: 'ValueError: no such thing', traceback, file: '/srv/shop/views.py', line: 7 });

describe('scripts of Python', () => {
  it.each([['/srv/app.py', true], ['/srv/django.wsgi', true], ['/srv/app.mjs', false], ['/srv/app.py.mjs', false], ['/srv/py', false], ['/srv/app.PY', false]])('%s: %s', (path, expected) => {
    expect(isPythonScript(path)).toBe(expected);
  });
});

describe('an exception of Python', () => {
  it('is logged with its traceback, in the words of Python', () => {
    expect(summary(error)).toBe('ValueError: no such thing');
    expect(stackOf(error)).toBe(traceback);
    const text = logText(Problem.applicationFailed, 'script /srv/shop/wsgi.py, GET /', error);
    expect(text).toBe(`NWSGI2201 The application threw an exception: ValueError: no such thing (script /srv/shop/wsgi.py, GET /). ${pythonRemedyOf(Problem.applicationFailed)}\n${traceback}`);
    const silent = new PythonError({ problem: 'badResult', summary: 'None', traceback: '', file: '', line: 0 });
    expect(logText(Problem.badResult, 'x', silent)).not.toContain('\n');
  });

  it('is shown with the frames of libraries dimmed', () => {
    expect(foreignInTraceback(traceback.split('\n'))).toEqual([false, true, true, false, false, false, false]);
    const { body } = pageFor({ problem: Problem.applicationFailed, error, environ: {}, status: 500, place: 'script', language: 'Python 3.11.2' });
    expect(body).toContain('<span class="dim">  File &quot;/usr/lib/python3');
    expect(body).toContain('Python 3.11.2');
  });

  it.each([
    ["ModuleNotFoundError: No module named 'flask'", /If flask is a package, install it for the Python that serves/],
    ["PermissionError: [Errno 13] Permission denied: '/srv/data.db'", /let that user have \/srv\/data\.db/],
    ["SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?", /written for Python 2/],
  ])('%s: there is advice', (text, advice) => {
    expect(remedyFor(Problem.scriptFailed, new PythonError({ problem: 'scriptFailed', summary: text, traceback: '', file: '', line: 0 }))).toMatch(advice);
  });

  it('gets no advice that is for JavaScript', () => {
    for (const problem of [Problem.applicationFailed, Problem.badResult, Problem.badChunk, Problem.badStatus, Problem.badHeaders, Problem.startedTwice, Problem.shortBody, Problem.longBody, Problem.callableMissing, Problem.scriptFailed, Problem.badFile]) {
      expect(logText(problem, 'x', error), problem.code).not.toMatch(/startResponse|Buffer|JSON\.|export |promise|stack trace/);
    }
  });
});

describe('the choice of a Python', () => {
  const addons = join(folder, 'addons');
  mkdirSync(addons);
  for (const version of ['3.9', '3.11', '3.12']) writeFileSync(join(addons, `nwsgi_python_${version}.node`), '');

  const home = (name: string, files: Record<string, string>, links: Record<string, string> = {}): string => {
    for (const part of ['bin', 'lib']) mkdirSync(join(folder, name, part), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
    for (const [file, target] of Object.entries(links)) symlinkSync(target, join(folder, name, file));
    return join(folder, name);
  };

  it('takes the version of a virtual environment', () => {
    for (const line of ['version = 3.12.1', 'version_info = 3.12.1.final.0']) {
      const venv = home(line.split(' ')[0] as string, { 'pyvenv.cfg': `home = /usr/bin\n${line}\n`, 'bin/python3': '' });
      expect(choosePython(addons, venv)).toEqual({ version: '3.12', addon: join(addons, 'nwsgi_python_3.12.node'), executable: join(venv, 'bin/python3'), home: '' });
    }
  });

  it('takes the version of an installation', () => {
    const installed = home('installed', { 'bin/python3.9': '' }, { 'bin/python3': 'python3.9' });
    expect(choosePython(addons, installed)).toMatchObject({ version: '3.9', home: installed });
  });

  it('names what is missing', () => {
    const venv = home('newer', { 'pyvenv.cfg': 'version = 3.13.0\n', 'bin/python3': '' });
    const refusal = (work: () => unknown): NwsgiError => {
      try {
        work();
      } catch (thrown) {
        return thrown as NwsgiError;
      }
      throw new Error('was not refused');
    };
    expect(refusal(() => choosePython(addons, venv)).message).toMatch(/not built for Python 3\.13 .*there is one for 3\.9, 3\.11, 3\.12.*python3\.13-dev/);
    expect(refusal(() => choosePython(addons, join(folder, 'nothing'))).message).toMatch(/has no bin\/python3/);
    expect(refusal(() => choosePython(join(folder, 'nothing'), '')).code).toBe('NWSGI2601');
  });

  it('takes the newest where there is none of the system', () => {
    const only = join(folder, 'only');
    mkdirSync(only);
    for (const version of ['3.8', '3.10']) writeFileSync(join(only, `nwsgi_python_${version}.node`), '');
    expect(choosePython(only, '').version).toBe('3.10');
  });
});

describe('the settings for Python that a supervisor gets', () => {
  it('pass through when they are what they should be', () => {
    expect(pythonConfig({ home: '/venv', path: ['/a'], threads: 3, other: 1 })).toEqual({ home: '/venv', path: ['/a'], threads: 3 });
    for (const wrong of [{ home: 1 }, { path: '/a' }, { path: [1] }, { threads: '3' }, { restrictStdin: 1 }]) expect(() => pythonConfig(wrong)).toThrow(/python\./);
  });
});
