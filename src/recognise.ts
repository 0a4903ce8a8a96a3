/** Tells what kind of application a script is by what it exports. Calls nothing of it. */
import type { RequestListener } from 'node:http';
import net from 'node:net';
import { NwsgiTypeError, Problem } from './errors.js';
import type { FetchHandler } from './fetch/types.js';
import { protocolOf } from './node/listening.js';
import { USUAL_CALLABLE } from './record.js';
import type { Target } from './record.js';
import { show } from './show.js';
import type { WsgiApplication } from './wsgi/types.js';

export interface ScriptExports {
  /** An ES module's namespace, or what `module.exports` is. */
  readonly named: Record<string, unknown>;
  /** The default export; in CommonJS `module.exports` itself, unless it was compiled from an ES module. */
  readonly fallback: unknown;
}

export type Found =
  | { readonly kind: 'wsgi'; readonly callable: WsgiApplication }
  | { readonly kind: 'handler'; readonly handler: RequestListener }
  | { readonly kind: 'server'; readonly server: net.Server }
  | { readonly kind: 'fetch'; readonly handler: FetchHandler }
  /** Nothing that can be called; the script may still listen. `error` says what it has instead. */
  | { readonly kind: 'nothing'; readonly error: NwsgiTypeError };

type Callable = (...args: never[]) => unknown;

/** What `target` asks for among the exports of the script; `listens` when a server of it has been taken over. */
export function recognise(exports: ScriptExports, target: Target, listens: boolean): Found {
  const { callable, type } = target;
  const { named, fallback } = exports;
  const found = findCallable(exports, callable);
  if (type === 'auto' || type === 'wsgi') {
    const isWsgi = isCallable(found) && (type === 'wsgi' || !(listens && isFrameworkFunction(found)));
    if (isWsgi) return { kind: 'wsgi', callable: found as unknown as WsgiApplication };
    // Whoever names the callable wants that one and none that is found.
    if (type === 'wsgi' || callable !== USUAL_CALLABLE) return nothing(exports, target, found);
  }
  if (type !== 'node') {
    const handler = [found, fallback, named].find(hasFetch) ?? (type === 'fetch' ? fetchFunction(found, fallback) : undefined);
    if (handler !== undefined) return { kind: 'fetch', handler };
  }
  if (type !== 'fetch') {
    if (fallback instanceof net.Server && protocolOf(fallback) !== undefined) return { kind: 'server', server: fallback };
    const handler = type === 'node' && isCallable(found) ? found : fallback;
    if (isCallable(handler)) return { kind: 'handler', handler: handler as unknown as RequestListener };
  }
  return nothing(exports, target, found);
}

/** The named export, or that of the default export: what `module.exports = { application }` becomes when imported. */
function findCallable({ named, fallback }: ScriptExports, callable: string): unknown {
  if (named[callable] !== undefined) return named[callable];
  if (callable === 'default') return fallback;
  return isObject(fallback) ? fallback[callable] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

function isCallable(value: unknown): value is Callable {
  return typeof value === 'function' && !isClass(value);
}

/** Reads the text of the function only: a callable may refuse everything but the call. */
function isClass(value: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}

function hasFetch(value: unknown): value is FetchHandler {
  return isObject(value) && !(typeof value === 'function' && isClass(value)) && typeof value.fetch === 'function';
}

function fetchFunction(found: unknown, fallback: unknown): FetchHandler | undefined {
  const handler = isCallable(found) ? found : fallback;
  return isCallable(handler) ? { fetch: handler as unknown as FetchHandler['fetch'] } : undefined;
}

/** An application of Express or Connect: a function, but with methods that no WSGI callable has. */
function isFrameworkFunction(value: Callable): boolean {
  try {
    const { use, handle } = value as unknown as Record<string, unknown>;
    return typeof use === 'function' && typeof handle === 'function';
  } catch {
    return false;
  }
}

// ---- what is said of exports that cannot be used ----

function nothing({ named, fallback }: ScriptExports, { script, callable, type }: Target, found: unknown): Found {
  const byName = type === 'wsgi' || callable !== USUAL_CALLABLE ? undefined : adviceByName(named);
  const advice = [found, fallback].map((value) => adviceFor(value)).find((text) => text !== undefined) ?? byName;
  if (advice !== undefined) return { kind: 'nothing', error: new NwsgiTypeError(Problem.misfit, `${script} exports ${advice}`) };
  const names = exportedNames(named, fallback);
  if (found === undefined && names.length === 0) {
    return { kind: 'nothing', error: new NwsgiTypeError(Problem.nothingToServe, `${script} exports nothing`) };
  }
  const what = found === undefined ? `does not export ${show(callable)}; it exports ${names.slice(0, 10).join(', ') || 'nothing'}` : `exports ${show(callable)} as ${show(found)}, not as a function`;
  return { kind: 'nothing', error: new NwsgiTypeError(Problem.callableMissing, `${script} ${what}`) };
}

/** True when the script was meant to be used through its exports: such a one is not waited for without a reason. */
export function exportsSomething({ named, fallback }: ScriptExports): boolean {
  return exportedNames(named, fallback).length > 0;
}

function exportedNames(named: Record<string, unknown>, fallback: unknown): string[] {
  const names = Object.keys(named);
  const isPlain = (fallback as unknown) === named && typeof fallback === 'object';
  if (names.length > 0 || fallback === undefined || isPlain) return names;
  return [show(fallback)];
}

/** An application that is there, but under a name of its own. */
function adviceByName(named: Record<string, unknown>): string | undefined {
  for (const [name, value] of Object.entries(named)) {
    if (hasFetch(value)) return `an object with fetch() as ${show(name)}; export it by default`;
    if (isCallable(value) && isFrameworkFunction(value)) return `an application as ${show(name)}; export it by default, or call its listen()`;
    const advice = adviceFor(value);
    if (advice !== undefined && typeof value === 'object') return `as ${show(name)} ${advice}`;
  }
  return undefined;
}

/** What an export is that cannot be called, and what would work. */
function adviceFor(value: unknown): string | undefined {
  if (typeof value === 'function') return isClass(value) ? `the class ${(value as { name: string }).name || 'without a name'}; a class cannot be called. Export a function, an instance that has fetch(), or call listen()` : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  const has = (...names: string[]): boolean => names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
  if (has('callback', 'use', 'listen')) return 'a Koa application; export app.callback(), or call app.listen()';
  if (has('route', 'inject', 'ready', 'listen')) return 'a Fastify instance that does not listen; call app.listen({ port: 3000 })';
  if (has('getHttpAdapter', 'listen')) return 'a NestJS application that does not listen; call app.listen(3000)';
  if (has('start', 'route', 'inject')) return 'a hapi server that was not started; call server.start()';
  if (has('then')) return 'a promise; await what it makes at the top level of a module, or call listen()';
  if (has('listen')) return 'an object with listen(), which was not called; call it with any port';
  return undefined;
}
