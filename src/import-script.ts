/** Runs a script and gives what it exports, in whatever format it is. */
import { readFile } from 'node:fs/promises';
import Module, { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { codeOf, NwsgiError, Problem, problemOf } from './errors.js';
import { prepareHooks } from './hooks-install.js';
import { formatOf } from './module-format.js';
import type { ScriptExports } from './recognise.js';
import { locateSyntaxError } from './syntax-error.js';

export interface ImportedScript {
  readonly exports: ScriptExports;
  readonly source: string;
}

type Exports = Record<string, unknown>;

/**
 * `asMain`: CommonJS runs as the program, so that `require.main === module` holds in it. ES modules see process.argv[1].
 * `prepare` gets the text before that.
 */
export async function importScript(script: string, asMain: boolean, prepare: (source: string) => void): Promise<ImportedScript> {
  const source = await readFile(script, 'utf8');
  prepare(source);
  try {
    const format = formatOf(script, source);
    prepareHooks(script, source, format);
    if (format === 'module') {
      const named = (await import(pathToFileURL(script).href)) as Exports;
      return { exports: { named, fallback: named.default }, source };
    }
    return { exports: fromCommonJs(asMain ? runAsMain(script) : createRequire(script)(script)), source };
  } catch (error) {
    passOverTwin(error);
    locateSyntaxError(error, script, source);
    throw original(error);
  }
}

function runAsMain(script: string): unknown {
  const { _load: load } = Module as unknown as { _load(request: string, parent: null, isMain: boolean): unknown };
  return load.call(Module, script, null, true);
}

function fromCommonJs(exported: unknown): ScriptExports {
  if (!isObject(exported)) return { named: {}, fallback: exported };
  const compiled = typeof exported === 'object' && exported.__esModule === true;
  // Compiled from an ES module, or with its form; a function may refuse to be asked for properties.
  const hasDefault = compiled || (typeof exported === 'object' && exported.default !== undefined);
  return { named: exported, fallback: hasDefault ? exported.default : exported };
}

function isObject(value: unknown): value is Exports {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/**
 * When CommonJS that an ES module imports fails, Node rejects a second promise with the same error, and nobody can
 * reach that one: without this the failed load would end the environment.
 */
function passOverTwin(error: unknown): void {
  const listener = (reason: unknown): void => {
    if (reason !== error && process.listenerCount('unhandledRejection') === 1) throw reason;
  };
  process.on('unhandledRejection', listener);
  setImmediate(() => process.removeListener('unhandledRejection', listener));
}

/** Errors of the hooks thread arrive as copies: only their properties tell what they were. */
function original(error: unknown): unknown {
  const isCopy = problemOf(error) === undefined && codeOf(error) === Problem.typeScriptFailed.code;
  return isCopy ? new NwsgiError(Problem.typeScriptFailed, (error as Error).message) : error;
}
