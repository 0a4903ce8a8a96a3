/** Tells ES modules from CommonJS the way Node does, also where the running Node would not look at the syntax. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { initSync, parse } from 'es-module-lexer';

export type ModuleFormat = 'module' | 'commonjs';

/** Extensions of which Node knows what they are. */
export const NODE_EXTENSIONS = new Set(['.js', '.mjs', '.cjs', '.json', '.node', '.wasm']);
export const TYPESCRIPT_EXTENSIONS = new Set(['.ts', '.mts', '.cts']);

/** The "type" of the nearest package.json, undefined when there is none. */
export function packageType(file: string): ModuleFormat | undefined {
  for (let directory = dirname(file); ; ) {
    const manifest = join(directory, 'package.json');
    if (existsSync(manifest)) {
      const { type } = JSON.parse(readFileSync(manifest, 'utf8')) as { type?: unknown };
      return type === 'module' || type === 'commonjs' ? type : undefined;
    }
    const parent = dirname(directory);
    if (parent === directory || directory.endsWith('/node_modules')) return undefined;
    directory = parent;
  }
}

/** True when JavaScript text has import or export statements or import.meta. */
export function hasModuleSyntax(source: string): boolean {
  initSync();
  try {
    return parse(source)[3];
  } catch {
    // Not parsable: whoever compiles it has the better message.
    return false;
  }
}

/** Imports and exports that only CommonJS has, in TypeScript. */
const COMMONJS_SYNTAX = /^[ \t]*(?:export\s*=|import\s+[\w$]+\s*=\s*require\b)/m;

/** The format of a file that holds `source`. */
export function formatOf(file: string, source: string): ModuleFormat {
  const extension = extname(file);
  if (extension === '.mjs' || extension === '.mts') return 'module';
  if (extension === '.cjs' || extension === '.cts') return 'commonjs';
  const type = packageType(file);
  if (type !== undefined && (extension === '.js' || extension === '.ts')) return type;
  if (extension === '.ts' && COMMONJS_SYNTAX.test(source)) return 'commonjs';
  // The lexer looks for import and export only and passes over types.
  return hasModuleSyntax(source) ? 'module' : 'commonjs';
}
