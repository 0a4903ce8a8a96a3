/** The two languages of applications. The suites in conformance/ say the same of both; each runs them with its own fixtures. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot, type HttpdServer, type Options } from '../harness/index.js';

interface Place {
  file: string;
  /** '' for the usual one. */
  callable: string;
}

export interface Language {
  readonly name: 'JavaScript' | 'Python';
  /** Where a fixture of that name is. */
  find(fixture: string): Place;
}

const scripts = readdirSync(join(projectRoot, 'test', 'fixtures', 'apps'));

/** A fixture is a file. */
export const javascript: Language = {
  name: 'JavaScript',
  find(fixture) {
    const file = ['mjs', 'cjs', 'ts'].map((extension) => `${fixture}.${extension}`).find((name) => scripts.includes(name));
    if (file === undefined) throw new Error(`test/fixtures/apps has no ${fixture}`);
    return { file, callable: '' };
  },
};

/** The callables of each script: "show-environ" is show_environ(); one that is alone has the usual name. */
const pythonScripts: Record<string, readonly string[]> = {
  'wsgi_notes.py': ['noted'],
  'wsgi_environ.py': ['show-environ', 'show-url', 'show-method', 'describe-environ'],
  'wsgi_callables.py': ['other-callable'],
  'wsgi_start.py': [
    ...['start-as-told', 'empty-block-first', 'start-twice', 'start-twice-uncaught', 'replaced-answer', 'exc-info-late', 'exc-info-released'],
    ...['constant-headers', 'no-headers', 'late-calls', 'two-cookies', 'own-date'],
  ],
  'wsgi_framing.py': ['told-length', 'told-result', 'hello'],
  'wsgi_transmission.py': ['slow-second-block', 'random-blocks', 'write-then-list', 'write-in-generator', 'write-only', 'bad-block'],
  'wsgi_ends.py': ['ends-somehow', 'close-throws', 'endless', 'fails', 'file-served', 'exits'],
  'wsgi_expect.py': ['ignore-body', 'hold-read', 'echo-body', 'read-after-first-block'],
  'wsgi_extensions.py': ['early-hints'],
  'wsgi_middleware.py': ['counting-middleware'],
};

export const python: Language = {
  name: 'Python',
  find(fixture) {
    const file = Object.keys(pythonScripts).find((name) => pythonScripts[name]?.includes(fixture));
    if (file === undefined) throw new Error(`there is no ${fixture} in Python`);
    return { file, callable: pythonScripts[file]?.length === 1 ? '' : fixture.replaceAll('-', '_') };
  },
};

/** Files of the fixtures, for `apps` of a server. */
export function filesOf(language: Language, fixtures: readonly string[]): string[] {
  // Python fixtures import the module of the notes.
  return [...new Set([...fixtures, 'noted'].map((fixture) => language.find(fixture).file))];
}

/** Mounts a fixture at a path, or at those that an expression matches, which begins with ^. */
export function mount(language: Language, server: HttpdServer, path: string, fixture: string, options = ''): string {
  const { file, callable } = language.find(fixture);
  return [`WSGIScriptAlias${path.startsWith('^') ? 'Match' : ''} ${path} "${server.app(file)}"`, ...(callable === '' ? [] : [`callable-object=${callable}`]), ...(options === '' ? [] : [options])].join(' ');
}

/** Options of a server with each fixture at its name, and the notes at /noted: in one environment, or one interpreter. */
export function laboratory(language: Language, fixtures: readonly string[], more: Options = {}): Options {
  const names = [...new Set(['noted', ...fixtures])];
  const directives = (server: HttpdServer): string[] => {
    const own = typeof more.directives === 'function' ? more.directives(server) : (more.directives ?? []);
    return ['WSGIApplicationGroup shared', ...names.map((name) => mount(language, server, `/${name}`, name)), ...(typeof own === 'string' ? [own] : own)];
  };
  return { ...more, apps: [...filesOf(language, names), ...(more.apps ?? [])], directives };
}

/** A code and the script of a fixture in one line of the error log. */
export const inLog = (language: Language, code: string, fixture: string): RegExp => new RegExp(`${code}[^\\n]*${language.find(fixture).file.replaceAll('.', '\\.')}`);
