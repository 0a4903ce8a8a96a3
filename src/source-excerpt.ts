/** The lines of code around the place where an error arose. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stackOf } from './errors.js';

export interface ExcerptLine {
  number: number;
  text: string;
  hit: boolean;
}

export interface Excerpt {
  file: string;
  line: number;
  lines: ExcerptLine[];
}

const AROUND = 5;
const LARGEST_FILE = 2 * 1024 * 1024;
const OWN_DIRECTORY = dirname(fileURLToPath(import.meta.url)) + sep;
/** `at f (file:///a/b.ts:3:5)`, `at /a/b.js:3:5`, and the first line of a syntax error: `file:///a/b.js:3`. */
const FRAME = /(?:^|\(|\s)((?:file:\/\/)?\/[^()\n]*?):(\d+)(?::\d+)?\)?$/;

/** Around the first frame that belongs to the application; undefined when there is none that can be read. */
export function excerptFor(error: unknown): Excerpt | undefined {
  for (const frame of stackOf(error).split('\n')) {
    const match = FRAME.exec(frame);
    if (match === null) continue;
    const file = pathOf(match[1] as string);
    if (file === undefined || file.startsWith(OWN_DIRECTORY) || file.includes(`${sep}node_modules${sep}`)) continue;
    const excerpt = read(file, Number(match[2]));
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

function read(file: string, line: number): Excerpt | undefined {
  try {
    const { size } = statSync(file);
    if (size > LARGEST_FILE) return undefined;
    const all = readFileSync(file, 'utf8').split('\n');
    if (line < 1 || line > all.length) return undefined;
    const first = Math.max(1, line - AROUND);
    const lines = all
      .slice(first - 1, line + AROUND)
      .map((text, i) => ({ number: first + i, text: text.slice(0, 300), hit: first + i === line }));
    return { file, line, lines };
  } catch {
    return undefined;
  }
}
