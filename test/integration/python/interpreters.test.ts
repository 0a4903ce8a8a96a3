/** Application groups of Python applications: the main interpreter, sub-interpreters of a child, processes of a group. */
import { existsSync, readFileSync, chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemon, mpms, processGroup, sleep, useServer, waitFor, withServer, type HttpdServer } from '../harness/index.js';

interface Facts {
  pid: number;
  interpreter: number;
  main: boolean;
  marks: Record<string, string>;
  environ: string[];
  groups: string[];
  name: string;
  extensions: unknown[] | null;
  fork: unknown;
  multi: boolean[];
}

const options = {
  apps: ['interpreter_facts.py', 'identity.mjs'],
  children: 1,
  directives: (s: HttpdServer) => [
    `WSGIScriptAlias /one "${s.app('interpreter_facts.py')}" application-group=one`,
    `WSGIScriptAlias /also-one "${s.writeApp('other.wsgi', readFileSync(s.app('interpreter_facts.py'), 'utf8'))}" application-group=one`,
    `WSGIScriptAlias /two "${s.app('interpreter_facts.py')}" application-group=two`,
    `WSGIScriptAlias /global "${s.app('interpreter_facts.py')}" application-group=%{GLOBAL}`,
    `WSGIScriptAlias /odd-name "${s.app('interpreter_facts.py')}" application-group=gr\u00fc\u00dfe`,
    `WSGIScriptAlias /javascript "${s.app('identity.mjs')}"`,
    `WSGIScriptAlias / "${s.app('interpreter_facts.py')}"`,
  ],
};

// The worker MPM is to applications what event is.
describe.each(mpms.filter((mpm) => mpm === 'event' || (mpm === 'prefork' && !daemon)))('application groups (%s)', (mpm) => {
  const server = useServer({ ...options, mpm });
  const facts = async (path: string) => (await server.get(path)).json() as Facts;

  it('without a name: scripts are in the main interpreter, which is %{GLOBAL}', async () => {
    const [plain, global] = [await facts('/'), await facts('/global')];
    expect(plain).toMatchObject({ main: true, groups: [daemon ? processGroup : '', '', ''] });
    expect(global).toMatchObject({ main: true, pid: plain.pid, interpreter: plain.interpreter, name: plain.name });
  });

  it('with a name: modules, builtins and os.environ of their own, shared by the scripts of the group', async () => {
    await facts('/?mark=global');
    await facts('/one?mark=one');
    const [one, also, two, main] = [await facts('/one'), await facts('/also-one'), await facts('/two'), await facts('/')];
    expect(one).toMatchObject({ main: daemon, marks: { 'mark=one': '/one' }, groups: [daemon ? processGroup : '', 'one', 'one'] });
    expect(one.environ).toContain('MARK_OF_one');
    expect(also).toMatchObject({ marks: one.marks, pid: one.pid, interpreter: one.interpreter });
    expect(also.name).not.toBe(one.name);
    expect(two).toMatchObject({ main: daemon, marks: {}, groups: [daemon ? processGroup : '', 'two', 'two'] });
    expect(main).toMatchObject({ main: true, marks: { 'mark=global': '' } });
    // In httpd's child all are in one process; a process group gives each application group a process.
    expect(new Set([one.pid, two.pid, main.pid]).size).toBe(daemon ? 3 : 1);
  });

  it('may have any name', async () => {
    expect(await facts('/odd-name?mark=odd')).toMatchObject({ main: daemon, marks: { 'mark=odd': '/odd-name' } });
  });

  it('C extensions work in each of them', async () => {
    for (const path of ['/', '/one', '/two']) {
      expect((await facts(`${path}?extensions`)).extensions).toEqual([42, '0.3', true, true, true]);
    }
  });

  it('fork() works in the main interpreter, also beside others; a sub-interpreter refuses it', async () => {
    await facts('/one');
    expect((await facts('/?fork')).fork).toBe(5);
    expect((await facts('/one?fork')).fork).toEqual(daemon ? 5 : expect.stringMatching(/^RuntimeError: fork is possible in the main interpreter only/));
  });

  it('are served beside JavaScript in the same process', async () => {
    expect((await server.get('/javascript')).status).toBe(200);
    expect((await facts('/')).multi).toEqual([mpm !== 'prefork' || daemon, false, false]);
  });
});

describe('the end of interpreters', () => {
  const source = (file: string) => `
import atexit, mod_wsgi
def note(text):
    with open(${JSON.stringify(file)}, 'a') as out:
        out.write(f'{mod_wsgi.application_group or "main"} {text}\\n')
mod_wsgi.subscribe_shutdown(lambda name, **event: note(name))
atexit.register(note, 'atexit')
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'ok']
`;
  const run = async (directives: string[]) => {
    let notes: string[] = [];
    await withServer({
      directives: (s) => {
        writeFileSync(join(s.root, 'notes'), '');
        chmodSync(join(s.root, 'notes'), 0o666);
        const script = s.writeApp('ends.py', source(join(s.root, 'notes')));
        return [...directives, `WSGIScriptAlias /named "${script}" application-group=named`, `WSGIScriptAlias / "${script}"`];
      },
    }, async (s) => {
      for (const path of ['/', '/named']) expect((await s.get(path)).text).toBe('ok');
      await sleep(200);
      process.kill(s.pid, 'SIGTERM');
      await waitFor('the end of the server', () => !s.running, 10_000);
      notes = existsSync(join(s.root, 'notes')) ? readFileSync(join(s.root, 'notes'), 'utf8').trim().split('\n').sort() : [];
    });
    return notes;
  };

  it('is told to each of them, and atexit runs in each', async () => {
    expect(await run([])).toEqual(['main atexit', 'main process_stopping', 'named atexit', 'named process_stopping']);
  });

  it('with WSGIDestroyInterpreter Off they are told, and not taken apart', async () => {
    expect(await run(['WSGIDestroyInterpreter Off'])).toEqual(['main process_stopping', 'named process_stopping']);
  });
});
