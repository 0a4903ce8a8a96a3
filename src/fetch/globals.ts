/**
 * The platform's Request constructor and fetch() accept the gateway's requests; its Response does not make streams that
 * nobody reads. All are replaced by proxies of themselves, which applications cannot tell from what they were, before an
 * application that may use them is loaded.
 */
import { createRequire } from 'node:module';
import type { Target } from '../record.js';
import { prepareHeaders } from './headers.js';
import { installRequests, platformRequest } from './request.js';
import { wrapResponse } from './response.js';

type Constructor = typeof Request;
type Wrap<T> = (found: T) => T;

function unwrapFirst(given: unknown[]): unknown[] {
  if (given.length > 0) given[0] = platformRequest(given[0]);
  return given;
}

function wrapRequest(platform: Constructor): Constructor {
  const wrapped: Constructor = new Proxy(platform, {
    construct(target, given, newTarget) {
      const [input, init] = unwrapFirst(given) as ConstructorParameters<Constructor>;
      // Reflect.construct() takes several times as long as `new`.
      if (newTarget === wrapped && given.length > 0) return new target(input, init);
      return Reflect.construct(target, given, newTarget) as Request;
    },
  });
  platform.prototype.constructor = wrapped;
  return wrapped;
}

function wrapFetch(platform: typeof fetch): typeof fetch {
  return new Proxy(platform, { apply: (target, self, given) => Reflect.apply(target, self, unwrapFirst(given)) as Promise<Response> });
}

/** The platform loads its fetch when one of its names is used first; that stays so. */
function replaceLater<T>(name: string, wrap: Wrap<T>): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  if (before === undefined) return;
  const settle = (value: unknown): void => {
    Object.defineProperty(globalThis, name, { configurable: true, enumerable: before.enumerable === true, writable: true, value });
  };
  Object.defineProperty(globalThis, name, {
    configurable: true,
    enumerable: before.enumerable === true,
    get() {
      // Requests and responses have headers without anybody asking for the constructor of these.
      if (name !== 'Headers') void Headers;
      const wrapped = wrap((before.get === undefined ? before.value : before.get.call(globalThis)) as T);
      settle(wrapped);
      return wrapped;
    },
    set: settle,
  });
}

/** What Web-standard handlers take for granted and Node 18 has in modules only. */
function addMissing(name: string, find: () => unknown): void {
  if (name in globalThis) return;
  const settle = (value: unknown): void => {
    Object.defineProperty(globalThis, name, { configurable: true, enumerable: false, writable: true, value });
  };
  const get = (): unknown => {
    const value = find();
    settle(value);
    return value;
  };
  Object.defineProperty(globalThis, name, { configurable: true, enumerable: false, get, set: settle });
}

const load = createRequire(import.meta.url);

/**
 * The names are values that come into being when anybody looks, be it at the property's descriptor: with Node 22 and newer.
 * All of the platform's fetch comes with them, 12 MiB that most applications never need.
 */
const MADE_BY_A_LOOK = Number.parseInt(process.versions.node, 10) > 20;
const MENTIONS_FETCH = /\bfetch\b/;
const MENTIONS_LISTEN = /\blisten\s*\(/;

let prepared = false;
let replaced = false;

/** To be called before any application is loaded. */
export function prepareGlobals(): void {
  if (prepared) return;
  prepared = true;
  addMissing('crypto', () => (load('node:crypto') as { webcrypto: unknown }).webcrypto);
  addMissing('File', () => (load('node:buffer') as { File: unknown }).File);
  if (!MADE_BY_A_LOOK) replaceNames();
}

/** To be called before a script runs that may have a handler: some keep the constructors that they find. */
export function prepareForScript(source: string, { type, callable }: Pick<Target, 'type' | 'callable'>): void {
  if (type === 'wsgi' || type === 'node') return;
  const another = MENTIONS_LISTEN.test(source) || source.includes(callable);
  if (type === 'fetch' || !another || MENTIONS_FETCH.test(source)) replaceNames();
}

/** To be called before the first request. */
export function prepareRequests(): void {
  prepareGlobals();
  replaceNames();
  installRequests(Request);
}

function replaceNames(): void {
  if (replaced) return;
  replaced = true;
  replaceLater('Headers', prepareHeaders);
  replaceLater('Request', wrapRequest);
  replaceLater('Response', wrapResponse);
  replaceLater('fetch', wrapFetch);
}
