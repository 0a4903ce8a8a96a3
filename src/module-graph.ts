/** The files that a script imports by name, found without running anything. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rewriteSpecifier } from './hooks.js';
import { TYPESCRIPT_EXTENSIONS } from './module-format.js';

export interface SourceFile {
  file: string;
  text: string;
}

/** Files that are looked at, at most. */
const MOST_FILES = 2000;
/** What import, export … from and require name, if it is a file. A mention in a comment does no harm. */
const FILE_SPECIFIER = /\b(?:from|import|require)\s*\(?\s*(['"`])((?:\.{1,2}\/|\/|file:\/\/)[^'"`\n]+)\1/g;
const GUESSES = ['', '.js', '/index.js'];

/** `script` itself, then the files that it leads to; packages are left out. */
export function* sourcesFrom(script: string, source: string): Generator<SourceFile, void, undefined> {
  const seen = new Set([script]);
  const waiting: SourceFile[] = [{ file: script, text: source }];
  for (let module = waiting.pop(); module !== undefined; module = waiting.pop()) {
    yield module;
    for (const [, , specifier] of module.text.matchAll(FILE_SPECIFIER)) {
      const file = locate(specifier as string, module.file);
      if (file === undefined || seen.has(file) || seen.size >= MOST_FILES || !/\.[cm]?[jt]s$/.test(file)) continue;
      seen.add(file);
      waiting.push({ file, text: readFileSync(file, 'utf8') });
    }
  }
}

/**
 * True when `script`, or a file that it leads to, is TypeScript. Node keeps a failed import for good, so that it would
 * be too late to help when it has met the first one.
 */
export function reachesTypeScript(script: string, source: string): boolean {
  for (const { file } of sourcesFrom(script, source)) {
    if (TYPESCRIPT_EXTENSIONS.has(extname(file))) return true;
  }
  return false;
}

/** The file that `specifier` means in `from`; undefined when there is none that can be read. */
function locate(specifier: string, from: string): string | undefined {
  try {
    const meant = rewriteSpecifier(specifier, pathToFileURL(from).href);
    const path = meant.startsWith('file:') ? fileURLToPath(meant) : resolve(dirname(from), meant.replace(/[?#].*$/, ''));
    return GUESSES.map((ending) => path + ending).find((file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true);
  } catch {
    return undefined;
  }
}
