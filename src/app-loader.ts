/** Loads scripts and finds their applications; each script once for each environment. */
import type { Application } from './application.js';
import { logText, Problem, problemOf } from './errors.js';
import type { CatalogueEntry } from './errors.js';
import { placeOf } from './exchange.js';
import { FetchKind } from './fetch/application.js';
import { prepareForScript } from './fetch/globals.js';
import { importScript } from './import-script.js';
import type { ImportedScript } from './import-script.js';
import { LogLevel } from './native.js';
import type { NativeBridge, Preload } from './native.js';
import { serverFor } from './node/application.js';
import type { Patience } from './node/readiness.js';
import type { NodeScripts } from './node/scripts.js';
import type { DeferredPython } from './python/deferred.js';
import { isPythonScript } from './python/recognise.js';
import { exportsSomething, recognise } from './recognise.js';
import type { Found, ScriptExports } from './recognise.js';
import type { Target } from './record.js';
import { whyUnreadable } from './script-file.js';
import { WsgiKind } from './wsgi/application.js';

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

/** What makes the process what a script expects of it, before it is loaded. */
export type EnterScript = (script: string, wishes: LoadWishes) => void;

type ImportOutcome = (ImportedScript & { readonly failure?: undefined }) | { readonly failure: LoadFailure };

interface Script {
  readonly imported: Promise<ImportOutcome>;
  watched: boolean;
  /** By type and callable: several requests share one application, and one server. */
  readonly outcomes: Map<string, Promise<LoadOutcome>>;
}

/**
 * How long a script that exports no application, or may have more to do, is waited for; see Readiness. Work in the thread
 * pool (a key that is derived, a native module) keeps the event loop alive without being seen: hence the seconds.
 */
const FOR_NOTHING = { quiet: 3000 } as const;
const FOR_OTHER_EXPORTS = { quiet: 15 } as const;
const FOR_BETTER = { quiet: 100, most: 5000 } as const;
/** A script that listens may never come to the end of its top level. */
const REST_OF_IMPORT = 1000;
const MENTIONS_LISTEN = /\blisten\s*\(/;

export class AppLoader {
  readonly #bridge: NativeBridge;
  readonly #version: string;
  readonly #enter: EnterScript;
  readonly #nodeScripts: NodeScripts;
  readonly #python: Pick<DeferredPython, 'load'> | undefined;
  readonly #scripts = new Map<string, Script>();

  /** Without `python`, a script of Python is taken for one of JavaScript. */
  constructor(bridge: NativeBridge, version: string, nodeScripts: NodeScripts, enter: EnterScript, python?: Pick<DeferredPython, 'load'>) {
    this.#bridge = bridge;
    this.#version = version;
    this.#nodeScripts = nodeScripts;
    this.#enter = enter;
    this.#python = python;
  }

  /** Loads the script, unless that has begun already, and returns its application or the reason why there is none. */
  async load(target: Target, wishes: LoadWishes): Promise<LoadOutcome> {
    if (this.#python !== undefined && isPythonScript(target.script)) return this.#python.load(target, wishes);
    const { callable, type } = target;
    // The record has the bytes of the path; Node wants its text.
    const script = Buffer.from(target.script, 'latin1').toString();
    let entry = this.#scripts.get(script);
    if (entry === undefined) {
      entry = { imported: this.#import({ ...target, script }, wishes), watched: wishes.reloading, outcomes: new Map() };
      this.#scripts.set(script, entry);
    } else if (wishes.reloading && !entry.watched) {
      entry.watched = true;
      this.#bridge.watch(script, callable, type, wishes.environment);
    }
    const key = `${type}\n${callable}`;
    let outcome = entry.outcomes.get(key);
    if (outcome === undefined) {
      outcome = this.#find(entry, { ...target, script });
      entry.outcomes.set(key, outcome);
    }
    const { failure } = await outcome;
    // Nothing of a missing file is in the module cache, so that a later request may try again.
    if (failure?.problem === Problem.scriptMissing) this.#scripts.delete(script);
    return outcome;
  }

  /** Loads scripts ahead of the first request; returns what to tell the host: '' or what did not load. */
  async preload(scripts: readonly Preload[]): Promise<string> {
    const failed: string[] = [];
    for (const { script, callable: name, type, reloading, environment, imported } of scripts) {
      // Of a script that is only imported no callable is needed; one of JavaScript exports something in any case.
      const callable = imported === true && isPythonScript(script) ? '' : name;
      const target: Target = { type, callable, script: Buffer.from(script).toString('latin1') };
      const { failure } = await this.load(target, { reloading, environment });
      if (failure === undefined) continue;
      this.#bridge.log(0, LogLevel.error, logText(failure.problem, placeOf(target), failure.error));
      failed.push(script);
    }
    return failed.length === 0 ? '' : `${Problem.preloadFailed.code} ${Problem.preloadFailed.title}: ${failed.join(', ')}`;
  }

  async #import({ script, callable, type }: Target, wishes: LoadWishes): Promise<ImportOutcome> {
    const unreadable = await whyUnreadable(script);
    if (unreadable !== undefined) return { failure: { problem: Problem.scriptMissing, error: unreadable, status: 404 } };
    // Before the file is read, so that a change during the load is seen; also of one that does not load.
    if (wishes.reloading) this.#bridge.watch(script, callable, type, wishes.environment);
    else this.#bridge.remember?.(script, callable, type, wishes.environment);
    if (type !== 'wsgi') await this.#nodeScripts.begin(script);
    try {
      this.#enter(script, wishes);
      return await this.#run(script, { type, callable });
    } catch (error) {
      return { failure: this.#failure(script, error) };
    }
  }

  async #run(script: string, target: Pick<Target, 'type' | 'callable'>): Promise<ImportedScript> {
    const { type } = target;
    const running = importScript(script, type !== 'wsgi', (source) => prepareForScript(source, target));
    if (type === 'wsgi' || type === 'fetch') return running;
    const listens = this.#nodeScripts.listensFor(script, REST_OF_IMPORT);
    const first = await Promise.race([running, listens]);
    if (first !== undefined) return first;
    // Nobody else hears of its failure any more: it is an unhandled rejection, as in Node.
    running.catch((error: unknown) => void Promise.reject(error as Error));
    return { exports: { named: {}, fallback: undefined }, source: '' };
  }

  async #find({ imported }: Script, target: Target): Promise<LoadOutcome> {
    const { failure, ...script } = (await imported) as ImportedScript & { failure?: LoadFailure };
    if (failure !== undefined) return { failure };
    try {
      return { application: await this.#applicationOf(script, target) };
    } catch (error) {
      return { failure: this.#failure(target.script, error) };
    } finally {
      this.#nodeScripts.end(target.script);
    }
  }

  async #applicationOf({ exports, source }: ImportedScript, target: Target): Promise<Application> {
    const { script, type } = target;
    const nodeScripts = this.#nodeScripts;
    const found = recognise(exports, target, nodeScripts.listens(script));
    if (found.kind === 'wsgi') return new WsgiKind(found.callable, this.#version);
    if (type !== 'wsgi' && type !== 'fetch' && (await nodeScripts.willListen(script, patienceFor(found, exports, source)))) return nodeScripts.application(script);
    switch (found.kind) {
      case 'fetch':
        return new FetchKind(found.handler, this.#version);
      case 'handler':
        return nodeScripts.application(script, serverFor(found.handler));
      case 'server':
        return nodeScripts.application(script, found.server);
      default:
        throw type === 'wsgi' || type === 'fetch' ? found.error : nodeScripts.explain(script, found.error);
    }
  }

  #failure(script: string, error: unknown): LoadFailure {
    this.#bridge.loadFailed(script);
    return { problem: problemOf(error) ?? Problem.scriptFailed, error, status: 500 };
  }
}

/** Undefined: what was found is the application. */
function patienceFor(found: Found, exports: ScriptExports, source: string): Patience | undefined {
  const mayListen = MENTIONS_LISTEN.test(source);
  if (found.kind === 'nothing') return exportsSomething(exports) && !mayListen ? FOR_OTHER_EXPORTS : FOR_NOTHING;
  return mayListen ? FOR_BETTER : undefined;
}
