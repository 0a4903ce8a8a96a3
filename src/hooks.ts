/**
 * What the module hooks do, for both kinds of them: in the thread of the application (Node 22.15 and later) and in a
 * thread of their own (before). Synchronous throughout, so that one text serves both.
 */
import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatOf, NODE_EXTENSIONS, packageType, TYPESCRIPT_EXTENSIONS } from './module-format.js';
import type { ModuleFormat } from './module-format.js';
import { stripTypes } from './typescript.js';

/** `./x.js` means `./x.ts` when only that exists: what TypeScript sources say. */
const COMPILED = /\.([cm]?)js$/;
const RELATIVE = /^(?:\.{1,2}\/|\/|file:)/;

export interface LoadedModule {
  format: ModuleFormat;
  source: string;
}

/** The specifier to resolve instead of `specifier`: `./x.js` and `./x` may name a TypeScript file, if nothing else. */
export function rewriteSpecifier(specifier: string, parentUrl: string | undefined): string {
  if (!RELATIVE.test(specifier)) return specifier;
  if (!specifier.startsWith('file:') && parentUrl?.startsWith('file:') !== true) return specifier;
  const bare = !/\.[^/]*$/.test(specifier);
  if (!(bare || COMPILED.test(specifier)) || existsSync(new URL(specifier, parentUrl))) return specifier;
  if (bare && existsSync(new URL(`${specifier}.js`, parentUrl))) return specifier;
  const typed = bare ? `${specifier}.ts` : specifier.replace(COMPILED, '.$1ts');
  return existsSync(new URL(typed, parentUrl)) ? typed : specifier;
}

/** Since 20.19 and 22.7 Node looks at the syntax of a .js file without a "type". */
export function nodeDetectsSyntax(version: string = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 7) || (major === 20 && minor >= 19);
}

/** The module at `url` if Node would not understand it by itself. */
export function loadModule(url: string): LoadedModule | undefined {
  if (!url.startsWith('file:')) return undefined;
  const file = fileURLToPath(url);
  const extension = extname(file);
  if (TYPESCRIPT_EXTENSIONS.has(extension)) {
    const source = readFileSync(file, 'utf8');
    return { format: formatOf(file, source), source: stripTypes(source, file) };
  }
  const unclear = !NODE_EXTENSIONS.has(extension) || (extension === '.js' && !nodeDetectsSyntax() && packageType(file) === undefined);
  if (!unclear) return undefined;
  const source = readFileSync(file, 'utf8');
  return { format: formatOf(file, source), source };
}
