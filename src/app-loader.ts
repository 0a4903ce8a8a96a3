/** Loads scripts and finds their callables; each script once for each environment. */
import { access, constants, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { codeOf, logText, NwsgiError, NwsgiTypeError, Problem, problemOf } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { show } from './wsgi/head.js';
import { prepareHooks } from './hooks-install.js';
import { formatOf } from './module-format.js';
import { LogLevel } from './native.js';
import type { NativeBridge, Preload } from './native.js';
import { locateSyntaxError } from './syntax-error.js';
import type { Application } from './application.js';
import { placeOf } from './exchange.js';
import type { Target } from './record.js';
import { WsgiKind } from './wsgi/application.js';
import type { WsgiApplication } from './wsgi/types.js';

/** Why a request for a script cannot be served. */
export interface LoadFailure {
  problem: CatalogueEntry;
  error: unknown;
  status: number;
}

export type LoadOutcome = { readonly application: Application; readonly failure?: undefined } | { readonly failure: LoadFailure };

/** What the request that needs an application says about it. */
export interface LoadWishes {
  readonly reloading: boolean;
  /** See Instructions.environment. */
  readonly environment: string;
}

type Exports = Record<string, unknown>;
type ImportOutcome = { readonly exports: Exports; readonly failure?: undefined } | { readonly failure: LoadFailure };

interface Script {
  module: Promise<ImportOutcome>;
  watched: boolean;
}

export class AppLoader {
  readonly #bridge: NativeBridge;
  readonly #version: string;
  readonly #scripts = new Map<string, Script>();

  constructor(bridge: NativeBridge, version: string) {
    this.#bridge = bridge;
    this.#version = version;
  }

  /** Loads the script, unless that has begun already, and returns its application or the reason why there is none. */
  async load(target: Target, wishes: LoadWishes): Promise<LoadOutcome> {
    const { callable, type } = target;
    const { reloading, environment } = wishes;
    // The record has the bytes of the path; Node wants its text.
    const script = Buffer.from(target.script, 'latin1').toString();
    let entry = this.#scripts.get(script);
    if (entry === undefined) {
      entry = { module: this.#import(script, target, wishes), watched: reloading };
      this.#scripts.set(script, entry);
    } else if (reloading && !entry.watched) {
      entry.watched = true;
      this.#bridge.watch(script, callable, type, environment);
    }
    const { failure, exports } = (await entry.module) as { failure?: LoadFailure; exports: Exports };
    if (failure !== undefined) {
      // Nothing of a missing file is in the module cache, so that a later request may try again.
      if (failure.problem === Problem.scriptMissing) this.#scripts.delete(script);
      return { failure };
    }
    try {
      const found = findCallable(exports, callable);
      if (typeof found !== 'function') throw missing(script, callable, found, exports);
      return { application: new WsgiKind(found as WsgiApplication, this.#version) };
    } catch (error) {
      this.#bridge.loadFailed(script);
      return { failure: { problem: problemOf(error) ?? Problem.scriptFailed, error, status: 500 } };
    }
  }

  /** Loads scripts ahead of the first request; returns what to tell the host: '' or what did not load. */
  async preload(scripts: readonly Preload[]): Promise<string> {
    const failed: string[] = [];
    for (const { script, callable, type, reloading, environment } of scripts) {
      const target: Target = { type, callable, script: Buffer.from(script).toString('latin1') };
      const { failure } = await this.load(target, { reloading, environment });
      if (failure === undefined) continue;
      this.#bridge.log(0, LogLevel.error, logText(failure.problem, placeOf(target), failure.error));
      failed.push(script);
    }
    return failed.length === 0 ? '' : `${Problem.preloadFailed.code} ${Problem.preloadFailed.title}: ${failed.join(', ')}`;
  }

  async #import(script: string, { callable, type }: Target, { reloading, environment }: LoadWishes): Promise<ImportOutcome> {
    try {
      await access(script, constants.R_OK);
    } catch (cause) {
      const error = new NwsgiError(Problem.scriptMissing, `${script} cannot be read`, { cause });
      return { failure: { problem: Problem.scriptMissing, error, status: 404 } };
    }
    // Before the file is read, so that a change during the load is seen; also of one that does not load.
    if (reloading) this.#bridge.watch(script, callable, type, environment);
    try {
      return await importScript(script);
    } catch (thrown) {
      this.#bridge.loadFailed(script);
      const error = original(thrown);
      return { failure: { problem: problemOf(error) ?? Problem.scriptFailed, error, status: 500 } };
    }
  }
}

async function importScript(script: string): Promise<{ exports: Exports }> {
  const source = await readFile(script, 'utf8');
  try {
    const format = formatOf(script, source);
    prepareHooks(script, source, format);
    if (format === 'module') return { exports: (await import(pathToFileURL(script).href)) as Exports };
    const exported: unknown = createRequire(script)(script);
    return { exports: isObject(exported) ? exported : { default: exported } };
  } catch (error) {
    passOverTwin(error);
    locateSyntaxError(error, script, source);
    throw error;
  }
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

function isObject(value: unknown): value is Exports {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** Errors of the hooks thread arrive as copies: only their properties tell what they were. */
function original(error: unknown): unknown {
  const isCopy = problemOf(error) === undefined && codeOf(error) === Problem.typeScriptFailed.code;
  return isCopy ? new NwsgiError(Problem.typeScriptFailed, (error as Error).message) : error;
}

/** The named export, or that of the default export: what `module.exports = { application }` becomes when imported. */
function findCallable(exports: Exports, callable: string): unknown {
  if (exports[callable] !== undefined) return exports[callable];
  const fallback = exports.default;
  if (callable === 'default') return fallback;
  return isObject(fallback) ? fallback[callable] : undefined;
}

function missing(script: string, callable: string, found: unknown, exports: Exports): NwsgiTypeError {
  const names = Object.keys(exports).slice(0, 10).join(', ') || 'nothing';
  const what = found === undefined ? `does not export ${show(callable)}; it exports ${names}` : `exports ${show(callable)} as ${show(found)}, not as a function`;
  return new NwsgiTypeError(Problem.callableMissing, `${script} ${what}`);
}
