/**
 * Finds the place of a syntax error. Node tells it only on its own standard error for ES modules: the error that an
 * application or the gateway catches has neither file nor line.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { TYPESCRIPT_EXTENSIONS } from './module-format.js';
import { sourcesFrom } from './module-graph.js';
import { excerptFor } from './source-excerpt.js';
import { stripTypes } from './typescript.js';

/** What V8 says in a module about an await outside of an async function; in a script it is more eloquent. */
const MISPLACED_AWAIT = 'Unexpected reserved word';

interface Place {
  file: string;
  line: number;
  column: number;
}

/** How V8 begins the stack of a syntax error when it tells the place: file and line, the text, a mark below it. */
const MARKED = /^((?:file:\/\/)?\/[^\n]*):(\d+)\n[^\n]*\n([ \t]*)\^/;
/** Opens what makes a script of a module: strict, with top-level await. Its line is number 0. */
const OPENING = '(async () => { "use strict";\n';

/**
 * If `error`, with which the load of `script` failed, is a syntax error, its message and stack name the place from now
 * on. Never throws.
 */
export function locateSyntaxError(error: unknown, script: string, source: string): void {
  try {
    if (!(error instanceof SyntaxError) || typeof error.stack !== 'string') return;
    const place = markedPlace(error.stack) ?? (excerptFor(error) === undefined ? search(error.message, script, source) : undefined);
    if (place === undefined) return;
    const at = `${place.file}:${place.line}:${place.column}`;
    const { stack, message } = error;
    error.message = `${message} (${at})`;
    error.stack = stack.replace(`SyntaxError: ${message}`, () => `SyntaxError: ${message}\n    at ${at}`);
  } catch {
    // The error stays as it is.
  }
}

function markedPlace(stack: string): Place | undefined {
  const match = MARKED.exec(stack);
  if (match === null) return undefined;
  const [, location = '', line = '', indent = ''] = match;
  return { file: location.startsWith('file:') ? fileURLToPath(location) : location, line: Number(line), column: indent.length + 1 };
}

/** The first file, of those that the script leads to, in which V8 finds the same error. */
function search(message: string, script: string, source: string): Place | undefined {
  for (const { file, text } of sourcesFrom(script, source)) {
    const place = compileAsScript(file, TYPESCRIPT_EXTENSIONS.has(extname(file)) ? stripTypes(text, file) : text, message);
    if (place !== undefined) return place;
  }
  return undefined;
}

function compileAsScript(file: string, text: string, message: string): Place | undefined {
  try {
    new Script(`${OPENING}${withoutModuleSyntax(text)}\n})`, { filename: file, lineOffset: -1 });
    return undefined;
  } catch (error) {
    const found = error as Error;
    const lines = text.split('\n');
    // What is left open in the module closes nothing of the script.
    const atEnd = message === 'Unexpected end of input';
    const place = markedPlace(found.stack ?? '');
    const isSame = found.message === message || atEnd || (message === MISPLACED_AWAIT && found.message.startsWith('await '));
    if (place === undefined || !isSame) return undefined;
    if (!atEnd && place.line <= lines.length) return place;
    return { file, line: lines.length, column: (lines.at(-1) as string).length + 1 };
  }
}

/** Blanks import and export declarations; every other character stays where it is. */
function withoutModuleSyntax(text: string): string {
  const blank = (found: string): string => found.replace(/[^\n]/g, ' ');
  return text
    .replace(/\bimport\.meta\b/g, 'import_meta')
    .replace(/^[ \t]*import\b(?!\s*[(.])[^'"`;]*(['"])[^'"\n]*\1(?:\s*(?:with|assert)\s*\{[^}]*\})?/gm, blank)
    .replace(/^[ \t]*export\s*(?:\*[^'";]*|\{[^}]*\})(?:\s*from\s*)?(?:(['"])[^'"\n]*\1)?/gm, blank)
    .replace(/^([ \t]*)export\s+default\b/gm, (found) => found.replace(/export(\s+)default/, '_ =  $1     '))
    .replace(/^[ \t]*export\b(?=\s+(?:const|let|var|class|function|async)\b)/gm, blank);
}
