/**
 * Turns TypeScript into JavaScript with amaro, the converter that Node itself contains. Types are replaced by blanks,
 * so that positions stay right without a source map; only syntax that has an effect at run time (enums, parameter
 * properties, namespaces) makes it fall back to a conversion with an inline source map.
 *
 * amaro is a WebAssembly module of 3.7 MB: it is loaded when the first TypeScript file is met.
 */
import { createRequire } from 'node:module';
import { NwsgiError, Problem } from './errors.js';

type Amaro = typeof import('amaro');

let amaro: Amaro | undefined;

function load(): Amaro {
  return (amaro ??= createRequire(import.meta.url)('amaro') as Amaro);
}

function needsTransform(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'UnsupportedSyntax';
}

/** JavaScript for the TypeScript text `source` of `file`. Throws NwsgiError NWSGI2104. */
export function stripTypes(source: string, file: string): string {
  const { transformSync } = load();
  try {
    return transformSync(source, { mode: 'strip-only', filename: file }).code;
  } catch (error) {
    if (!needsTransform(error)) throw failure(file, error);
  }
  try {
    const { code, map } = transformSync(source, { mode: 'transform', sourceMap: true, filename: file });
    if (map === undefined) return code;
    return `${code}\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString('base64')}`;
  } catch (error) {
    throw failure(file, error);
  }
}

function failure(file: string, error: unknown): NwsgiError {
  const { message, startLine, startColumn } = (error ?? {}) as Record<string, unknown>;
  const at = typeof startLine === 'number' ? `:${startLine}:${typeof startColumn === 'number' ? startColumn + 1 : 1}` : '';
  const text = typeof message === 'string' ? message : String(error);
  return new NwsgiError(Problem.typeScriptFailed, `${file}${at}: ${text}`);
}
