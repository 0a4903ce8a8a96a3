/** The lines of code around the place where an error arose. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stackOf } from './errors.js';
import { isPythonError } from './python/error.js';

export interface ExcerptLine {
  number: number;
  text: string;
  hit: boolean;
}

export interface Excerpt {
  file: string;
  line: number;
  /** 0 when it is not known. */
  column: number;
  lines: ExcerptLine[];
}

const AROUND = 5;
const LARGEST_FILE = 2 * 1024 * 1024;
const OWN_DIRECTORY = dirname(fileURLToPath(import.meta.url)) + sep;
/**
 * `at f (file:///a/b.ts:3:5)`, `at /a/b.js:3:5`, the first line of a syntax error: `file:///a/b.js:3`, and that of the
 * TypeScript converter: `/a/b.ts:3:5: Expression expected`.
 */
const FRAME = /(?:^|\(|\s)((?:file:\/\/)?\/[^()\n]*?):(\d+)(?::(\d+))?\)?(?:$|: )/;

/** True for a line of a stack that is not the application's: the gateway's own or Node's. */
export function isForeignFrame(frame: string): boolean {
  if (!/^\s+at /.test(frame)) return false;
  if (/[( ]node:/.test(frame)) return true;
  const match = FRAME.exec(frame);
  return match !== null && pathOf(match[1] as string)?.startsWith(OWN_DIRECTORY) === true;
}

/** `  File "/usr/lib/python3/dist-packages/flask/app.py", line 5, in f` */
const PYTHON_FRAME = /^\s+File "([^"]+)", line \d+/;
const PYTHON_LIBRARY = /\/(?:site-packages|dist-packages|lib(?:64)?\/python3(?:\.\d+)?)\/|^</;

/** For each line of a Python traceback, whether it is about code that is not the application's own. */
export function foreignInTraceback(lines: readonly string[]): boolean[] {
  let foreign = false;
  return lines.map((line) => {
    const file = PYTHON_FRAME.exec(line)?.[1];
    if (file !== undefined) foreign = PYTHON_LIBRARY.test(file);
    else if (!line.startsWith('    ')) foreign = false;
    return foreign;
  });
}

/** Around the first frame that belongs to the application; undefined when there is none that can be read. */
export function excerptFor(error: unknown): Excerpt | undefined {
  if (isPythonError(error)) return error.file === '' ? undefined : read(error.file, error.line, 0);
  for (const frame of stackOf(error).split('\n')) {
    const match = FRAME.exec(frame);
    if (match === null) continue;
    const file = pathOf(match[1] as string);
    if (file === undefined || file.startsWith(OWN_DIRECTORY) || file.includes(`${sep}node_modules${sep}`)) continue;
    const excerpt = read(file, Number(match[2]), Number(match[3] ?? 0));
    if (excerpt !== undefined) return excerpt;
  }
  return undefined;
}

function pathOf(location: string): string | undefined {
  try {
    return location.startsWith('file:') ? fileURLToPath(location) : location;
  } catch {
    return undefined;
  }
}

function read(file: string, line: number, column: number): Excerpt | undefined {
  try {
    const { size } = statSync(file);
    if (size > LARGEST_FILE) return undefined;
    const all = readFileSync(file, 'utf8').split('\n');
    if (line < 1 || line > all.length) return undefined;
    const first = Math.max(1, line - AROUND);
    const lines = all
      .slice(first - 1, line + AROUND)
      .map((text, i) => ({ number: first + i, text: text.slice(0, 300), hit: first + i === line }));
    return { file, line, column, lines };
  } catch {
    return undefined;
  }
}
